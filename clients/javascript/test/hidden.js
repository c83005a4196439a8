/** A document made for tests, which is hidden and shown when they say so, on a page that they can leave. */

export const page = new EventTarget();
export const document = Object.assign(new EventTarget(), { visibilityState: 'visible', hidden: false });
Object.assign(globalThis, { document, addEventListener: page.addEventListener.bind(page) });

/** @param {boolean} hidden */
export function hide(hidden) {
  Object.assign(document, { hidden, visibilityState: hidden ? 'hidden' : 'visible' });
  document.dispatchEvent(new Event('visibilitychange'));
}
