/**
 * Time that goes on while the machine sleeps, and never goes back.
 *
 * `performance.now` stands still in a sleep on most systems; the wall clock does not, but may be set.
 */

/** By so much more the wall clock must have gone on, or it was no sleep. */
const SLEPT_MS = 1_000;

let sleptMs = 0;
let ahead = Date.now() - performance.now();

/** Milliseconds since some moment. */
export function clock() {
  const before = ahead;
  ahead = Date.now() - performance.now();
  if (ahead > before + SLEPT_MS) sleptMs += ahead - before;
  return performance.now() + sleptMs;
}
