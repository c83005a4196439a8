/**
 * One WebSocket that comes back: dialling, back-off, heartbeats, pacing, and noticing when the other
 * side is gone. It knows nothing of channels and members.
 */

import { HerenowError } from './error.js';
import { Outbox } from './outbox.js';
import { isHidden } from './page.js';
import { whyRefused } from './refusal.js';

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

/**
 * @typedef {object} Host whose link it is
 * @property {() => Promise<{url: string, protocols: string[]}>} dial what the next connection needs
 * @property {(state: State) => void} onState
 * @property {(welcome: any) => void} onOpen before `onState`, so that who hears of it knows who we are
 * @property {() => void} onLost
 * @property {(frame: any) => void} onFrame everything but `welcome` and what concerns the link alone
 * @property {(direction: 'in' | 'out', text: string) => void} onText every message as it is
 *
 * @typedef {object} LinkOptions
 * @property {any} [WebSocket] the constructor; the global one if absent
 * @property {number} [firstRetryMs] the first wait is no longer; 1,000 if absent
 * @property {number} [maxRetryMs] no wait is longer; if absent 30,000, or 10,000 while somebody looks
 * @property {() => number} [random] between 0 and 1
 */

/**
 * How long to wait before dialling again: full jitter, so that thousands who lost the same broker do
 * not come back in step (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
 * @param {number} failures attempts in a row that failed before this one
 * @param {LinkOptions} options
 */
export function retryDelay(failures, { firstRetryMs = 1_000, maxRetryMs = MAX_RETRY_MS, random = Math.random }) {
  return random() * Math.min(maxRetryMs, firstRetryMs * 2 ** failures);
}

export class Link {
  /** @type {State} */
  state = { phase: 'idle' };
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
  /** What this connection has to say. @type {Outbox | null} */
  #outbox = null;
  /** A heartbeat is sent at least this often. */
  #intervalMs = 0;
  /** When the broker said something last. */
  #heardAt = 0;
  /** Whether there is a connection, or will be if all goes well. */
  #busy = false;
  /** Which attempt this is: what an earlier one still has to say is void. */
  #attempt = 0;

  #host;
  #options;
  #credentials;

  /** @param {Host} host @param {LinkOptions} options @param {import('./credentials.js').Credentials} credentials */
  constructor(host, options, credentials) {
    this.#host = host;
    this.#options = options;
    this.#credentials = credentials;
  }

  /** @throws {HerenowError} `no_websocket` */
  get WebSocket() {
    const { WebSocket = globalThis.WebSocket } = this.#options;
    if (!WebSocket) throw new HerenowError('no_websocket', 'options.WebSocket is needed here');
    return WebSocket;
  }

  get isOpen() {
    return this.state.phase === 'open';
  }

  /** Dials now, unless there is a connection or an attempt already. */
  retry() {
    if (!this.#busy) this.#dial();
  }

  /** The network or the page is back, perhaps: find out now rather than later. */
  nudge() {
    if (this.isOpen) this.#beat(PROBE_MS);
    else if (this.state.phase === 'waiting') this.#dial();
  }

  /**
   * The page goes, and may come back from the browser's cache: hangs up until `retry`.
   * @param {number} code
   */
  suspend(code) {
    this.#hangUp(code);
    this.#set({ phase: 'waiting', retryAt: Infinity });
  }

  /** Says goodbye. @param {HerenowError} error why */
  close(error) {
    this.#hangUp(1000);
    this.#set({ phase: 'closed', error });
  }

  /** @param {string} text @returns {boolean} false without a connection */
  send(text) {
    this.post({}, () => [text]);
    return this.isOpen;
  }

  /**
   * Asks for a turn to say something, on this connection.
   * @param {unknown} topic
   * @param {import('./outbox.js').Make} make
   * @param {number} [waitMs]
   */
  post(topic, make, waitMs) {
    this.#outbox?.post(topic, make, waitMs);
  }

  async #dial() {
    this.#hangUp(BACK_SOON);
    const { waitMs } = this.#credentials;
    if (waitMs > 0 && this.state.error) return this.#wait(waitMs, this.state.error);
    const attempt = this.#attempt;
    this.#goaway = this.#refused = null;
    this.#busy = true;
    this.#set({ phase: 'connecting' });
    this.#expectAnswer(ANSWER_MS);
    try {
      const { url, protocols } = await this.#host.dial();
      if (attempt !== this.#attempt) return;
      const socket = new this.WebSocket(url, protocols);
      this.#socket = socket;
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
      else this.close(told);
    }
  }

  /** @param {unknown} text */
  #hear(text) {
    if (typeof text !== 'string') return;
    this.#heardAt = performance.now();
    clearTimeout(this.#timers.answer);
    this.#timers.answer = undefined;
    this.#host.onText('in', text);
    const frame = parse(text);
    if (!this.isOpen && frame?.type !== 'error') return this.#begin(frame);
    switch (frame?.type) {
      case 'ok':
      case 'error':
        if (frame.id === 'hb') return;
        if (!this.isOpen || frame.code === 'token_expired') this.#refused = frame;
        break;
      case 'heartbeatDue': return this.#beat();
      case 'goaway': this.#goaway = frame;
    }
    if (frame && this.isOpen) this.#host.onFrame(frame);
  }

  /** @param {any} frame the first one */
  #begin(frame) {
    if (frame?.type !== 'welcome' || frame.protocol !== 1) {
      return this.close(new HerenowError(
        'unsupported_protocol', `this client needs herenow protocol 1, not ${frame?.protocol ?? 'something else'}`,
      ));
    }
    const socket = this.#socket;
    this.#outbox = new Outbox(frame.limits, (text) => {
      socket.send(text);
      this.#host.onText('out', text);
    });
    this.#openedAt = performance.now();
    this.#intervalMs = frame.heartbeat.intervalMs;
    this.#rest();
    this.#listen(SILENCE_MS);
    this.state = { phase: 'open' };
    this.#host.onOpen(frame);
    if (this.isOpen) this.#set({ phase: 'open' });
  }

  #beat(patienceMs = isHidden() ? ANSWER_MS : PROBE_MS) {
    this.send(HEARTBEAT);
    this.#expectAnswer(patienceMs);
    this.#rest();
  }

  /** Until the next heartbeat. */
  #rest() {
    clearTimeout(this.#timers.beat);
    this.#timers.beat = setTimeout(() => this.#beat(), this.#intervalMs);
  }

  /** A connection that is dead on one side says nothing. @param {number} inMs */
  #listen(inMs) {
    this.#timers.silence = setTimeout(() => {
      const silentMs = performance.now() - this.#heardAt;
      const isLong = silentMs >= SILENCE_MS;
      if (isLong && !isHidden()) this.#beat();
      this.#listen(isLong ? SILENCE_MS : SILENCE_MS - silentMs);
    }, inMs);
  }

  /** @param {number} patienceMs */
  #expectAnswer(patienceMs) {
    if (this.#timers.answer) return;
    this.#timers.answer = setTimeout(() => this.#lost(1006, 'no answer'), patienceMs);
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    if (this.isOpen && performance.now() - this.#openedAt >= STEADY_MS) this.#failures = 0;
    const error = this.#why(code, reason);
    this.#hangUp(BACK_SOON);
    const isRefused = code === TOKEN_EXPIRED || (code >= 4000 && code < 4100);
    if (OUR_FAULT.includes(code) || (isRefused && !this.#credentials.canMend(code))) this.close(error);
    else this.#retryLater(error);
  }

  /** Tells why, if it can be found out. @param {string} url */
  async #ask(url) {
    this.#foreign = await whyRefused(url);
    const { state } = this;
    if (this.#foreign && state.phase === 'waiting') this.#set({ ...state, error: this.#why(1006, '') });
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
      ?? Math.max(error.field === 'token' ? 0 : error.retryAfterMs ?? 0, this.#credentials.waitMs, retryDelay(this.#failures++, {
        ...this.#options, maxRetryMs: this.#options.maxRetryMs ?? (isHidden() ? MAX_RETRY_MS : LOOKED_AT_RETRY_MS),
      }));
    this.#wait(waitMs, error);
  }

  /** @param {number} waitMs @param {HerenowError} error why */
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
    this.#busy = false;
    this.#attempt += 1;
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
    const wasOpen = this.isOpen;
    this.state = state;
    if (wasOpen && !this.isOpen) this.#host.onLost();
    this.#host.onState(state);
  }
}

/** @param {string} text @returns {any} what is in it, if it is JSON */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {} // told by whoever misses it
}
