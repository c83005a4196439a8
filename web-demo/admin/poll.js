/** Asking again and again, as long as somebody looks. */

/** A question may take this part of the time that passes: a busy broker is asked less often. */
const SHARE = 20;
const LONGEST_MS = 60_000;

/** Asks in turn, never twice at once, and not while the page is hidden. */
export class Poll {
  #ask;
  #everyMs;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #running = false;
  #asking = false;
  #lastMs = -Infinity;
  /** From the last time to the next, if nothing happens. */ #restMs = 0;
  /** The same, as whoever has news wants it. */ #wantedMs = Infinity;
  /** The same, as the broker wants it. */ #refusedMs = 0;

  /**
   * @param {() => Promise<number>} ask tells how long to wait before the next time, at least
   * @param {number} everyMs
   */
  constructor(ask, everyMs) {
    this.#ask = ask;
    this.#everyMs = everyMs;
    document.addEventListener('visibilitychange', () => this.#plan());
  }

  start() {
    this.#running = true;
    this.soon();
  }

  stop() {
    this.#running = false;
    this.#plan();
  }

  /** Something may have changed. @param {number} [apartMs] not sooner than so long after the last time */
  soon(apartMs = 0) {
    this.#wantedMs = Math.min(this.#wantedMs, apartMs);
    this.#plan();
  }

  #plan() {
    clearTimeout(this.#timer);
    if (!this.#running || this.#asking || document.hidden) return;
    const rest = Math.max(this.#refusedMs, Math.min(this.#restMs, this.#wantedMs));
    this.#timer = setTimeout(() => this.#turn(), Math.max(0, this.#lastMs + rest - performance.now()));
  }

  async #turn() {
    this.#asking = true;
    this.#wantedMs = Infinity;
    const begun = performance.now();
    try {
      this.#refusedMs = await this.#ask();
    } finally {
      this.#asking = false;
      this.#lastMs = performance.now();
      this.#restMs = Math.min(LONGEST_MS, Math.max(this.#everyMs, (this.#lastMs - begun) * SHARE));
      this.#plan();
    }
  }
}
