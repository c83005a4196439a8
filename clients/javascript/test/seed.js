/**
 * Where the dice of a test file fall from: a seed that is printed, and can be given again with
 * `HERENOW_SEED=… node --test FILE`. `Math.random` itself is replaced, so that whatever a test runs,
 * the library's own pauses before it dials again included, rolls the same a second time.
 */

const { HERENOW_SEED } = process.env;
const seed = HERENOW_SEED ?? String(Math.floor(Math.random() * 2 ** 31));
// The suite in Rust takes seeds of 64 bits, and the same one may be given to all tests at once.
const start = Number(BigInt.asUintN(32, BigInt(seed)));

/**
 * Small, fast, and the same everywhere (mulberry32, Tommy Ettinger, public domain). Stands alone, so
 * that a page can be given it too.
 * @param {number} seed
 */
export function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

Math.random = generator(start);
console.log(`HERENOW_SEED=${seed}`);
