/**
 * One client: what we want of which channel and user, and the questions that wait for their answers.
 * Whatever is wanted is said again on every new connection.
 */

import { Channel } from './channel.js';
import { HerenowError } from './error.js';
import { copy } from './json.js';
import { BACK_SOON, Link, MAX_RETRY_MS } from './link.js';
import { whenShown } from './page.js';
import { deferred, taken } from './promise.js';
import { Requests } from './requests.js';
import { Users } from './user.js';

/** @typedef {import('./link.js').State} State */
/** @typedef {import('./shapes.js').Shape} Shape */
/** @typedef {import('./shapes.js').Welcome} Welcome */
/** @template {Shape} T @typedef {import('./shapes.js').AttributesOf<T>} AttributesOf */
/** @template {Shape} T @typedef {import('./shapes.js').InfoOf<T>} InfoOf */

/**
 * @typedef {object} Options
 * @property {string} [user] who we are, where the broker runs in open mode
 * @property {string | (() => string | Promise<string>)} [token] who we are, where it wants tokens. A
 *   function is asked for each connection, and again before its token expires.
 * @property {number} [graceMs] for how long others do not notice a lost connection; 10,000 if absent
 * @property {number} [timeoutMs] after which a promise without an answer rejects; 10,000 if absent
 * @property {number} [firstRetryMs] the back-off's first bound; 1,000 if absent
 * @property {number} [maxRetryMs] its last; 10,000 if absent, and 30,000 while the page is hidden
 * @property {'leave' | 'grace'} [onPageHide] what a page that is closed or reloaded does: `leave` at
 *   once (if absent), or go as if the connection were lost, so that a reload within the grace is
 *   not seen by others
 * @property {boolean} [lazy] dials when something is wanted first: to watch, to join, to ask. If absent,
 *   so it is where there is no document: on a server that renders, nobody is present.
 * @property {boolean} [autoConnect] false: dials only when told to `connect`
 * @property {boolean} [debug] tells every frame, state and error on the console. If absent, so it is in
 *   a page with `localStorage.herenow = 'debug'`.
 * @property {any} [WebSocket] the constructor, where there is no global one
 * @property {() => number} [random] instead of `Math.random`
 */

/**
 * @typedef {object} Events
 * @property {State} state
 * @property {HerenowError} error what no promise tells
 * @property {{direction: 'in' | 'out', text: string}} frame every message, as it is
 */

/** @typedef {import('./promise.js').Settle} Settle */

/** @typedef {import('./link.js').Saying} Saying */

/**
 * @template {Shape} [T=Shape]
 */
export class Client extends Link {
  #options;
  #users = new Users(this);
  /** @type {Map<string, Channel<any, any>>} */
  #channels = new Map();
  #requests = new Requests(this);
  /** Promises that nobody has kept or broken yet. @type {Set<Settle>} */
  #open = new Set();
  /** Whether we said that we are away, everywhere. @internal */
  isAway = false;
  /** Who waits until that is known. @type {Set<Settle>} */
  #turning = new Set();
  #gone = new AbortController();

  /** @param {string | URL} url @param {Options} [options] */
  constructor(url, options = {}) {
    super(url, options);
    this.#options = options;
    this.#listen();
    const { lazy = !globalThis.document } = options;
    if (!lazy && this.WebSocket) this.#wake();
  }

  #wake() {
    if (this.state.phase !== 'idle' || this.#options.autoConnect === false) return;
    // Later, so that whoever calls us can listen first.
    queueMicrotask(() => this.retry());
  }

  /**
   * The channel of that name; always the same object.
   * @template {object} [A=AttributesOf<T>] what its members carry, where that differs from other channels
   * @param {string} name
   * @returns {Channel<A, InfoOf<T>>}
   */
  channel(name) {
    const channel = this.#channels.get(name) ?? new Channel(this, name);
    this.#channels.set(name, channel);
    return channel;
  }

  /** A user's status apart from any channel. @param {string} id @returns {import('./user.js').User<InfoOf<T>>} */
  user(id) {
    return this.#users.get(id);
  }

  /**
   * Sets our own status: what is absent stays as it is.
   * @param {{busy?: boolean, invisible?: boolean, waitTime?: number | null, text?: string | null}} patch
   * @returns {Promise<void>}
   */
  status(patch) {
    return this.request({ type: 'setStatus', ...patch }, () => undefined);
  }

  /**
   * Says that we are away from here, or back: in all channels, and in our status. Others see us as away
   * while that is so of all our pages and devices.
   * @param {boolean} [away]
   * @returns {Promise<void>}
   */
  away(away = true) {
    return this.promise((settle) => {
      this.isAway = away;
      this.#turning.add(settle);
      this.#sayAway();
    }, true);
  }

  #sayAway() {
    this.post(this.#turning, () => {
      const { isAway: away } = this;
      this.#channels.forEach((channel) => channel.turned(away));
      return [{ frame: { type: 'away', away }, ...taken(this.#turning) }];
    });
  }

  /**
   * All channels that a user is a member of, by name; our own without a name.
   * @param {string} [user]
   * @param {string} [after] only those behind this one
   * @returns {Promise<string[]>}
   */
  getChannels(user, after) {
    return this.request({ type: 'getChannels', user, after }, async ({ channels, next }) => (
      next ? [...channels, ...await this.getChannels(user, next)] : channels
    ));
  }

  /**
   * Any frame of the protocol that has an answer; its `id` is given here. It is said again after a
   * lost connection, until it is answered. What is no question is done in the order of the calls.
   * @param {object} frame
   * @param {(answer: any) => any} [read] what of the answer is wanted
   * @returns {Promise<any>} the `ok` or `result`
   */
  request(frame, read = (answer) => answer) {
    return this.promise((settle) => (
      this.#requests.add(copy(frame, 'frame'), (error, answer) => settle(error, error ?? read(answer)))
    ));
  }

  /** Dials now, where it waits to be told so or for something to be wanted (`autoConnect`, `lazy`). */
  connect() {
    this.retry();
  }

  /** Dials now instead of later; also after the broker said not to come back. */
  retry() {
    if (this.state.error?.code !== 'closed') whenShown(() => super.retry(), this.#gone.signal);
  }

  /**
   * Finds out now whether the connection carries, for an app that comes back to the foreground; dials
   * again if not.
   * @returns {Promise<boolean>} false if it did not: then it is on its way
   */
  check() {
    this.nudge();
    return this.ask({ type: 'heartbeat' }).then(Boolean, () => false);
  }

  /** Says goodbye for good: leaves all channels. Whatever is still promised rejects with `closed`. */
  close() {
    this.#gone.abort();
    this.end(new HerenowError('closed', 'this client was closed'));
  }

  // For the rest of the library.

  /** For how long others shall not notice a lost connection, as far as the broker allows. @internal */
  get graceMs() {
    return Math.min(this.#options.graceMs ?? 10_000, this.welcome?.limits.graceMs ?? Infinity);
  }

  /** How long it may take after a restart until all are back. @internal */
  get returnMs() {
    return Math.max(this.graceMs, this.#options.maxRetryMs ?? MAX_RETRY_MS);
  }

  /**
   * A promise that is always settled: by its maker, by the time, or by the end of the client.
   * @param {(settle: Settle) => (() => void) | void} make may return what to do if time runs out
   * @param {boolean} [wanted] whether it goes on being wanted then
   * @returns {Promise<any>}
   * @internal
   */
  promise(make, wanted = false) {
    const { timeoutMs = 10_000 } = this.#options;
    const { promise, settle: tell } = deferred();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {Settle} */
    const settle = (error, answer) => {
      clearTimeout(timer);
      this.#open.delete(settle);
      tell(error, answer);
    };
    /** @type {(() => void) | void} */
    let cancel;
    whenShown(() => {
      timer = setTimeout(() => {
        cancel?.();
        const cause = this.state.error;
        settle(new HerenowError('timeout', `no answer in ${timeoutMs} ms${cause ? `: ${cause.message}` : ''}`, { cause, wanted }));
      }, timeoutMs);
    }, this.#gone.signal);
    this.#open.add(settle);
    try {
      if (this.state.phase === 'closed') throw this.state.error;
      cancel = make(settle);
    } catch (error) {
      settle(/** @type {HerenowError} */ (error));
    }
    return promise;
  }

  /**
   * Asks for a turn to say something. Without a connection it is nothing: with the next one, all that is
   * wanted is said.
   * @param {object} topic
   * @param {() => Saying[]} make what is to be said when the turn has come
   * @param {number} [waitMs]
   * @internal
   */
  post(topic, make, waitMs) {
    this.#wake();
    super.post(topic, make, waitMs);
  }

  /** @internal */
  opened() {
    // Before all else: from its first frame on this connection says whether we are away.
    if (this.isAway || this.#turning.size) this.#sayAway();
    this.#channels.forEach((channel) => channel.restore());
    this.#channels.forEach((channel) => channel.watchAgain());
    this.#users.restore();
    this.#requests.say();
  }

  /** @internal */
  lost() {
    this.#users.interrupted();
    this.#channels.forEach((channel) => channel.interrupted());
  }

  /** @param {any} frame @internal */
  told(frame) {
    switch (frame.type) {
      case 'status':
        return this.#users.told(frame);
      case 'removed':
        for (const name of frame.channels) this.#channels.get(name)?.removed(frame.reason);
        if (frame.users) this.#users.removed(frame.users);
        return;
      default:
        this.#channels.get(frame.channel)?.frame(frame);
    }
  }

  /** @param {HerenowError} error @internal */
  ended(error) {
    this.#requests.clear();
    this.#channels.forEach((channel) => channel.ended());
    for (const settle of [...this.#open]) settle(error);
  }

  /** What a page or a worker can know of its network and of itself beats any timer. */
  #listen() {
    const { addEventListener, document } = globalThis;
    if (!addEventListener) return;
    const options = { signal: this.#gone.signal };
    const nudge = () => this.nudge();
    addEventListener('online', nudge, options);
    addEventListener('offline', nudge, options);
    if (!document) return;
    addEventListener('pagehide', () => {
      this.suspend(this.#options.onPageHide === 'grace' ? BACK_SOON : 1000);
    }, options);
    addEventListener('pageshow', (event) => event.persisted && this.retry(), options);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) nudge();
      this.#channels.forEach((channel) => channel.visibilityChanged());
    }, options);
  }
}
