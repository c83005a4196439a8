/**
 * One client: who we are, what we want of which channel and user, and the questions that wait for
 * their answers. Whatever is wanted is said again on every new connection.
 */

import { Channel } from './channel.js';
import { Emitter } from './emitter.js';
import { HerenowError } from './error.js';
import { BACK_SOON, Link, MAX_RETRY_MS } from './link.js';
import { expiry } from './token.js';
import { Users } from './user.js';

/** @typedef {import('./link.js').State} State */
/** @typedef {import('./user.js').Status} Status */

/**
 * @typedef {object} Options
 * @property {string} [user] who we are, where the broker runs in open mode
 * @property {string | (() => string | Promise<string>)} [token] who we are, where it wants tokens. A
 *   function is asked for each connection, and again before its token expires.
 * @property {number} [graceMs] for how long others do not notice a lost connection; 10,000 if absent
 * @property {number} [timeoutMs] after which a promise without an answer rejects; 10,000 if absent
 * @property {number} [firstRetryMs] the back-off's first bound; 1,000 if absent
 * @property {number} [maxRetryMs] its last; 30,000 if absent
 * @property {'leave' | 'grace'} [onPageHide] what a page that is closed or reloaded does: `leave` at
 *   once (if absent), or go as if the connection were lost, so that a reload within the grace is
 *   not seen by others
 * @property {any} [WebSocket] the constructor, where there is no global one
 * @property {() => number} [random] instead of `Math.random`
 */

/**
 * @typedef {object} Events
 * @property {State} state
 * @property {HerenowError} error what no promise tells
 * @property {{direction: 'in' | 'out', text: string}} frame every message, as it is
 */

/** @typedef {(error: HerenowError | null, answer?: any) => void} Settle */

/**
 * What becomes of a frame whose connection is lost before its answer: it is sent `again` on the next;
 * it is a matter of that connection and so `done`; or it is dropped, since whoever wants something
 * says so when asked to `restore`.
 * @typedef {'again' | 'done' | 'drop'} IfLost
 */

/** So many requests may wait for their answers. */
const MAX_PENDING = 1_000;
/** The longest that a timer can be set to. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A token is renewed so long before it expires, or after two thirds of its life if that is less. */
const RENEW_AHEAD_MS = 30_000;

/** @extends {Emitter<Events>} */
export class Client extends Emitter {
  /** The last `welcome` of the broker: its limits, its heartbeat, its version. @type {any} */
  welcome = null;
  /** What went wrong last, until the broker is reached again. @type {HerenowError | null} */
  error = null;
  /** Whom this connection may see, as the broker names it. @type {string | undefined} @internal */
  sight;
  #url;
  #options;
  #link;
  #users = new Users(this);
  #clockOffsetMs = 0;
  #lastId = 0;
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** Frames that wait for their answer. @type {Map<number, {frame: object, settle: Settle, ifLost: IfLost}>} */
  #pending = new Map();
  /** Promises that nobody has kept or broken yet. @type {Set<Settle>} */
  #open = new Set();
  /** When the token in use expires, as far as it says. @type {number | null} */
  #expiresAt = null;
  #reached = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;
  #gone = new AbortController();

  /** @param {string | URL} url @param {Options} [options] */
  constructor(url, options = {}) {
    super();
    this.#url = address(url);
    this.#options = options;
    this.#link = new Link(this, options);
    this.#listen();
    // Later, so that whoever calls us can listen first.
    queueMicrotask(() => this.retry());
  }

  /** Who we are, as the broker says; empty before the first welcome. @returns {string} */
  get me() {
    return this.welcome?.user ?? '';
  }

  get state() {
    return this.#link.state;
  }

  /** The broker's wall clock, in milliseconds since 1970. */
  now() {
    return Date.now() + this.#clockOffsetMs;
  }

  /** The channel of that name; always the same object. @param {string} name */
  channel(name) {
    const channel = this.#channels.get(name) ?? new Channel(this, name);
    this.#channels.set(name, channel);
    return channel;
  }

  /** A user's status apart from any channel. @param {string} id */
  user(id) {
    return this.#users.get(id);
  }

  /**
   * Sets our own status: what is absent stays as it is.
   * @param {{busy?: boolean, invisible?: boolean, waitTime?: number | null, text?: string | null}} patch
   * @returns {Promise<void>}
   */
  async status(patch) {
    await this.request({ type: 'setStatus', ...patch });
  }

  /**
   * All channels that a user is a member of, by name; our own without a name.
   * @param {string} [user]
   * @param {string} [after] only those behind this one
   * @returns {Promise<string[]>}
   */
  async getChannels(user, after) {
    const { channels, next } = await this.request({ type: 'getChannels', user, after });
    if (next) channels.push(...await this.getChannels(user, next));
    return channels;
  }

  /**
   * Any frame of the protocol that has an answer; its `id` is given here. It is said again after a
   * lost connection, until it is answered.
   * @param {object} frame
   * @returns {Promise<any>} the `ok` or `result`
   */
  request(frame) {
    return this.promise((settle) => {
      const id = this.ask(frame, settle, 'again');
      return () => this.#pending.delete(id);
    });
  }

  /**
   * Sends a line as a person types it, shorthand or JSON.
   * @param {string} text
   * @returns {boolean} false without a connection
   */
  send(text) {
    return this.#link.send(text);
  }

  /** Dials now instead of later; also after the broker said not to come back. */
  retry() {
    if (this.state.error?.code !== 'closed') this.#link.retry();
  }

  /** Says goodbye for good: leaves all channels. Whatever is still promised rejects with `closed`. */
  close() {
    this.#gone.abort();
    this.#link.close(new HerenowError('closed', 'this client was closed'));
  }

  // For the rest of the library.

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} argument
   * @internal
   */
  emit(name, argument) {
    if (name === 'error') this.error = /** @type {HerenowError} */ (argument);
    super.emit(name, argument);
  }

  /** For how long others shall not notice a lost connection. @internal */
  get graceMs() {
    return this.#options.graceMs ?? 10_000;
  }

  /** How long it may take after a restart until all are back. @internal */
  get returnMs() {
    return Math.max(this.graceMs, this.#options.maxRetryMs ?? MAX_RETRY_MS);
  }

  /**
   * A promise that is always settled: by its maker, by the time, or by the end of the client.
   * @param {(settle: Settle) => (() => void) | void} make may return what to do if time runs out
   * @returns {Promise<any>}
   * @internal
   */
  promise(make) {
    const { timeoutMs = 10_000 } = this.#options;
    return new Promise((resolve, reject) => {
      /** @type {Settle} */
      const settle = (error, answer) => {
        clearTimeout(timer);
        this.#open.delete(settle);
        if (error) reject(error);
        else resolve(answer);
      };
      const timer = setTimeout(() => {
        cancel?.();
        const cause = this.state.error;
        settle(new HerenowError('timeout', `no answer in ${timeoutMs} ms${cause ? `: ${cause.message}` : ''}`, { cause }));
      }, timeoutMs);
      /** @type {(() => void) | void} */
      let cancel;
      if (this.state.phase === 'closed') return settle(this.state.error);
      this.#open.add(settle);
      cancel = make(settle);
    });
  }

  /**
   * Sends a frame and hears its answer.
   * @param {object} frame
   * @param {Settle} settle
   * @param {IfLost} [ifLost]
   * @returns {number} its id
   * @internal
   */
  ask(frame, settle, ifLost = 'drop') {
    const id = ++this.#lastId;
    if (!this.#link.isOpen && ifLost !== 'again') {
      if (ifLost === 'done') settle(null);
    } else if (this.#pending.size >= MAX_PENDING) {
      settle(new HerenowError('too_many_requests', `${MAX_PENDING} requests wait already`));
    } else {
      this.#pending.set(id, { frame, settle, ifLost });
      this.#transmit(id);
    }
    return id;
  }

  /** @param {number} id */
  #transmit(id) {
    const pending = this.#pending.get(id);
    if (pending) this.#link.send(JSON.stringify({ id, ...pending.frame }));
  }

  /** Whether each connection can have a fresh token. @internal */
  get isRenewable() {
    return typeof this.#options.token === 'function';
  }

  /** What the next connection needs. @returns {Promise<{url: string, protocols: string[]}>} @internal */
  async dial() {
    const url = new URL(this.#url);
    const protocols = ['herenow.v1'];
    // A guest's name is made up by the broker, and stays the same on the next connection.
    const { token, user = this.me } = this.#options;
    if (token !== undefined) protocols.push(`bearer.${await this.#freshToken()}`);
    else if (user) url.searchParams.set('user', user);
    return { url: url.href, protocols };
  }

  /** @returns {Promise<string>} */
  async #freshToken() {
    const { token } = this.#options;
    try {
      const fresh = typeof token === 'function' ? await token() : /** @type {string} */ (token);
      this.#expiresAt = expiry(fresh);
      return fresh;
    } catch (cause) {
      throw new HerenowError('token_failed', `options.token failed: ${cause}`, { cause });
    }
  }

  #scheduleRenewal() {
    clearTimeout(this.#renewal);
    if (this.#expiresAt === null || !this.isRenewable) return;
    const lifeMs = this.#expiresAt - this.now();
    const waitMs = lifeMs - Math.min(RENEW_AHEAD_MS, lifeMs / 3);
    this.#renewal = setTimeout(() => this.#renew(), Math.min(waitMs, MAX_TIMER_MS));
  }

  /** Goes on with a fresh token on the same connection. */
  async #renew() {
    try {
      const token = await this.#freshToken();
      this.ask({ type: 'auth', token }, (error, answer) => {
        if (error) return this.emit('error', error);
        if (answer) this.sight = answer.sight;
        this.#scheduleRenewal();
      });
    } catch (error) {
      // The broker ends the connection in time, and then the next one asks for a token again.
      this.emit('error', /** @type {HerenowError} */ (error));
    }
  }

  /** @param {State} state @internal */
  onState(state) {
    const { phase, error } = state;
    if (phase === 'open') this.error = null;
    if (phase === 'closed') this.#rejectAll(error);
    if (error && error.code !== 'closed') {
      this.error = error;
      // Told once until the broker is reached, however often we dial.
      if (this.#reached || phase === 'closed') this.emit('error', error);
      this.#reached = false;
    }
    this.emit('state', state);
  }

  /** @param {any} welcome @internal */
  onOpen(welcome) {
    this.#reached = true;
    this.welcome = welcome;
    this.sight = welcome.sight;
    this.#clockOffsetMs = welcome.now - Date.now();
    this.#scheduleRenewal();
    const unanswered = [...this.#pending.keys()];
    for (const channel of this.#channels.values()) channel.restore();
    this.#users.restore();
    for (const id of unanswered) this.#transmit(id);
  }

  /** @internal */
  onLost() {
    clearTimeout(this.#renewal);
    for (const [id, { settle, ifLost }] of this.#pending) {
      if (ifLost !== 'again') this.#pending.delete(id);
      if (ifLost === 'done') settle(null);
    }
    for (const channel of this.#channels.values()) channel.interrupted();
  }

  /** @param {any} frame @internal */
  onFrame(frame) {
    switch (frame.type) {
      case 'ok':
      case 'result':
      case 'error':
        return this.#answered(frame);
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

  /** @param {'in' | 'out'} direction @param {string} text @internal */
  onText(direction, text) {
    this.emit('frame', { direction, text });
  }

  /** @param {any} frame */
  #answered(frame) {
    const { id, code, message, retryAfterMs = 1_000 } = frame;
    const error = code ? new HerenowError(code, message, frame) : null;
    const pending = this.#pending.get(id);
    if (pending && code === 'rate_limited') {
      setTimeout(() => this.#transmit(id), retryAfterMs);
    } else if (pending) {
      this.#pending.delete(id);
      pending.settle(error, frame);
    } else if (error && code === 'token_expired') {
      if (this.isRenewable) this.#renew();
      else this.emit('error', error);
    }
  }

  /** @param {HerenowError} error */
  #rejectAll(error) {
    this.#pending.clear();
    for (const channel of this.#channels.values()) channel.ended();
    for (const settle of [...this.#open]) settle(error);
  }

  /** What a page or a worker can know of its network and of itself beats any timer. */
  #listen() {
    const { addEventListener, document } = globalThis;
    if (!addEventListener) return;
    const options = { signal: this.#gone.signal };
    const nudge = () => this.#link.nudge();
    addEventListener('online', nudge, options);
    addEventListener('offline', nudge, options);
    if (!document) return;
    addEventListener('pagehide', () => {
      this.#link.suspend(this.#options.onPageHide === 'grace' ? BACK_SOON : 1000);
    }, options);
    addEventListener('pageshow', (event) => event.persisted && this.retry(), options);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) nudge();
      for (const channel of this.#channels.values()) channel.visibilityChanged();
    }, options);
  }
}

/** @param {string | URL} url @returns {URL} */
function address(url) {
  try {
    const full = new URL(url, globalThis.location?.href);
    full.protocol = full.protocol.replace('http', 'ws');
    full.hash = '';
    if (full.pathname === '/') full.pathname = '/ws';
    if (full.protocol.startsWith('ws')) return full;
  } catch {} // told below
  throw new HerenowError('invalid_url', `${url} is not like wss://HOST/ws`);
}
