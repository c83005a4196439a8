/** Waiting for what must come. What comes in time costs no time, so this is for failures alone. */

import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 15_000;

/**
 * @template T
 * @param {string} what @param {() => T | Promise<T>} look what is there, or nothing yet
 * @param {() => unknown} [instead] what there is in place of it
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, look, instead = () => '') {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const there = await look();
    if (there) return there;
    if (performance.now() > end) throw new Error(`it never came: ${what}; instead: ${JSON.stringify(instead())}`);
    await sleep(5);
  }
}
