/**
 * What our own member carries: what was written here, what of it the broker has, and what it is still
 * to be told. What was only read is not here, so that a join that comes again, which merges, says
 * nothing for other tabs and back ends; in numbers neither, which JavaScript would round.
 *
 * Writes fold: a key that is written again before it was said is said once. Pure: time is passed in, in
 * milliseconds of any clock that only goes forward.
 */

import { same } from './json.js';
import { settleAll, taken } from './promise.js';

/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./error.js').HerenowError} HerenowError */
/** @typedef {import('./promise.js').Settle} Settle */

/**
 * One key as it was written last.
 * @typedef {object} Entry
 * @property {unknown} value null: taken away, until the broker knows it
 * @property {number} until when it vanishes by itself
 * @property {boolean} due whether it is to be said
 * @property {boolean} [theirs] somebody else has written it since
 *
 * @typedef {object} Said something that is being said to the broker
 * @property {Attributes} [attributes]
 * @property {boolean} merge
 * @property {number} [ttlMs]
 * @property {() => void} again it was not heard
 * @property {Settle} settle the broker has answered
 */

/** For as long as the member is there. */
const LASTING = Infinity;

export class Carried {
  /** @type {Map<string, Entry>} */
  #keys = new Map();
  /** What the broker has of it. @type {Map<string, Entry>} */
  #had = new Map();
  /** Whether all keys that are not ours are to go. */
  #replaces = false;
  /** Whether nothing was ever said of attributes: then those count that another tab has set. */
  #silent = true;
  /** Who waits for something to be said. @type {Set<Settle>} */
  #waiting = new Set();

  /**
   * @param {Attributes} patch a null takes the key away
   * @param {{until?: number, replace?: boolean, settle?: Settle}} [how] `until`: when the keys of the patch
   *   vanish. `replace`: all other keys go. `settle`: is told the broker's answer.
   * @returns {() => void} nobody waits for the answer any more
   */
  set(patch, { until = LASTING, replace = false, settle = () => {} } = {}) {
    if (replace) {
      this.#keys = new Map();
      this.#replaces = true;
      this.#silent = false;
    }
    for (const [key, value] of Object.entries(patch)) {
      this.#keys.set(key, { value, until: value === null ? LASTING : until, due: true });
    }
    this.#waiting.add(settle);
    return () => this.#waiting.delete(settle);
  }

  /**
   * What is to be said, in as few frames as times allow.
   * @param {number} now
   * @param {boolean} [joins] all is, by a join that is the first of them
   * @returns {Said[]}
   */
  say(now, joins = false) {
    const replaces = this.#replaces;
    const isAll = joins || replaces;
    this.#replaces = false;
    /** @type {Map<number, [string, Entry][]>} */
    const frames = new Map(isAll ? [[LASTING, []]] : []);
    for (const [key, entry] of this.#keys) {
      const isOver = entry.until <= now;
      if (isOver && this.#had.get(key) === entry) this.#keys.delete(key);
      else if (isAll ? !entry.theirs : entry.due) {
        if (isOver) Object.assign(entry, { value: null, until: LASTING });
        entry.due = false;
        frames.set(entry.until, [...frames.get(entry.until) ?? [], [key, entry]]);
      }
    }
    const waiting = taken(this.#waiting);
    if (!frames.size) waiting.settle(null);
    return [...frames].map(([until, said], n) => this.#said(said, until - now, replaces && !n, waiting, n === frames.size - 1));
  }

  /** @param {[string, Entry][]} said @param {number} leftMs @param {boolean} replaces @param {ReturnType<typeof taken>} waiting @param {boolean} isLast @returns {Said} */
  #said(said, leftMs, replaces, waiting, isLast) {
    return {
      attributes: this.#silent && !said.length ? undefined : Object.fromEntries(said.map(([key, { value }]) => [key, value])),
      merge: !replaces,
      ttlMs: leftMs < LASTING ? Math.ceil(leftMs) : undefined,
      again: () => {
        for (const [key] of said) Object.assign(this.#keys.get(key) ?? {}, { due: true });
        this.#replaces ||= replaces;
        waiting.again();
      },
      settle: (error) => {
        if (error) this.#refused(said, replaces);
        else this.#done(said, replaces);
        if (error || isLast) waiting.settle(error);
      },
    };
  }

  /** @param {[string, Entry][]} said @param {boolean} replaces */
  #done(said, replaces) {
    if (replaces) this.#had.clear();
    for (const [key, entry] of said) {
      const isGone = entry.value === null;
      put(this.#had, key, isGone ? undefined : entry);
      if (isGone && this.#keys.get(key) === entry) this.#keys.delete(key);
    }
  }

  /** Takes it back to what the broker has, but for what was written since. @param {[string, Entry][]} said @param {boolean} replaces */
  #refused(said, replaces) {
    for (const [key, entry] of said) if (this.#keys.get(key) === entry) put(this.#keys, key, this.#had.get(key));
    if (replaces) this.#keys = new Map([...this.#had, ...this.#keys]);
  }

  /** Nobody says it any more. @param {HerenowError} error */
  end(error) {
    settleAll(this.#waiting, error);
  }

  /**
   * Somebody has written our attributes. What is not as we wrote it is another's to say again; what we
   * are still writing is newer than what comes in.
   * @param {Attributes} attributes as the broker has them
   */
  follow(attributes) {
    for (const [key, entry] of this.#had) entry.theirs = !same(attributes[key], entry.value);
  }

  /** What takes a patch back. @param {Attributes} patch @returns {Attributes} */
  without(patch) {
    return Object.fromEntries(Object.keys(patch).map((key) => [key, this.#keys.get(key)?.value ?? null]));
  }
}

/** @param {Map<string, Entry>} keys @param {string} key @param {Entry} [entry] */
function put(keys, key, entry) {
  if (entry) keys.set(key, entry);
  else keys.delete(key);
}
