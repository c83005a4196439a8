/**
 * What our own member carries, so that it can be said again on the next connection.
 *
 * Pure: time is passed in, in milliseconds of any clock that only goes forward.
 */

/** @typedef {import('./replica.js').Attributes} Attributes */

/** For as long as the member is there. */
const LASTING = Infinity;

export class Carried {
  /** By key: the value, and when it vanishes by itself. @type {Map<string, {value: unknown, until: number}>} */
  #keys = new Map();
  /** Whether nothing was ever said of attributes: then those count that another tab has set. */
  #silent;

  /** @param {Attributes} [attributes] */
  constructor(attributes) {
    this.#silent = !attributes;
    this.set(attributes ?? {});
  }

  /**
   * @param {Attributes} patch a null takes the key away
   * @param {number} [until] when the keys of the patch vanish
   * @param {boolean} [replace] whether all other keys go
   * @returns {() => void} takes it back, unless something was written since
   */
  set(patch, until = LASTING, replace = false) {
    const before = this.#keys;
    const after = new Map(replace ? [] : before);
    for (const [key, value] of Object.entries(patch)) {
      if (value === null) after.delete(key);
      else after.set(key, { value, until });
    }
    this.#keys = after;
    return () => {
      if (this.#keys === after) this.#keys = before;
    };
  }

  /** What a join brings. @returns {Attributes | undefined} */
  get lasting() {
    const lasting = [...this.#keys].filter(([, { until }]) => until === LASTING);
    if (this.#silent && !lasting.length) return undefined;
    return Object.fromEntries(lasting.map(([key, { value }]) => [key, value]));
  }

  /**
   * What is to be written behind the join, key by key, since each has its own time. Said for good it
   * would stick.
   * @param {number} now
   * @returns {{attributes: Attributes, ttlMs: number}[]}
   */
  passing(now) {
    return [...this.#keys].flatMap(([key, { value, until }]) => (
      until === LASTING || until <= now ? [] : { attributes: { [key]: value }, ttlMs: Math.ceil(until - now) }
    ));
  }

  /**
   * Another tab of ours has written: of the keys that we would say again, the new values count. Keys
   * that only the other tab knows are its own to say again.
   * @param {Attributes} attributes as the broker has them
   */
  follow(attributes) {
    for (const [key, { until }] of this.#keys) {
      if (until !== LASTING) continue;
      if (Object.hasOwn(attributes, key)) this.#keys.set(key, { value: attributes[key], until });
      else this.#keys.delete(key);
    }
  }

  /** What takes a patch back. @param {Attributes} patch @returns {Attributes} */
  without(patch) {
    return Object.fromEntries(Object.keys(patch).map((key) => [key, this.#keys.get(key)?.value ?? null]));
  }
}
