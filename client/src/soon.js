/** At most one call for each frame of the page. */

import { isHidden } from './page.js';

/** Hidden pages have no frames. */
const HIDDEN_MS = 100;
/** A visible page that has none for so long does not draw; what it is told shall not wait for that. */
const STUCK_MS = 1_000;

/** @param {() => void} act @returns {() => void} asks for it; asking again before it comes changes nothing */
export function soon(act) {
  /** What was asked for and has not come. A call that was meant for an earlier one is void. @type {object | null} */
  let asked = null;
  return () => {
    if (asked) return;
    const mine = asked = {};
    const once = () => {
      if (asked !== mine) return;
      asked = null;
      clearTimeout(timer);
      act();
    };
    const hasFrames = 'requestAnimationFrame' in globalThis;
    const timer = setTimeout(once, hasFrames ? isHidden() ? HIDDEN_MS : STUCK_MS : 0);
    if (hasFrames) globalThis.requestAnimationFrame(once);
  };
}
