/** At most one call for each frame of the page. */

/** Hidden pages have no frames. */
const WITHOUT_FRAMES_MS = 100;

/** @param {() => void} act @returns {() => void} asks for it; asking again before it comes changes nothing */
export function soon(act) {
  let asked = false;
  /** Whichever timer comes first; the other finds nothing to do. */
  const once = () => {
    if (!asked) return;
    asked = false;
    act();
  };
  return () => {
    if (asked) return;
    asked = true;
    (globalThis.requestAnimationFrame ?? setTimeout)(once);
    setTimeout(once, WITHOUT_FRAMES_MS);
  };
}
