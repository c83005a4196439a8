/**
 * One WebSocket that comes back: dialling, back-off, heartbeats, and noticing when the other side
 * is gone. It knows nothing of channels and members.
 */

/** First wait after a loss, in milliseconds. Doubles with each further failure. */
export const FIRST_WAIT_MS = 500;
/** No wait is longer, so that a page left open finds the broker soon after it is back. */
export const LONGEST_WAIT_MS = 30_000;
/** A connection that lasted this long was a good one: the next failure is a first failure. */
export const STEADY_MS = 10_000;
/** A broker that says nothing for this long, when asked, is gone. Browsers hide pings from pages. */
export const ANSWER_MS = 10_000;

/** The `id` of our heartbeats: the answer proves that the connection carries both ways. */
const HEARTBEAT_ID = 'hb';

/**
 * - `connecting`: dialling, no welcome yet
 * - `open`: welcomed
 * - `waiting`: lost, `retryAt` says when the next attempt begins
 * - `ended`: the broker said not to come back
 * @typedef {{phase: 'connecting'}
 *   | {phase: 'open', welcome: any}
 *   | {phase: 'waiting', retryAt: number, code: number, reason: string}
 *   | {phase: 'ended', code: number, reason: string}} LinkState
 */

/**
 * @typedef {object} LinkListener
 * @property {(state: LinkState) => void} state
 * @property {(frame: any) => void} frame every frame that is an object, the welcome too
 * @property {(direction: 'in' | 'out', text: string) => void} raw every message as it is
 */

/**
 * Whether to come back after a close, and when: null means never.
 *
 * @param {object} loss
 * @param {number} loss.code the Close code; 1006 if the connection just broke
 * @param {number} loss.failures how many attempts in a row have failed before this one
 * @param {number | null} loss.goawayMs what the broker asked for in `goaway`
 * @param {number} loss.random between 0 and 1
 * @returns {number | null} milliseconds
 */
export function reconnectDelay({ code, failures, goawayMs, random }) {
  if (code >= 4000 && code <= 4099) return null;
  // The broker has already spread its clients over this time: more jitter would not help.
  if (goawayMs !== null) return goawayMs;
  const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 16));
  return Math.round(ceiling * (0.5 + random / 2));
}

export class Link {
  /** @type {LinkState} */
  #state = { phase: 'connecting' };
  /** @type {WebSocket | null} */
  #socket = null;
  #failures = 0;
  #openedAt = 0;
  /** @type {{reconnectInMs: number, reason: string} | null} */
  #goaway = null;
  /** @type {Record<'retry' | 'answer' | 'beat', ReturnType<typeof setTimeout> | undefined>} */
  #timers = { retry: undefined, answer: undefined, beat: undefined };
  #closed = new AbortController();

  /**
   * @param {string} url
   * @param {LinkListener} listener
   * @param {() => number} [random]
   */
  constructor(url, listener, random = Math.random) {
    this.url = url;
    this.listener = listener;
    this.random = random;
    // What a page can know about its network beats any timer.
    const options = { signal: this.#closed.signal };
    globalThis.addEventListener?.('online', () => this.#nudge(), options);
    globalThis.document?.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#nudge();
    }, options);
    this.#dial();
  }

  get state() {
    return this.#state;
  }

  get isOpen() {
    return this.#state.phase === 'open';
  }

  /** @param {object} frame */
  send(frame) {
    return this.sendText(JSON.stringify(frame));
  }

  /** @param {string} text @returns {boolean} whether it was handed to the socket */
  sendText(text) {
    if (!this.isOpen) return false;
    this.#socket?.send(text);
    this.listener.raw('out', text);
    return true;
  }

  /** Dials now instead of when the wait is over; also after the broker said not to come back. */
  retryNow() {
    if (this.#state.phase !== 'waiting' && this.#state.phase !== 'ended') return;
    this.#dial();
  }

  /** Says goodbye, for good. */
  close() {
    this.#closed.abort();
    this.#hangUp(1000);
  }

  #nudge() {
    if (this.isOpen) this.#beat();
    else if (this.#state.phase === 'waiting') this.#dial();
  }

  #dial() {
    this.#hangUp();
    this.#goaway = null;
    this.#set({ phase: 'connecting' });
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onmessage = (event) => this.#hear(event.data);
    socket.onclose = (event) => this.#lost(event.code, event.reason);
    this.#expectAnswer();
  }

  /** @param {unknown} text */
  #hear(text) {
    if (typeof text !== 'string') return;
    clearTimeout(this.#timers.answer);
    this.#timers.answer = undefined;
    this.listener.raw('in', text);
    const frame = parse(text);
    if (frame === null) return;
    if (frame.type === 'welcome') this.#welcomed(frame);
    else if (frame.type === 'heartbeatDue') this.#beat();
    else if (frame.type === 'goaway') this.#goaway = frame;
    this.listener.frame(frame);
  }

  /** @param {any} welcome */
  #welcomed(welcome) {
    this.#openedAt = Date.now();
    this.#timers.beat = setInterval(() => this.#beat(), welcome.heartbeat.intervalMs);
    this.#set({ phase: 'open', welcome });
  }

  #beat() {
    if (this.send({ type: 'heartbeat', id: HEARTBEAT_ID })) this.#expectAnswer();
  }

  #expectAnswer() {
    this.#timers.answer ??= setTimeout(() => this.#lost(1006, 'no answer'), ANSWER_MS);
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    const steady = this.isOpen && Date.now() - this.#openedAt >= STEADY_MS;
    if (steady) this.#failures = 0;
    const waitMs = reconnectDelay({
      code,
      failures: this.#failures,
      goawayMs: this.#goaway?.reconnectInMs ?? null,
      random: this.random(),
    });
    this.#failures += 1;
    reason ||= this.#goaway?.reason ?? '';
    this.#hangUp();
    if (waitMs === null) {
      this.#set({ phase: 'ended', code, reason });
      return;
    }
    this.#timers.retry = setTimeout(() => this.#dial(), waitMs);
    this.#set({ phase: 'waiting', retryAt: Date.now() + waitMs, code, reason });
  }

  /** Lets go of the socket and of every timer. @param {number} [code] */
  #hangUp(code) {
    clearTimeout(this.#timers.retry);
    clearTimeout(this.#timers.answer);
    clearInterval(this.#timers.beat);
    this.#timers = { retry: undefined, answer: undefined, beat: undefined };
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
  }

  /** @param {LinkState} state */
  #set(state) {
    this.#state = state;
    this.listener.state(state);
  }
}

/** @param {string} text @returns {any} the object in it, or null */
function parse(text) {
  try {
    const frame = JSON.parse(text);
    return typeof frame === 'object' ? frame : null;
  } catch {
    return null;
  }
}
