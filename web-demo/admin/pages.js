/**
 * A long list that is read in pages, each behind the one before: as far as somebody has looked, and no
 * further.
 */

/**
 * @template T
 * @typedef {{items: T[], next?: unknown, total?: number}} Page `next` leads to the page behind it; absent on the last
 */

/** Rows of a page; more at once for whoever wants to be far below. */
const NEAR = 100;
const FAR = 1_000;
/** At most a hundred pages a second: that is what a caller may ask. */
const APART_MS = 10;

/** @template T */
export class Pages {
  /** @type {Array<{cursor: unknown, items: T[], next?: unknown}>} */ #pages = [];
  /** @type {number[]} where each page begins, and where the last one ends */ #starts = [0];
  #load;
  #total = 0;
  /** Changes when everything is read anew: what comes late then is of the list before. */
  #age = 0;
  #wanted = -1;
  #reaching = false;
  #onChange;

  /**
   * @param {(cursor: any, limit: number) => Promise<Page<T>>} load
   * @param {() => void} onChange
   */
  constructor(load, onChange) {
    this.#load = load;
    this.#onChange = onChange;
  }

  /** How long the list is, as far as is known. */
  get length() {
    return this.#isWhole ? this.loaded : Math.max(this.#total, this.loaded);
  }

  /** How much of it was read. */
  get loaded() {
    return /** @type {number} */ (this.#starts.at(-1));
  }

  /** Whether there is more of it than was read. */
  get hasMore() {
    return this.#pages.length > 0 && !this.#isWhole;
  }

  /** Whether that row is there, and was not read. @param {number} index */
  lacks(index) {
    return this.hasMore && index >= this.loaded;
  }

  get #isWhole() {
    return this.#pages.length > 0 && this.#pages.at(-1)?.next === undefined;
  }

  /** @param {number} index @returns {T | undefined} undefined: it was not read yet, or there is none */
  item(index) {
    const place = this.#pageOf(index);
    return this.#pages[place]?.items[index - this.#starts[place]];
  }

  /** Forgets all. */
  clear() {
    this.#age += 1;
    this.#pages = [];
    this.#starts = [0];
    this.#total = 0;
    this.#wanted = -1;
  }

  /** Reads on until that row is there. @param {number} index @returns {Promise<void>} */
  async reach(index) {
    this.#wanted = index;
    if (this.#reaching || !this.#pages.length) return;
    this.#reaching = true;
    const age = this.#age;
    try {
      while (age === this.#age && this.loaded <= this.#wanted && !this.#isWhole) {
        const limit = this.#wanted - this.loaded > FAR ? FAR : NEAR;
        const cursor = this.#pages.at(-1)?.next;
        const page = await this.#load(cursor, limit);
        if (age !== this.#age || cursor !== this.#pages.at(-1)?.next) continue;
        this.#pages.push({ cursor, ...page });
        this.#settle(page.total);
        await new Promise((resolve) => { setTimeout(resolve, APART_MS); });
      }
    } finally {
      this.#reaching = false;
    }
  }

  /**
   * Reads the pages anew that have these rows, as far as they were read. What stands below them is
   * forgotten if it does not go on where they end now.
   * @param {number} first @param {number} last
   */
  async refresh(first, last) {
    const age = this.#age;
    const end = Math.min(last, this.loaded - 1);
    const from = Math.min(this.#pageOf(first), Math.max(0, this.#pages.length - 1));
    let cursor = this.#pages[from]?.cursor;
    const fresh = [];
    let rows = this.#starts[from] ?? 0;
    do {
      const size = this.#pages[from + fresh.length]?.items.length ?? NEAR;
      const page = await this.#load(cursor, Math.min(FAR, Math.max(NEAR, size)));
      if (age !== this.#age) return;
      fresh.push({ cursor, ...page });
      cursor = page.next;
      rows += page.items.length;
      this.#total = page.total ?? this.#total;
    } while (rows <= end && cursor !== undefined);
    const behind = this.#pages.slice(from + fresh.length);
    const goesOn = behind[0] && same(behind[0].cursor, cursor);
    this.#pages = [...this.#pages.slice(0, from), ...fresh, ...(goesOn ? behind : [])];
    this.#settle();
  }

  /** @param {number} [total] */
  #settle(total = this.#total) {
    this.#total = total;
    this.#starts = [0];
    for (const { items } of this.#pages) this.#starts.push(/** @type {number} */ (this.#starts.at(-1)) + items.length);
    this.#onChange();
  }

  /** The page that has this row; behind the last if none has. @param {number} index */
  #pageOf(index) {
    let [low, high] = [0, this.#pages.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle + 1] <= index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Whether two cursors lead to the same place. @param {unknown} a @param {unknown} b */
function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
