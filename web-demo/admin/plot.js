/** The last hour of numbers as curves. Pure: time is passed in. */

export const HOUR_MS = 3_600_000;
/** What is drawn of a broker that has just begun. */
const LEAST_MS = 120_000;
const [WIDTH, HEIGHT] = [240, 48];
/** Two samples further apart than this have a hole between them. */
const HOLE_MS = 60_000;

/** @typedef {{at: number, value: number}} Point */

/**
 * How fast a number that only grows has grown, a second, between each two samples.
 * @param {any[]} samples oldest first
 * @param {(sample: any) => number} read
 * @returns {Point[]}
 */
export function rates(samples, read) {
  return samples.slice(1).flatMap((sample, index) => {
    const before = samples[index];
    const grown = read(sample) - read(before);
    const seconds = (sample.at - before.at) / 1000;
    return seconds > 0 && grown >= 0 ? [{ at: sample.at, value: grown / seconds }] : [];
  });
}

/**
 * How far back curves go: an hour, or as long as there are samples.
 * @param {Array<{at: number}>} samples oldest first
 * @param {number} now
 */
export function span(samples, now) {
  return Math.min(HOUR_MS, Math.max(LEAST_MS, now - (samples[0]?.at ?? now)));
}

/**
 * A curve through the last `spanMs`, with now at the right edge, in a box of 240 by 48.
 * @param {Point[]} points oldest first
 * @param {number} now
 * @param {number} spanMs
 * @returns {{line: string, area: string, most: number, least: number}} two for the `d` of paths
 */
export function curve(points, now, spanMs) {
  const shown = points.filter(({ at }) => at >= now - spanMs && at <= now);
  const values = shown.map(({ value }) => value);
  const most = Math.max(0, ...values);
  const least = values.length ? Math.min(...values) : 0;
  const x = (/** @type {number} */ at) => WIDTH - ((now - at) / spanMs) * WIDTH;
  const y = (/** @type {number} */ value) => HEIGHT - 2 - (most ? value / most : 0) * (HEIGHT - 6);
  /** @type {Point[][]} */
  const runs = [];
  for (const point of shown) {
    const run = runs.at(-1);
    if (run && point.at - run[run.length - 1].at <= HOLE_MS) run.push(point);
    else runs.push([point]);
  }
  let line = '';
  let area = '';
  for (const run of runs.filter(({ length }) => length > 1)) {
    const through = run.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join('L');
    line += `M${through}`;
    area += `M${x(run[0].at).toFixed(1)} ${HEIGHT}L${through}L${x(run[run.length - 1].at).toFixed(1)} ${HEIGHT}Z`;
  }
  return { line, area, most, least };
}
