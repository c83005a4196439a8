/**
 * What one connection has to say, in turn, and no faster than the broker allows.
 *
 * No frames wait here but topics: what is to be said of one is asked for when its turn comes, and is
 * then the newest. So whoever writes faster than may be sent holds up nobody, and nothing old follows
 * anything newer.
 */

import { call } from './emitter.js';

/** @typedef {() => string[]} Make what is to be said now, perhaps nothing any more */

/** @typedef {ReturnType<typeof outbox>} Outbox */

/** @param {{framesPerSecond: number, framesBurst: number}} limits @param {(text: string) => void} write */
export function outbox({ framesPerSecond, framesBurst }, write) {
  // Pongs count too, and the broker's clock is not ours: stay a little below.
  const perMs = framesPerSecond * 0.9e-3;
  const burst = Math.max(1, framesBurst * 0.9);
  /** In turn. `from`: not before then. @type {Map<unknown, {make: Make, from: number}>} */
  const topics = new Map();
  // Frames that may be sent, and when that was so. What one topic says goes together, ahead of time if need be.
  let left = burst;
  let at = 0;
  let isBusy = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  function flush() {
    // Who is told of what is sent may want to say more.
    if (isBusy) return;
    isBusy = true;
    clearTimeout(timer);
    const now = performance.now();
    left = Math.min(burst, left + (now - at) * perMs);
    at = now;
    let next = Infinity;
    for (const [topic, { make, from }] of topics) {
      if (from > now || left < 1) {
        next = Math.min(next, from);
        continue;
      }
      topics.delete(topic);
      call(() => {
        for (const text of make()) {
          left -= 1;
          write(text);
        }
      }, null);
    }
    isBusy = false;
    if (topics.size) timer = setTimeout(flush, Math.ceil(Math.max(next - now, (1 - left) / perMs)));
  }

  return {
    /**
     * Asks for a turn. A topic has one, however often it is asked for.
     * @param {unknown} topic
     * @param {Make} make
     * @param {number} [waitMs] the broker refused it, and wants it again after so long
     */
    post(topic, make, waitMs = 0) {
      const from = Math.max(waitMs && performance.now() + waitMs, topics.get(topic)?.from ?? 0);
      topics.set(topic, { make, from });
      // It was faster than the broker likes.
      if (waitMs) left = Math.min(0, left);
      flush();
    },

    /** Nothing is said any more. */
    close() {
      clearTimeout(timer);
      topics.clear();
      write = () => {};
    },
  };
}
