/**
 * What our own member carries, so that it can be said again on the next connection: what was written
 * here, and nothing that was only read. A join that says it merges, so that it stands beside what other
 * tabs and back ends wrote, in numbers too that JavaScript would round.
 *
 * Pure: time is passed in, in milliseconds of any clock that only goes forward.
 */

/** @typedef {import('./replica.js').Attributes} Attributes */

/** For as long as the member is there. */
const LASTING = Infinity;

export class Carried {
  /**
   * By key: the value, null for one that was taken away until the broker knows it, when it vanishes by
   * itself, and whether somebody else has written it since.
   * @type {Map<string, {value: unknown, until: number, theirs?: boolean}>}
   */
  #keys = new Map();
  /** There while nothing but ours is to be left, and the broker has not confirmed it. @type {object | null} */
  #whole;
  /** Whether nothing was ever said of attributes: then those count that another tab has set. */
  #silent;

  /** @param {Attributes} [attributes] */
  constructor(attributes) {
    this.#silent = !attributes;
    this.#whole = attributes ? {} : null;
    this.set(attributes ?? {});
  }

  /**
   * @param {Attributes} patch a null takes the key away
   * @param {number} [until] when the keys of the patch vanish
   * @param {boolean} [replace] whether all other keys go
   * @returns {(error: unknown) => void} for the answer: a refusal takes it back, unless something was
   *   written since
   */
  set(patch, until = LASTING, replace = false) {
    const before = this.#keys;
    const wasWhole = this.#whole;
    const after = new Map(replace ? [] : before);
    for (const [key, value] of Object.entries(patch)) after.set(key, { value, until: value === null ? LASTING : until });
    this.#keys = after;
    if (replace) this.#whole = {};
    const done = this.#saying(Object.keys(patch));
    return (error) => {
      if (!error) done(replace);
      else if (this.#keys === after) {
        this.#keys = before;
        this.#whole = wasWhole;
      }
    };
  }

  /** What a join says, and whom to tell when it was done. */
  saying() {
    const done = this.#saying([...this.#keys.keys()]);
    return { attributes: this.lasting, merge: !this.#whole, done: () => done(true) };
  }

  /** @param {string[]} keys that are said to the broker now @returns {(whole: boolean) => void} it knows them */
  #saying(keys) {
    const said = keys.map((key) => /** @type {const} */ ([key, this.#keys.get(key)]));
    const all = this.#whole;
    return (whole) => {
      for (const [key, entry] of said) if (entry?.value === null && this.#keys.get(key) === entry) this.#keys.delete(key);
      if (whole && this.#whole === all) this.#whole = null;
    };
  }

  /** What a join brings. @returns {Attributes | undefined} */
  get lasting() {
    const lasting = [...this.#keys].filter(([, { until, theirs }]) => until === LASTING && !theirs);
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
   * Somebody has written our attributes. What is not as we wrote it is another's to say again.
   * @param {Attributes} attributes as the broker has them
   */
  follow(attributes) {
    for (const [key, entry] of this.#keys) entry.theirs = sorted(attributes[key]) !== sorted(entry.value);
  }

  /** What takes a patch back. @param {Attributes} patch @returns {Attributes} */
  without(patch) {
    return Object.fromEntries(Object.keys(patch).map((key) => [key, this.#keys.get(key)?.value ?? null]));
  }
}

/** The broker tells objects with their keys in order. @param {unknown} value */
function sorted(value) {
  return JSON.stringify(value ?? null, (_, inner) => (
    inner && typeof inner === 'object' && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort()) : inner
  ));
}
