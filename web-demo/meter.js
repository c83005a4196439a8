/** Counts what comes in each second, for a minute. Pure: time is passed in. */

export const SECONDS = 60;

export class Meter {
  /** One for each second, the newest last. @type {Array<{frames: number, events: number, count: number}>} */
  seconds = [];
  #frames = 0;
  #events = 0;

  /** @param {string} text a message of the broker, as it is */
  hear(text) {
    if (text.startsWith('{"type":"presence"')) this.#events += text.split('{"event":').length - 1;
    else if (!text.startsWith('{"type":"count"')) return;
    this.#frames += 1;
  }

  /** A second is over. @param {number} count how many are here now */
  tick(count) {
    this.seconds.push({ frames: this.#frames, events: this.#events, count });
    if (this.seconds.length > SECONDS) this.seconds.shift();
    this.#frames = this.#events = 0;
  }

  /** @param {number} seconds @returns {{frames: number, events: number}} */
  last(seconds) {
    return this.seconds.slice(-seconds).reduce((sum, { frames, events }) => (
      { frames: sum.frames + frames, events: sum.events + events }
    ), { frames: 0, events: 0 });
  }
}

/**
 * A curve through the values, newest at the right edge, in a box of 60 by 24.
 * @param {number[]} values
 * @param {number} [highest] what reaches the top of the box; the highest value if absent
 * @returns {{line: string, area: string}} for the `d` of two paths
 */
export function curve(values, highest = Math.max(...values)) {
  if (values.length < 2) return { line: '', area: '' };
  const top = Math.max(1, highest);
  const x = (/** @type {number} */ index) => 60 - (values.length - 1 - index) * (60 / (SECONDS - 1));
  const points = values.map((value, index) => `${x(index).toFixed(2)} ${(22.5 - (value / top) * 21).toFixed(2)}`);
  const line = `M${points.join('L')}`;
  return { line, area: `${line}L60 24L${x(0).toFixed(2)} 24Z` };
}
