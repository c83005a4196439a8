/**
 * Time that goes on while the machine sleeps, and never goes back.
 *
 * `performance.now` stands still in a sleep on most systems; the wall clock does not, but may be set.
 */

/** By so much more the wall clock must have gone on, or it was no sleep. */
const SLEPT_MS = 1_000;

let at = 0;
let wall = Date.now();
let awake = performance.now();

/** Milliseconds since some moment. */
export function clock() {
  const [wallNow, awakeNow] = [Date.now(), performance.now()];
  const [byWall, byAwake] = [wallNow - wall, awakeNow - awake];
  at += byWall > byAwake + SLEPT_MS ? byWall : byAwake;
  [wall, awake] = [wallNow, awakeNow];
  return at;
}
