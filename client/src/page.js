/** What a page can say of itself. Where there is none, somebody is taken to look. */

/** Whether there is a page that nobody sees. */
export function isHidden() {
  return globalThis.document?.visibilityState === 'hidden';
}
