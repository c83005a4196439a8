/**
 * Our own membership of one channel: what is wanted of it, and what of that the broker still has to be
 * told. The frames are made when they may be sent, from what is wanted then.
 */

import { Carried } from './carried.js';
import { clock } from './clock.js';
import { HerenowError } from './error.js';
import { isHidden } from './page.js';
import { settleAll, superseded } from './promise.js';

/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./channel.js').JoinOptions} JoinOptions */
/** @typedef {import('./client.js').Saying} Saying */
/** @typedef {import('./promise.js').Settle} Settle */

/**
 * @typedef {object} Host whose membership it is
 * @property {string} name
 * @property {() => void} changed `joined` is another
 * @property {(waiting: Set<Settle>, error: HerenowError) => void} tell those who wait, or whoever listens
 *
 * What is wanted. `unmark`: what takes back the attributes that are carried while the page is hidden.
 * @typedef {JoinOptions & {carried: Carried, unmark?: Attributes}} Wish
 */

export class Membership {
  /** @type {'out' | 'joining' | 'in'} */
  joined = 'out';
  #client;
  #host;
  /** Null when we do not want to be a member. @type {Wish | null} */
  #wish = null;
  /** Whether a join is to be said. */
  #due = false;
  /** Who waits until we are a member. @type {Set<Settle>} */
  #joining = new Set();
  /** Who waits until we are none. @type {Set<Settle>} */
  #leaving = new Set();

  /** @param {import('./client.js').Client} client @param {Host} host */
  constructor(client, host) {
    this.#client = client;
    this.#host = host;
  }

  /** @param {Attributes | undefined} attributes @param {JoinOptions} options @param {Settle} settle */
  join(attributes, options, settle) {
    const wish = this.#wish = Object.assign(this.#wish ?? { carried: new Carried() }, options);
    this.#marked(wish, () => attributes && wish.carried.set(attributes, { replace: true }));
    this.#joining.add(settle);
    this.restore();
  }

  /** @param {Settle} settle */
  leave(settle) {
    this.#end(superseded());
    if (!this.#client.isOpen) return settle(null);
    this.#leaving.add(settle);
    this.#post();
  }

  /**
   * @param {Attributes} patch
   * @param {{until?: number, replace?: boolean}} how
   * @param {Settle} settle
   * @returns {(() => void) | void} ends the waiting
   */
  set(patch, how, settle) {
    const wish = this.#wish;
    if (!wish) return settle(new HerenowError('not_joined', 'join first'));
    const isAway = this.#isAway;
    const cancel = this.#marked(wish, () => wish.carried.set(patch, { ...how, settle }));
    if (isAway) settle(null);
    else this.#post();
    return cancel;
  }

  /** Another tab of ours may have written. @param {Attributes} attributes as the broker has them */
  follow(attributes) {
    this.#wish?.carried.follow(attributes);
  }

  /** There is a new connection, or the broker has let go of us. */
  restore() {
    if (!this.#wish) return;
    if (this.#isAway) return settleAll(this.#joining, null);
    this.#setJoined('joining');
    this.#due = true;
    this.#post();
  }

  /** The connection is lost, and with it what was said on it. */
  interrupted() {
    settleAll(this.#leaving, null);
    if (this.joined === 'in') this.#setJoined('joining');
  }

  /** There will be no other connection, unless the page asks for one. */
  ended() {
    this.#setJoined('out');
  }

  visibilityChanged() {
    const wish = this.#wish;
    if (!wish) return;
    this.#marked(wish, () => {});
    if (this.#isAway) this.#setJoined('out');
    else if (wish.whenHidden === 'leave') return this.restore();
    this.#post();
  }

  /** Whether we are out for as long as the page is hidden. */
  get #isAway() {
    return this.#wish?.whenHidden === 'leave' && isHidden();
  }

  /**
   * Writes beneath what is carried only while the page is hidden.
   * @template T
   * @param {Wish} wish @param {() => T} write @returns {T}
   */
  #marked(wish, write) {
    const { carried, whenHidden, unmark } = wish;
    if (unmark) carried.set(unmark);
    const written = write();
    const mark = typeof whenHidden === 'object' && isHidden() ? whenHidden : undefined;
    wish.unmark = mark && carried.without(mark);
    if (mark) carried.set(mark);
    return written;
  }

  #post() {
    this.#client.post(this, () => this.#frames());
  }

  /** @returns {Saying[]} */
  #frames() {
    const wish = this.#wish;
    const channel = this.#host.name;
    if (!wish || this.#isAway) return [{ frame: { type: 'leave', channel }, settle: (error) => settleAll(this.#leaving, error) }];
    settleAll(this.#leaving, null);
    const joins = this.#due;
    this.#due = false;
    return wish.carried.say(clock(), joins).map(({ settle, again, ...said }, n) => (joins && !n ? {
      frame: { type: 'join', channel, ...said, ...this.#options(wish) },
      again: () => {
        again();
        this.#due = true;
      },
      settle: this.#whenJoined(wish, settle),
    } : {
      frame: { type: 'setAttributes', channel, ...said },
      again,
      settle: (error) => {
        // Its join was not heard, or the broker has let go of us.
        if (error?.code !== 'not_joined' || wish !== this.#wish) return settle(error);
        again();
        this.restore();
      },
    }));
  }

  /** @param {Wish} wish */
  #options({ graceMs, visibleTo }) {
    // Nobody asked for just this grace, so a broker that allows less shall not refuse it.
    const usual = Math.min(this.#client.graceMs, this.#client.welcome?.limits.graceMs ?? Infinity);
    return { graceMs: graceMs ?? usual, visibleTo };
  }

  /** @param {Wish} wish @param {Settle} settle @returns {Settle} */
  #whenJoined(wish, settle) {
    const waiting = [...this.#joining];
    return (error) => {
      settle(error);
      if (wish !== this.#wish) return;
      if (error) {
        this.#end(error);
        // Refused, it changed nothing: the broker may have us by an earlier one.
        return this.#post();
      }
      if (this.#isAway) return;
      this.#setJoined('in');
      for (const each of waiting) this.#joining.delete(each);
      settleAll(waiting, null);
    };
  }

  /** @param {HerenowError} error */
  #end(error) {
    this.#wish?.carried.end(error);
    this.#wish = null;
    this.#setJoined('out');
    this.#host.tell(this.#joining, error);
  }

  /** @param {'out' | 'joining' | 'in'} joined */
  #setJoined(joined) {
    if (joined === this.joined) return;
    this.joined = joined;
    this.#host.changed();
  }
}
