/**
 * What one connection has to say, in turn, and no faster than the broker allows.
 *
 * No frames wait here but topics: what is to be said of one is asked for when its turn comes, and is
 * then the newest. So whoever writes faster than may be sent holds up nobody, and nothing old follows
 * anything newer.
 */

import { call } from './emitter.js';

/** @typedef {() => string[]} Make what is to be said now, perhaps nothing any more */

export class Outbox {
  /** In turn. `from`: not before then. @type {Map<unknown, {make: Make, from: number}>} */
  #topics = new Map();
  /** Frames that may be sent, and when that was so. What one topic says goes together, ahead of time if need be. */
  #left = Infinity;
  #at = 0;
  #perMs;
  #burst;
  #write;
  #isBusy = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{framesPerSecond: number, framesBurst: number}} limits @param {(text: string) => void} write */
  constructor({ framesPerSecond, framesBurst }, write) {
    // Pongs count too, and the broker's clock is not ours: stay a little below.
    this.#perMs = framesPerSecond * 0.9e-3;
    this.#burst = Math.max(1, framesBurst * 0.9);
    this.#write = write;
  }

  /**
   * Asks for a turn. A topic has one, however often it is asked for.
   * @param {unknown} topic
   * @param {Make} make
   * @param {number} [waitMs] the broker refused it, and wants it again after so long
   */
  post(topic, make, waitMs = 0) {
    const from = Math.max(waitMs && performance.now() + waitMs, this.#topics.get(topic)?.from ?? 0);
    this.#topics.set(topic, { make, from });
    // It was faster than the broker likes.
    if (waitMs) this.#left = Math.min(0, this.#left);
    this.#flush();
  }

  /** Nothing is said any more. */
  close() {
    clearTimeout(this.#timer);
    this.#topics.clear();
    this.#write = () => {};
  }

  #flush() {
    // Who is told of what is sent may want to say more.
    if (this.#isBusy) return;
    this.#isBusy = true;
    clearTimeout(this.#timer);
    const now = performance.now();
    this.#left = Math.min(this.#burst, this.#left + (now - this.#at) * this.#perMs);
    this.#at = now;
    let next = Infinity;
    for (const [topic, { make, from }] of this.#topics) {
      if (from > now || this.#left < 1) {
        next = Math.min(next, from);
        continue;
      }
      this.#topics.delete(topic);
      call(() => {
        for (const text of make()) {
          this.#left -= 1;
          this.#write(text);
        }
      }, null);
    }
    this.#isBusy = false;
    if (this.#topics.size) {
      this.#timer = setTimeout(() => this.#flush(), Math.ceil(Math.max(next - now, (1 - this.#left) / this.#perMs)));
    }
  }
}
