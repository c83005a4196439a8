/** At most one call for each frame of the page. */

import { isHidden } from './page.js';

/** Hidden pages have no frames. */
const HIDDEN_MS = 100;
/** A visible page that has none for so long does not draw; what it is told shall not wait for that. */
const STUCK_MS = 1_000;

/** @param {() => void} act @returns {() => void} asks for it; asking again before it comes changes nothing */
export function soon(act) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const come = () => {
    if (!timer) return;
    clearTimeout(timer);
    timer = undefined;
    act();
  };
  return () => {
    if (timer) return;
    const { requestAnimationFrame: frame } = /** @type {Partial<typeof globalThis>} */ (globalThis);
    timer = setTimeout(come, frame ? isHidden() ? HIDDEN_MS : STUCK_MS : 0);
    frame?.(come);
  };
}
