/**
 * The page's half of the protocol: be somebody, watch one channel, be present in it or not.
 *
 * This file is the seam. The page calls `Wire` and hears from its `Listener`, and knows nothing of
 * frames, sockets or retries; `wire-link.js` and `wire-replica.js` are behind it. A client library
 * can take the place of all three.
 *
 * A `Wire` holds what the page *wants* (to watch this channel, to be present with these attributes)
 * and says it again on every new connection.
 */

import { Link } from './wire-link.js';
import { Replica } from './wire-replica.js';

export { reconnectDelay } from './wire-link.js';
export { Replica } from './wire-replica.js';

/** @typedef {import('./wire-link.js').LinkState} LinkState */
/** @typedef {import('./wire-replica.js').Outcome} Outcome */
/** @typedef {Record<string, unknown>} Attributes */

/**
 * `joining` lasts until the broker has confirmed, however many connections that takes.
 * @typedef {'out' | 'joining' | 'in'} Membership
 */

/**
 * Something that the broker refused, in its own words.
 * @typedef {object} Problem
 * @property {'join' | 'leave' | 'setAttributes' | 'subscribe' | 'typed' | 'identity'} about
 * @property {string} code
 * @property {string} message
 * @property {number} [retryAfterMs]
 */

/**
 * @typedef {object} Listener
 * @property {(state: LinkState) => void} connection
 * @property {(membership: Membership) => void} membership
 * @property {(outcome: Extract<Outcome, {changes: any}>) => void} room the members are new or confirmed
 * @property {(watching: boolean) => void} watching whether the members shown are kept up to date
 * @property {(problem: Problem) => void} problem
 * @property {(direction: 'in' | 'out', text: string) => void} raw every message, as it is
 */

export class Wire {
  /** @type {Link | null} */
  #link = null;
  /** @type {Replica | null} */
  #replica = null;
  /** @type {Membership} */
  #membership = 'out';
  /** What the member is to carry; null when the page does not want to be present. */
  #attributes = /** @type {Attributes | null} */ (null);
  /** What our frames that wait for their answer were about. @type {Map<string, Problem['about'] | 'unsubscribe'>} */
  #asked = new Map();
  #lastId = 0;
  #user = '';
  #clockOffsetMs = 0;
  /** A join typed by hand, not yet seen to have happened. */
  #joinTyped = false;

  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
  }

  /** Who we are, as the broker says. Empty before the first welcome. */
  get user() {
    return this.#user;
  }

  get membership() {
    return this.#membership;
  }

  /** What is known of the watched channel. @returns {Pick<Replica, 'channel' | 'known' | 'count' | 'members' | 'newestFirst'> | null} */
  get room() {
    return this.#replica;
  }

  /** The broker's wall clock, in milliseconds since 1970. */
  now() {
    return Date.now() + this.#clockOffsetMs;
  }

  /** Connects to `url`, which says who we are, in place of any connection before. @param {string} url */
  connect(url) {
    this.#link?.close();
    this.#forgetConnection();
    this.#link = new Link(url, {
      state: (state) => this.#onState(state),
      frame: (frame) => this.#onFrame(frame),
      raw: (direction, text) => this.listener.raw(direction, text),
    });
  }

  /** Connects again right now instead of later, if the connection is lost. */
  retryNow() {
    this.#link?.retryNow();
  }

  /** Asks for the watched channel anew, after a person typed `unsub`. */
  watchAgain() {
    this.#subscribe();
  }

  /** Watches `channel` instead of the one before, which is also left. @param {string} channel */
  watch(channel) {
    const old = this.#replica;
    if (old?.channel === channel) return;
    this.leave();
    if (old) this.#ask('unsubscribe', { type: 'unsubscribe', channel: old.channel });
    this.#replica = new Replica(channel);
    this.#subscribe();
  }

  /** Becomes a member of the watched channel, and again after every loss. @param {Attributes} attributes */
  join(attributes) {
    this.#attributes = attributes;
    this.#setMembership('joining');
    this.#link?.retryNow();
    this.#sendJoin();
  }

  leave() {
    if (this.#attributes === null) return;
    this.#stay(null);
    this.#ask('leave', { type: 'leave', channel: this.#replica?.channel });
  }

  /** Sets some attributes of our member; a null takes the key away. @param {Attributes} patch */
  setAttributes(patch) {
    if (this.#attributes === null) return;
    this.#attributes = withoutNulls({ ...this.#attributes, ...patch });
    this.#ask('setAttributes', {
      type: 'setAttributes',
      channel: this.#replica?.channel,
      attributes: patch,
      merge: true,
    });
  }

  /** Sends what a person typed, shorthand or JSON, as it is. @param {string} text @returns {boolean} */
  sendTyped(text) {
    if (!this.#link?.sendText(text)) return false;
    const { type, channel } = readTyped(text);
    if (channel === this.#replica?.channel) {
      if (type === 'join') this.#joinTyped = true;
      if (type === 'leave') this.#stay(null);
      if (type === 'unsub' || type === 'unsubscribe') this.listener.watching(false);
    }
    return true;
  }

  /** @param {LinkState} state */
  #onState(state) {
    if (state.phase === 'open') this.#onWelcome(state.welcome);
    else this.#forgetConnection();
    if (state.phase === 'ended') this.#stay(null);
    this.listener.connection(state);
  }

  /** @param {any} welcome */
  #onWelcome(welcome) {
    this.#user = welcome.user;
    this.#clockOffsetMs = welcome.now - Date.now();
    // Join first: then the snapshot has us in it already, and our own row does not blink.
    this.#sendJoin();
    this.#subscribe();
  }

  #forgetConnection() {
    this.#asked.clear();
    this.#joinTyped = false;
    this.#replica?.interrupted();
    if (this.#attributes !== null) this.#setMembership('joining');
  }

  /** @param {any} frame */
  #onFrame(frame) {
    if (frame.type === 'ok') this.#onOk(frame);
    else if (frame.type === 'error') this.#onError(frame);
    else if (frame.type === 'removed') this.#onRemoved(frame);
    else this.#onRoomFrame(frame);
  }

  /** @param {any} frame */
  #onRoomFrame(frame) {
    const outcome = this.#replica?.apply(frame);
    if (outcome?.kind === 'gap') this.#subscribe();
    if (outcome === undefined || !('changes' in outcome)) return;
    // Also the answer to a `sub` typed by hand.
    if (outcome.kind !== 'presence') this.listener.watching(true);
    this.#followOurMember(outcome);
    this.listener.room(outcome);
  }

  /**
   * Our member can change without this object's doing: by a typed frame, another tab, an expiry.
   * It cannot go that way, as long as this connection keeps it.
   * @param {Extract<Outcome, {changes: any}>} outcome
   */
  #followOurMember(outcome) {
    const ours = outcome.changes.find((change) => change.user === this.#user);
    if (ours?.after && this.#joinTyped) {
      this.#joinTyped = false;
      this.#stay(ours.after.attributes);
    } else if (ours?.after && this.#membership === 'in') {
      this.#attributes = ours.after.attributes;
    }
  }

  /** @param {any} frame */
  #onOk(frame) {
    const about = this.#asked.get(frame.id);
    this.#asked.delete(frame.id);
    if (about === 'join' && this.#attributes !== null) this.#setMembership('in');
    if (about === 'subscribe') this.listener.watching(true);
  }

  /** @param {any} frame */
  #onError({ id, code, message, retryAfterMs }) {
    const identity = code === 'unauthenticated' ? 'identity' : undefined;
    const about = identity ?? this.#asked.get(id) ?? 'typed';
    this.#asked.delete(id);
    if (about === 'typed') this.#joinTyped = false;
    if (about === 'join') this.#stay(null);
    if (about === 'unsubscribe') return; // of a channel that the broker never let us watch
    this.listener.problem({ about, code, message, retryAfterMs });
  }

  /** We were silent for too long (a sleeping laptop): we are still here, so say it. @param {any} frame */
  #onRemoved(frame) {
    if (this.#attributes === null || !frame.channels.includes(this.#replica?.channel)) return;
    this.#setMembership('joining');
    this.#sendJoin();
  }

  #sendJoin() {
    if (this.#attributes === null) return;
    this.#ask('join', {
      type: 'join',
      channel: this.#replica?.channel,
      attributes: this.#attributes,
    });
  }

  #subscribe() {
    if (!this.#replica) return;
    const { channel, since } = this.#replica;
    this.#ask('subscribe', { type: 'subscribe', channel, ...(since && { since }) });
  }

  /**
   * Sends a frame and remembers whom its refusal concerns. Without a connection it is not sent:
   * what the page wants is said again on the next one.
   * @param {Problem['about'] | 'unsubscribe'} about
   * @param {object} frame
   */
  #ask(about, frame) {
    if (!this.#link?.isOpen) return;
    const id = `page-${++this.#lastId}`;
    this.#asked.set(id, about);
    this.#link.send({ id, ...frame });
  }

  /** Wants to be present with these attributes, or not at all. @param {Attributes | null} attributes */
  #stay(attributes) {
    this.#attributes = attributes;
    this.#setMembership(attributes === null ? 'out' : 'in');
  }

  /** @param {Membership} membership */
  #setMembership(membership) {
    if (membership === this.#membership) return;
    this.#membership = membership;
    this.listener.membership(membership);
  }
}

/** @param {Attributes} attributes */
function withoutNulls(attributes) {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== null));
}

/**
 * What a typed line does to which channel: enough to keep the page's buttons true, no more.
 * @param {string} text
 * @returns {{type?: string, channel?: string}}
 */
export function readTyped(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    const [, type, quoted, plain] = /^\s*(\S+)\s+(?:("(?:[^"\\]|\\.)*")|(\S+))/.exec(text) ?? [];
    return { type, channel: quoted ? readTypedString(quoted) : plain };
  }
}

/** @param {string} quoted */
function readTypedString(quoted) {
  try {
    return JSON.parse(quoted);
  } catch {
    return quoted;
  }
}
