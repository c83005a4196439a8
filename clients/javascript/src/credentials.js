/**
 * Who we are, where the broker wants tokens: one is fetched for each connection, checked, and renewed
 * before it expires. It never fetches in a hurry, however the page's function and the clocks behave.
 */

import { HerenowError } from './error.js';

/** No two fetches are closer. Each doubles it, up to the longest, until a token is accepted. */
const FLOOR_MS = 1_000;
const MAX_FLOOR_MS = 10_000;
/** What can be a WebSocket's subprotocol; the parts of a JSON Web Token have no other characters. */
const TOKEN = /^[\w.-]+$/;
/** So long a token is kept that no broker has seen yet: a fresh one makes none answer. */
const UNSEEN_MS = 60_000;
/** A token is renewed so long before it expires, or after two thirds of its life if that is less. */
const RENEW_AHEAD_MS = 30_000;
/** The broker warns so long before a token expires. */
const WARNING_MS = 10_000;
/** The longest that a timer can be set to. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** So many fresh tokens in a row may be refused: clocks differ, secrets rotate. Then it is over. */
const MAX_REFUSALS = 5;
/** Close codes: the broker does not accept the token; it has expired. */
const UNAUTHENTICATED = 4001;
const TOKEN_EXPIRED = 4102;

/**
 * @typedef {object} Holder whose credentials they are
 * @property {() => number} now by the broker's clock
 * @property {(frame: object) => Promise<any>} ask
 * @property {(name: 'error', error: HerenowError) => void} emit
 */

export class Credentials {
  #source;
  #holder;
  #token = '';
  /** When the token expires; NaN if it does not say. */
  #expiresAt = NaN;
  /** Until when another connection may try with the token that no broker has seen yet. */
  #goodUntil = 0;
  /** From when on another may be fetched. */
  #notBefore = 0;
  #floorMs = FLOOR_MS;
  #refusals = 0;
  /** Counts connections: a renewal that began on an earlier one is not for this one. */
  #connection = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;

  /** @param {unknown} source a token, or a function that brings one @param {Holder} holder */
  constructor(source, holder) {
    this.#source = source;
    this.#holder = holder;
  }

  get #isRenewable() {
    return typeof this.#source === 'function';
  }

  /** How long another connection has to wait, since a token was fetched just now. */
  get waitMs() {
    return this.#isGood ? 0 : this.#notBefore - performance.now();
  }

  get #isGood() {
    return performance.now() < this.#goodUntil && !(this.#lifeMs < FLOOR_MS);
  }

  get #lifeMs() {
    return this.#expiresAt - this.#holder.now();
  }

  /** For a new connection. @returns {Promise<string>} */
  async take() {
    if (!this.#isGood) this.#use(await this.#fetch());
    return this.#token;
  }

  /** The broker has accepted the token. */
  accepted() {
    this.#floorMs = FLOOR_MS;
    this.#refusals = 0;
    this.#goodUntil = 0;
    this.#scheduleRenewal();
  }

  /** The broker says that the token expires soon. @returns {boolean} whether another will come in time */
  warned() {
    this.#expiresAt ||= this.#holder.now() + WARNING_MS;
    this.#scheduleRenewal();
    return this.#isRenewable;
  }

  /** The connection is lost. */
  lost() {
    this.#connection += 1;
    clearTimeout(this.#renewal);
  }

  /** The broker closed. @param {number} closeCode @returns {boolean} whether another token may mend it */
  canMend(closeCode) {
    this.#goodUntil = 0;
    return this.#isRenewable
      && (closeCode === TOKEN_EXPIRED || (closeCode === UNAUTHENTICATED && ++this.#refusals <= MAX_REFUSALS));
  }

  /** @param {string} token */
  #use(token) {
    this.#token = token;
    this.#expiresAt = expiry(token);
    this.#goodUntil = performance.now() + UNSEEN_MS;
  }

  /** @returns {Promise<string>} */
  async #fetch() {
    let token = this.#source;
    try {
      if (typeof token === 'function') {
        this.#notBefore = performance.now() + this.#floorMs;
        this.#floorMs = Math.min(2 * this.#floorMs, MAX_FLOOR_MS);
        token = await token();
      }
    } catch (cause) {
      throw new HerenowError('token_failed', `options.token failed: ${`${cause}`.slice(0, 200)}`, { cause });
    }
    if (typeof token === 'string' && TOKEN.test(token)) return token;
    // A page that came instead has no place in a message, and neither has what may be secret.
    throw new HerenowError('token_failed', `options.token brought no JSON Web Token: ${`${token}`.slice(0, 15)}`);
  }

  #scheduleRenewal() {
    clearTimeout(this.#renewal);
    if (!this.#expiresAt || !this.#isRenewable) return;
    const lifeMs = this.#lifeMs;
    const waitMs = Math.max(lifeMs - Math.min(RENEW_AHEAD_MS, lifeMs / 3), this.#notBefore - performance.now());
    this.#renewal = setTimeout(() => this.#renew(), Math.min(waitMs, MAX_TIMER_MS));
  }

  async #renew() {
    const connection = this.#connection;
    const isOurs = () => connection === this.#connection;
    try {
      const token = await this.#fetch();
      // The page may have no newer one yet.
      const answer = isOurs() && token !== this.#token && await this.#holder.ask({ type: 'auth', token });
      if (answer && isOurs()) {
        this.#use(token);
        return this.accepted();
      }
    } catch (error) {
      if (isOurs()) this.#holder.emit('error', /** @type {HerenowError} */ (error));
    }
    if (isOurs()) this.#scheduleRenewal();
  }
}

/**
 * When a token expires, in milliseconds since 1970 by the broker's clock. NaN if it does not say, or is
 * none that we can read: then the broker's warning tells in time.
 * @param {string} token a JSON Web Token
 */
function expiry(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).exp * 1000;
  } catch {
    return NaN;
  }
}
