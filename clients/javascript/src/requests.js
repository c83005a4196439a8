/** Questions, and what else is asked until it is answered, however many connections that takes. */

import { HerenowError } from './error.js';

/** @typedef {import('./promise.js').Settle} Settle */

/**
 * `due`: not said yet on this connection.
 * @typedef {{frame: any, settle: Settle, due: boolean}} Request
 */

/** So many may wait for their answers. */
const MAX_WAITING = 1_000;

export class Requests {
  /** In the order of the calls. @type {Set<Request>} */
  #all = new Set();
  #client;

  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {object} frame @param {Settle} settle @returns {(() => void) | void} nobody waits for it any more */
  add(frame, settle) {
    if (this.#all.size >= MAX_WAITING) {
      return settle(new HerenowError('too_many_requests', `${MAX_WAITING} requests wait already`));
    }
    const request = { frame, settle, due: true };
    this.#all.add(request);
    this.say();
    return () => this.#end(request);
  }

  /** Says what was not said yet, one at each turn. What changes something waits for the one before. */
  say() {
    this.#client.post(this, () => {
      let isBusy = false;
      for (const request of this.#all) {
        const { frame, due, settle } = request;
        const isQuery = /^get/.test(frame.type);
        if (due && (isQuery || !isBusy)) {
          request.due = false;
          this.say();
          return [{
            frame,
            again: () => { request.due = true; },
            settle: (error, answer) => this.#end(request) && settle(error, answer),
          }];
        }
        isBusy ||= !isQuery;
      }
      return [];
    });
  }

  /** Nothing is asked any more. */
  clear() {
    this.#all.clear();
  }

  /** @param {Request} request @returns {boolean} whether it was waited for */
  #end(request) {
    const isWaited = this.#all.delete(request);
    this.say();
    return isWaited;
  }
}
