/**
 * What our own member carries: what was written here, what of it the broker has, and what it is still
 * to be told. What was only read is not here, so that a join that comes again, which merges, says
 * nothing for other tabs and back ends; in numbers neither, which JavaScript would round.
 *
 * Writes fold: a key that is written again before it was said is said once. Pure: time is passed in, in
 * milliseconds of any clock that only goes forward.
 */

import { sorted } from './json.js';

/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./error.js').HerenowError} HerenowError */
/** @typedef {import('./promise.js').Settle} Settle */

/**
 * Somebody who wants to know what became of a call. `left`: how many of its keys have no answer yet.
 * @typedef {{settle: Settle, left: number}} Write
 *
 * One key as it was written last.
 * @typedef {object} Entry
 * @property {unknown} value null: taken away, until the broker knows it
 * @property {number} until when it vanishes by itself
 * @property {boolean} due whether it is to be said
 * @property {Write[] | null} writes who waits for the answer; null once the broker has it
 * @property {Entry} [back] what counts if it is refused: what the broker had of the key
 * @property {Write} [alone] whose it is, if it is said apart from what others wrote: together they were refused
 * @property {boolean} [theirs] somebody else has written it since
 *
 * All keys: that no others are left. `gone`: which there were.
 * @typedef {Entry & {gone: Map<string, Entry>}} Whole
 *
 * @typedef {object} Said something that is being said to the broker
 * @property {Attributes} [attributes]
 * @property {boolean} merge
 * @property {number} [ttlMs]
 * @property {(error: HerenowError | null) => boolean} answered whether a refusal took back what is said next
 * @property {() => void} again it was not heard
 */

/** For as long as the member is there. */
const LASTING = Infinity;

export class Carried {
  /** @type {Map<string, Entry>} */
  #keys = new Map();
  /** There while nothing but ours is to be left, and the broker has not confirmed it. @type {Whole | null} */
  #whole = null;
  /** Whether nothing was ever said of attributes: then those count that another tab has set. */
  #silent = true;
  /** Who waits. @type {Set<Write>} */
  #open = new Set();

  /**
   * @param {Attributes} patch a null takes the key away
   * @param {{until?: number, replace?: boolean, settle?: Settle}} [how] `until`: when the keys of the patch
   *   vanish. `replace`: all other keys go. `settle`: is told the broker's answer.
   */
  set(patch, { until = LASTING, replace = false, settle = () => {} } = {}) {
    const before = this.#keys;
    const keys = Object.entries(patch);
    /** @type {Write} */
    const write = { settle, left: keys.length + Number(replace) };
    this.#open.add(write);
    if (replace) {
      const gone = new Map([...this.#whole?.gone ?? [], ...before]);
      const waiting = this.#waiting(this.#whole, ...before.values());
      this.#whole = { value: null, until: LASTING, due: true, writes: [...waiting, write], gone };
      this.#silent = false;
      this.#keys = new Map();
    }
    for (const [key, value] of keys) {
      const old = before.get(key);
      const waiting = replace ? [] : this.#waiting(old);
      const back = old?.writes ? old.back : old;
      this.#keys.set(key, { value, until: value === null ? LASTING : until, due: true, writes: [...waiting, write], back });
    }
    if (!write.left) this.#settle(write, null);
    return () => this.#open.delete(write);
  }

  /** Whoever waits for entries that will not be said any more. @param {(Entry | null | undefined)[]} entries */
  #waiting(...entries) {
    return entries.flatMap((entry) => (entry?.due && entry.writes) || []).filter((write) => this.#open.has(write));
  }

  /** What a join says. What has its own time, or was refused, is to be said behind it. @param {number} now @returns {Said} */
  join(now) {
    /** @type {[string, Entry][]} */
    const said = [];
    for (const [key, entry] of this.#keys) {
      if (entry.alone || (entry.until > now && entry.until < LASTING)) entry.due = true;
      else if (entry.until === LASTING ? !entry.theirs : entry.writes) said.push([key, entry]);
      else if (entry.until < LASTING) this.#keys.delete(key);
    }
    const frame = this.#say(said, now, this.#whole);
    return this.#silent && !said.length ? { ...frame, attributes: undefined } : frame;
  }

  /** What is to be said to who has joined, in as few frames as times and refusals allow. @param {number} now @returns {Said[]} */
  due(now) {
    if (this.#whole?.due) return [this.join(now), ...this.due(now)];
    /** @type {[string, Entry][][]} */
    const frames = [];
    for (const said of this.#keys) {
      const { due, until, alone } = said[1];
      if (!due) continue;
      const frame = frames.find(([[, first]]) => first.until === until && first.alone === alone);
      if (frame) frame.push(said);
      else frames.push([said]);
    }
    return frames.map((said) => this.#say(said, now, null));
  }

  /** @param {[string, Entry][]} said @param {number} now @param {Whole | null} whole @returns {Said} */
  #say(said, now, whole) {
    const until = whole || !said.length ? LASTING : said[0][1].until;
    for (const [, entry] of said) {
      entry.due = false;
      if (entry.until <= now) Object.assign(entry, { value: null, until: LASTING });
    }
    if (whole) whole.due = false;
    return {
      attributes: Object.fromEntries(said.map(([key, { value }]) => [key, value])),
      merge: !whole,
      ttlMs: until > now && until < LASTING ? Math.ceil(until - now) : undefined,
      again: () => this.#again(said, whole),
      answered: (error) => (error ? this.#refused(said, whole, error) : this.#done(said, whole)),
    };
  }

  /** @param {[string, Entry][]} said @param {Whole | null} whole */
  #again(said, whole) {
    for (const [key, entry] of said) this.#renew(entry, this.#keys.get(key) ?? this.#whole);
    if (whole) this.#renew(whole, this.#whole);
  }

  /** Said again, unless something newer is said instead of it. @param {Entry} entry @param {Entry | null} newest */
  #renew(entry, newest) {
    if (newest === entry) entry.due = true;
    else if (newest?.writes) newest.writes.push(...entry.writes ?? []);
    else this.#close(entry, null);
  }

  /** @param {[string, Entry][]} said @param {Whole | null} whole */
  #done(said, whole) {
    for (const [key, entry] of said) {
      const newest = this.#keys.get(key);
      const isGone = entry.value === null;
      if (newest !== entry && newest?.writes) newest.back = isGone ? undefined : entry;
      if (newest === entry && isGone) this.#keys.delete(key);
      this.#close(entry, null);
    }
    if (whole) this.#close(whole, null);
    if (this.#whole === whole) this.#whole = null;
    return false;
  }

  /** @param {[string, Entry][]} said @param {Whole | null} whole @param {HerenowError} error */
  #refused(said, whole, error) {
    const ours = said.filter(([, { writes }]) => writes);
    const writers = new Set(ours.map(([, { writes }]) => writes?.at(-1)));
    // Whose fault it is shows when each is said apart.
    if (!whole && writers.size > 1) {
      for (const [, entry] of ours) entry.alone = entry.writes?.at(-1);
      this.#again(ours, null);
      return true;
    }
    for (const [key, entry] of ours) {
      if (this.#keys.get(key) === entry) put(this.#keys, key, entry.back);
      this.#close(entry, error);
    }
    if (whole && this.#whole === whole) {
      this.#whole = null;
      for (const [key, entry] of whole.gone) if (!this.#keys.has(key)) put(this.#keys, key, entry.writes ? entry.back : entry);
    }
    if (whole) this.#close(whole, error);
    return ours.length > 0 || Boolean(whole);
  }

  /** The broker has answered. @param {Entry} entry @param {HerenowError | null} error */
  #close(entry, error) {
    const writes = entry.writes ?? [];
    Object.assign(entry, { writes: null, back: undefined, alone: undefined });
    for (const write of writes) if (--write.left === 0 || error) this.#settle(write, error);
  }

  /** @param {Write} write @param {HerenowError | null} error */
  #settle(write, error) {
    if (this.#open.delete(write)) write.settle(error);
  }

  /** Nobody waits any more. @param {HerenowError} error */
  end(error) {
    for (const write of this.#open) this.#settle(write, error);
  }

  /**
   * Somebody has written our attributes. What is not as we wrote it is another's to say again; what we
   * are still writing is newer than what comes in.
   * @param {Attributes} attributes as the broker has them
   */
  follow(attributes) {
    for (const [key, entry] of this.#keys) entry.theirs = !entry.writes && sorted(attributes[key]) !== sorted(entry.value);
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
