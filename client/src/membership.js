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
 * `away`: we are away, hidden or not.
 * @typedef {JoinOptions & {carried: Carried, unmark?: Attributes, away?: boolean}} Wish
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
  /** Whether the broker was told on this connection that we are away; null: who knows. @type {boolean | null} */
  #said = false;
  /** Who waits until we are away, or back. @type {Set<Settle>} */
  #turning = new Set();
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
    const isOut = this.#isOut;
    const cancel = this.#marked(wish, () => wish.carried.set(patch, { ...how, settle }));
    if (isOut) settle(null);
    else this.#post();
    return cancel;
  }

  /** @param {boolean} away @param {Settle} settle */
  away(away, settle) {
    if (!this.#wish) return settle(new HerenowError('not_joined', 'join first'));
    this.#wish.away = away;
    this.#turning.add(settle);
    this.#post();
  }

  /** The broker is told that we are away everywhere, or back. @param {boolean} away */
  turned(away) {
    this.#said = away;
    if (this.#wish) this.#post();
  }

  /** Another tab of ours may have written. @param {Attributes} attributes as the broker has them */
  follow(attributes) {
    this.#wish?.carried.follow(attributes);
  }

  /** There is a new connection, or the broker has let go of us. */
  restore() {
    if (!this.#wish) return;
    if (this.#isOut) return settleAll(this.#joining, null);
    this.#setJoined('joining');
    this.#due = true;
    this.#post();
  }

  /** The connection is lost, and with it what was said on it. */
  interrupted() {
    settleAll(this.#leaving, null);
    this.#said = false;
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
    if (this.#isOut) this.#setJoined('out');
    else if (wish.whenHidden === 'leave') return this.restore();
    this.#post();
  }

  /** Whether we are out for as long as the page is hidden. */
  get #isOut() {
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
    if (!wish || this.#isOut) return [{ frame: { type: 'leave', channel }, settle: (error) => settleAll(this.#leaving, error) }];
    settleAll(this.#leaving, null);
    const joins = this.#due;
    this.#due = false;
    const turn = this.#turn(wish, joins);
    /** @type {Saying[]} */
    const sayings = wish.carried.say(clock(), joins).map(({ settle, again, ...said }, n) => (joins && !n ? {
      frame: { type: 'join', channel, ...said, ...this.#options(wish), away: turn.frame?.away },
      again: () => {
        again();
        turn.again();
        this.#due = true;
      },
      settle: this.#whenJoined(wish, (error) => {
        turn.settle(error);
        settle(error);
      }),
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
    if (turn.frame && !joins) sayings.push(/** @type {Saying} */ (turn));
    else if (!joins) turn.settle(null);
    return sayings;
  }

  /**
   * Has it said, if the broker does not know it, whether we are away. A join says it again: the one
   * before may be over.
   * @param {Wish} wish @param {boolean} joins
   */
  #turn({ away, whenHidden }, joins) {
    const isAway = this.#client.isAway || !!away || (whenHidden === 'away' && isHidden());
    const turning = [...this.#turning];
    this.#turning.clear();
    const frame = isAway === this.#said && !(joins && isAway) ? undefined : { type: 'away', away: isAway, channels: [this.#host.name] };
    this.#said = isAway;
    return {
      frame,
      again: () => {
        this.#said = null;
        for (const each of turning) this.#turning.add(each);
      },
      settle: (/** @type {HerenowError | null} */ error) => settleAll(turning, error),
    };
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
      if (this.#isOut) return;
      this.#setJoined('in');
      for (const each of waiting) this.#joining.delete(each);
      settleAll(waiting, null);
    };
  }

  /** @param {HerenowError} error */
  #end(error) {
    this.#wish?.carried.end(error);
    this.#wish = null;
    this.#said = false;
    settleAll(this.#turning, error);
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
