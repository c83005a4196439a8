/**
 * One WebSocket that comes back: dialling, saying who we are, back-off, heartbeats, pacing, noticing when
 * the other side is gone, and which answer belongs to what. It knows nothing of channels and members.
 */

import { address, needsPage, withUser } from './address.js';
import { Credentials } from './credentials.js';
import { Emitter } from './emitter.js';
import { HerenowError } from './error.js';
import { outbox } from './outbox.js';
import { isHidden } from './page.js';
import { deferred } from './promise.js';
import { whyRefused } from './refusal.js';
import { stored } from './stored.js';

/** A connection that lasted this long was a good one: the next failure is a first failure. */
const STEADY_MS = 10_000;
/** A broker that says nothing for this long, when asked, is gone. Browsers hide pings from pages. */
const ANSWER_MS = 10_000;
/** The same while somebody looks, or where the network changed or the page was asleep. */
const PROBE_MS = 4_000;
/** While somebody looks, a connection that was silent for so long is asked for a sign of life. */
const SILENCE_MS = 10_000;
/** With an `id`, since the answer proves that the connection carries both ways. */
const HEARTBEAT = '{"type":"heartbeat","id":"hb"}';
/** Close codes that say: this client is wrong, and coming back will not mend it. */
const OUR_FAULT = [1002, 1003, 1007, 1009, 4008];
const TOKEN_EXPIRED = 4102;
/** For so long a goodbye may take. */
const GOODBYE_MS = 500;
/** No wait between two attempts is longer, unless the page wants it otherwise. */
export const MAX_RETRY_MS = 30_000;
/** The same while somebody looks. */
const LOOKED_AT_RETRY_MS = 10_000;
/** What goes before the address of a broker where the name is kept that it made up for us: a reload is no newcomer. */
const GUEST = 'herenow.guest ';
/** The code with which we close what we come back to: a loss, so that the grace of our joins begins. */
export const BACK_SOON = 4200;

/**
 * - `idle`: not dialled yet: nothing is wanted so far, or the page is not shown
 * - `connecting`: dialling, no welcome yet
 * - `open`: welcomed
 * - `waiting`: lost; `retryAt`, by `Date.now()`, says when the next attempt begins. Without an `error` the
 *   page was left, and may come back.
 * - `closed`: by us (`error.code` is `closed`), or by a broker that said not to come back
 * @typedef {{phase: 'idle', error?: undefined} | {phase: 'connecting', error?: undefined} | {phase: 'open', error?: undefined}
 *   | {phase: 'waiting', retryAt: number, error?: HerenowError}
 *   | {phase: 'closed', error: HerenowError}} State
 */

/** @typedef {import('./promise.js').Settle} Settle */
/** @typedef {import('./client.js').Options} Options */
/** @typedef {import('./client.js').Events} Events */
/** @typedef {import('./shapes.js').Welcome} Welcome */

/**
 * A frame that has an answer. `again`: it was not heard, since it came too fast or the connection was
 * lost. In the first case its topic has another turn.
 * @typedef {{frame: object, settle: Settle, again?: () => void}} Saying
 */

/** What a client makes of its link: it is told when that opens, is lost, or ends, and what was heard. @typedef {import('./client.js').Client<any>} Host */

/**
 * How long to wait before dialling again: full jitter, so that thousands who lost the same broker do
 * not come back in step (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
 * @param {number} failures attempts in a row that failed before this one
 * @param {Pick<Options, 'firstRetryMs' | 'maxRetryMs' | 'random'>} options
 */
export function retryDelay(failures, {
  firstRetryMs = 1_000, maxRetryMs = isHidden() ? MAX_RETRY_MS : LOOKED_AT_RETRY_MS, random = Math.random,
}) {
  return random() * Math.min(maxRetryMs, firstRetryMs * 2 ** failures);
}

/** @extends {Emitter<Events>} */
export class Link extends Emitter {
  /** The last `welcome` of the broker: its limits, its heartbeat, its version. @type {Welcome | null} */
  welcome = null;
  /** What went wrong last, until the broker is reached again. @type {HerenowError | null} */
  error = null;
  /** Whom this connection may see, as the broker names it. @type {string | undefined} @internal */
  sight;
  /** @type {State} */
  #state = { phase: 'idle' };
  #url;
  #options;
  #credentials;
  /** Whether all is told on the console, for whoever wonders why. */
  #debugs;
  #clockOffsetMs = 0;
  /** @type {any} */
  #socket = null;
  #failures = 0;
  #openedAt = 0;
  /** @type {any} the `goaway` of this connection */
  #goaway = null;
  /** @type {any} the `error` frame of this connection that no frame asked for: why it will be closed */
  #refused = null;
  /** Why the page is not let in at all. @type {Awaited<ReturnType<typeof whyRefused>>} */
  #foreign;
  /** @type {Record<string, ReturnType<typeof setTimeout> | undefined>} */
  #timers = {};
  /** What this connection has to say. @type {import('./outbox.js').Outbox | null} */
  #outbox = null;
  /** Frames of this connection that wait for their answer. @type {Map<number, Saying & {topic: object, make: () => Saying[]}>} */
  #pending = new Map();
  #lastId = 0;
  /** When a heartbeat was sent last. */
  #beatAt = 0;
  /** How often one is wanted: as often as the quickest wants it of the channels that we joined. */
  #intervalMs = 0;
  /** When the broker said something last. */
  #heardAt = 0;
  /** The one that may become a connection, or has: what an earlier one still has to say is void. @type {object | null} */
  #attempt = null;

  /** @param {string | URL} url @param {Options} options */
  constructor(url, options) {
    super();
    this.#url = needsPage(url) ? url : address(url);
    this.#options = options;
    this.#credentials = new Credentials(options.token, this);
    this.#debugs = options.debug ?? stored('localStorage', 'herenow') === 'debug';
  }

  get state() {
    return this.#state;
  }

  /** Who we are, as the broker says; empty before the first welcome. @returns {string} */
  get me() {
    return this.welcome?.user ?? '';
  }

  /** The broker's wall clock, in milliseconds since 1970. */
  now() {
    return Date.now() + this.#clockOffsetMs;
  }

  /**
   * Sends a line as a person types it, shorthand or JSON.
   * @param {string} text
   * @returns {boolean} false without a connection
   */
  send(text) {
    this.#outbox?.post({}, () => [text]);
    return this.isOpen;
  }

  // For the rest of the library.

  /** @throws {HerenowError} `no_websocket` @internal */
  get WebSocket() {
    const { WebSocket = globalThis.WebSocket } = this.#options;
    if (!WebSocket) throw new HerenowError('no_websocket', 'options.WebSocket is needed here');
    return WebSocket;
  }

  /** @internal */
  get isOpen() {
    return this.#state.phase === 'open';
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} argument
   * @internal
   */
  emit(name, argument) {
    if (name === 'error') this.error = /** @type {HerenowError} */ (argument);
    if (this.#debugs) tell(name, argument);
    super.emit(name, argument);
  }

  /** Dials now, unless there is a connection or an attempt already. */
  retry() {
    if (!this.#attempt) this.#dial();
  }

  /** The network or the page is back, perhaps: finds out now rather than later. @internal */
  nudge() {
    if (this.isOpen) this.#beat(PROBE_MS);
    else if (this.#state.phase === 'waiting') this.#dial();
  }

  /**
   * The page goes, and may come back from the browser's cache: hangs up until `retry`.
   * @param {number} code
   * @internal
   */
  suspend(code) {
    this.#hangUp(code);
    this.#set({ phase: 'waiting', retryAt: Infinity });
  }

  /** Says goodbye. @param {HerenowError} error why @internal */
  end(error) {
    this.#hangUp(1000);
    this.#set({ phase: 'closed', error });
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
    this.#outbox?.post(topic, () => make().flatMap((saying) => {
      const id = ++this.#lastId;
      const text = JSON.stringify({ id, ...saying.frame });
      const { messageBytes } = /** @type {Welcome} */ (this.welcome).limits;
      // Sent, it would be the end of the connection for good, and of all that is wanted of it.
      if (encodeURIComponent(text).replace(/%../g, ' ').length > messageBytes) {
        saying.settle(new HerenowError('too_large', `a frame must be at most ${messageBytes} bytes`));
        return [];
      }
      this.#pending.set(id, { ...saying, topic, make });
      return text;
    }), waitMs);
  }

  /**
   * Says a frame on this connection.
   * @param {object} frame
   * @returns {Promise<any>} its answer; null where the connection ends before
   * @internal
   */
  ask(frame) {
    const { promise, settle } = deferred();
    if (this.isOpen) this.post(frame, () => [{ frame, settle, again: () => this.isOpen || settle(null) }]);
    else settle(null);
    return promise;
  }

  async #dial() {
    this.#hangUp(BACK_SOON);
    const { waitMs } = this.#credentials;
    if (waitMs > 0) return this.#wait(waitMs, this.#state.error);
    const attempt = this.#attempt = {};
    this.#goaway = this.#refused = null;
    this.#set({ phase: 'connecting' });
    this.#expectAnswer(ANSWER_MS);
    try {
      const url = this.#url = address(this.#url);
      // A guest's name is made up by the broker, and stays the same on the next connection.
      const { token, user = this.me || stored('sessionStorage', GUEST + url) } = this.#options;
      const protocols = ['herenow.v1'];
      if (token !== undefined) protocols.push(`bearer.${await this.#credentials.take()}`);
      if (attempt !== this.#attempt) return;
      const socket = this.#socket = new this.WebSocket(token === undefined && user ? withUser(url, user) : url, protocols);
      socket.onmessage = (/** @type {any} */ { data }) => this.#hear(data);
      socket.onclose = (/** @type {any} */ { code, reason }) => {
        this.#lost(code, reason);
        // A broker that lets the WebSocket in and closes it has said why.
        if (!this.#openedAt && code === 1006) this.#ask(url);
      };
      socket.onerror = () => {}; // a close follows; without a listener some sockets throw
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#hangUp();
      const told = error instanceof HerenowError ? error : new HerenowError('unreachable', `${error}`, { cause: error });
      // No other attempt mends it that there is no such address, or no WebSocket.
      if (/token|unreach/.test(told.code)) this.#retryLater(told);
      else this.end(told);
    }
  }

  /** @param {string} text */
  #hear(text) {
    this.#heardAt = performance.now();
    clearTimeout(this.#timers.answer);
    this.#timers.answer = undefined;
    this.emit('frame', { direction: 'in', text });
    const frame = parse(text);
    const type = frame?.type;
    const isError = type === 'error';
    if (isError && (!this.isOpen || frame.code === 'token_expired')) this.#refused = frame;
    if (!this.isOpen) {
      if (!isError) this.#begin(frame);
    } else if (isError || type === 'ok' || type === 'result') this.#answered(frame);
    else if (type === 'heartbeatDue') this.#beat();
    else if (type === 'goaway') this.#goaway = frame;
    else if (frame) /** @type {Host} */ (/** @type {unknown} */ (this)).told(frame);
  }

  /** @param {any} frame the first one */
  #begin(frame) {
    if (frame?.type !== 'welcome' || frame.protocol !== 1) {
      return this.end(new HerenowError(
        'unsupported_protocol', `this client needs herenow protocol 1, not ${frame?.protocol ?? 'something else'}`,
      ));
    }
    const { token, user } = this.#options;
    const socket = this.#socket;
    this.#outbox = outbox(frame.limits, (text) => {
      socket.send(text);
      this.emit('frame', { direction: 'out', text });
    });
    this.welcome = frame;
    this.sight = frame.sight;
    this.#clockOffsetMs = frame.now - Date.now();
    this.#intervalMs = frame.heartbeat.intervalMs;
    this.#openedAt = this.#beatAt = this.#heardAt;
    this.#state = { phase: 'open' };
    this.#rest();
    if (token === undefined && !user) stored('sessionStorage', GUEST + this.#url, this.me);
    this.#credentials.accepted();
    /** @type {Host} */ (/** @type {unknown} */ (this)).opened();
    if (this.isOpen) this.#set(this.#state);
  }

  /** @param {any} frame */
  #answered(frame) {
    // At once: a snapshot that was made by the fresh token may be right behind its ok.
    this.sight = frame.sight ?? this.sight;
    const { id, code, message, heartbeat, retryAfterMs = 1_000 } = frame;
    if (heartbeat?.intervalMs < this.#intervalMs) {
      this.#intervalMs = heartbeat.intervalMs;
      this.#beat();
    }
    const error = code ? new HerenowError(code, message, frame) : null;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending && code === 'rate_limited') {
      pending.again?.();
      this.post(pending.topic, pending.make, retryAfterMs);
    } else if (pending) {
      pending.settle(error, frame);
    } else if (error && code === 'token_expired') {
      if (!this.#credentials.warned()) this.emit('error', error);
    }
  }

  #beat(patienceMs = isHidden() ? ANSWER_MS : PROBE_MS) {
    this.#beatAt = performance.now();
    this.send(HEARTBEAT);
    this.#expectAnswer(patienceMs);
    clearTimeout(this.#timers.beat);
    this.#rest();
  }

  /** Until the next heartbeat: the broker wants one so often, and a connection that is dead on one side says nothing. */
  #rest() {
    const silentAt = isHidden() ? Infinity : Math.max(this.#heardAt, this.#beatAt) + SILENCE_MS;
    const leftMs = Math.min(this.#beatAt + this.#intervalMs, silentAt) - performance.now();
    if (leftMs > 0) this.#timers.beat = setTimeout(() => this.#rest(), leftMs);
    else this.#beat();
  }

  /** @param {number} patienceMs */
  #expectAnswer(patienceMs) {
    this.#timers.answer ??= setTimeout(() => this.#lost(1006, 'no answer'), patienceMs);
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    if (this.isOpen && performance.now() - this.#openedAt >= STEADY_MS) this.#failures = 0;
    const error = this.#why(code, reason);
    this.#hangUp(BACK_SOON);
    const isRefused = code === TOKEN_EXPIRED || (code >= 4000 && code < 4100);
    if (OUR_FAULT.includes(code) || (isRefused && !this.#credentials.canMend(code))) this.end(error);
    else this.#retryLater(error);
  }

  /** Tells why, if it can be found out. @param {string} url */
  async #ask(url) {
    this.#foreign = await whyRefused(url);
    if (this.#foreign && this.#state.phase === 'waiting') this.#set({ ...this.#state, error: this.#why(1006, '') });
  }

  /** @param {number} code @param {string} reason @returns {HerenowError} */
  #why(code, reason) {
    const why = this.#goaway?.reason || reason || code;
    const { code: told, message, ...more } = this.#refused ?? this.#foreign ?? {
      code: code === 4003 ? 'kicked' : OUR_FAULT.includes(code) ? 'violation' : 'unreachable',
      message: this.isOpen ? `connection closed: ${why}` : 'no herenow broker answers here',
    };
    return new HerenowError(told, message, { ...more, closeCode: code });
  }

  /** @param {HerenowError} error */
  #retryLater(error) {
    // A broker that goes has spread its clients over this time already: no jitter, no growth. When a
    // token begins is of no use: the next is another.
    const waitMs = this.#goaway?.reconnectInMs
      ?? Math.max(error.field === 'token' ? 0 : error.retryAfterMs ?? 0, this.#credentials.waitMs, retryDelay(this.#failures++, this.#options));
    this.#wait(waitMs, error);
  }

  /** @param {number} waitMs @param {HerenowError} [error] why */
  #wait(waitMs, error) {
    this.#timers.retry = setTimeout(() => this.#dial(), waitMs);
    this.#set({ phase: 'waiting', retryAt: Date.now() + waitMs, error });
  }

  /** Lets go of the socket and of every timer. @param {number} [code] */
  #hangUp(code) {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    this.#outbox?.close();
    this.#outbox = null;
    this.#attempt = null;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onmessage = socket.onclose = null;
    socket.close(code);
    // In Node.js the other side, if it is gone, would keep the process for half a minute.
    if (socket.terminate) setTimeout(() => socket.terminate(), GOODBYE_MS);
  }

  /** @param {State} state */
  #set(state) {
    const { phase, error } = state;
    const wasOpen = this.isOpen;
    this.#state = state;
    if (wasOpen && !this.isOpen) this.#unplug();
    if (phase === 'open') this.error = null;
    if (phase === 'closed') /** @type {Host} */ (/** @type {unknown} */ (this)).ended(state.error);
    if (error && error.code !== 'closed') {
      const isNews = phase === 'closed' || error.code !== this.error?.code;
      this.error = error;
      // Told once until the broker is reached, however often we dial.
      if (isNews) this.emit('error', error);
    }
    this.emit('state', state);
  }

  /** What was asked on this connection is not answered on any other. */
  #unplug() {
    this.#credentials.lost();
    const asked = [...this.#pending.values()];
    this.#pending.clear();
    for (const { again } of asked) again?.();
    /** @type {Host} */ (/** @type {unknown} */ (this)).lost();
  }
}

/** @param {string} text @returns {any} what is in it, if it is JSON */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {} // told by whoever misses it
}

/** On the console. These end up in bug reports, and tokens shall not. @param {string} name @param {any} what */
function tell(name, what) {
  console.debug('herenow', name, what.text?.replace(/("token":")[^"]*/, '$1…') ?? what, what.direction ?? '');
}
