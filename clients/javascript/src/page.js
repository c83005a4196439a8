/** What a page knows of itself. Where there is none, somebody is taken to look. */

/** Whether there is a page that nobody sees. */
export function isHidden() {
  return globalThis.document?.hidden;
}

/**
 * Does it now, or as soon as a page is shown that the browser renders ahead of time: until then nobody
 * looks at it, and perhaps nobody ever will.
 * @param {() => void} act
 * @param {AbortSignal} signal ends the waiting
 */
export function whenShown(act, signal) {
  const document = /** @type {any} */ (globalThis.document);
  if (document?.prerendering) document.addEventListener('prerenderingchange', act, { once: true, signal });
  else act();
}
