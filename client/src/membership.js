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
 * What is wanted. `known`: the options that the broker has taken; absent before it took any.
 * @typedef {{options: JoinOptions, known?: JoinOptions, carried: Carried}} Wish
 */

export class Membership {
  /** @type {'out' | 'joining' | 'in'} */
  joined = 'out';
  #client;
  #host;
  /** Null when we do not want to be a member. @type {Wish | null} */
  #wish = null;
  /** What is to be said of it, behind a `leave`. */
  #due = { leave: false, join: false, mark: false };
  /** Whether the broker has us by this connection. */
  #isIn = false;
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
    this.#wish ??= { options: {}, carried: new Carried() };
    this.#wish.options = { ...this.#wish.options, ...options };
    if (attributes) this.#wish.carried.set(attributes, { replace: true });
    this.#joining.add(settle);
    this.restore();
  }

  /** @param {Settle} settle */
  leave(settle) {
    this.#end(superseded());
    if (!this.#client.isOpen) return settle(null);
    this.#leaving.add(settle);
    this.#say('leave');
  }

  /**
   * @param {Attributes} patch
   * @param {{ttl?: number, replace?: boolean}} how
   * @param {Settle} settle
   * @returns {(() => void) | void} ends the waiting
   */
  set(patch, { ttl, replace }, settle) {
    if (!this.#wish) return settle(new HerenowError('not_joined', 'join first'));
    const until = ttl === undefined ? undefined : clock() + ttl;
    const cancel = this.#wish.carried.set(patch, { until, replace, settle });
    if (this.#isAway) settle(null);
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
    this.#say('join');
  }

  /** Our membership ended without our asking. */
  removed() {
    this.#isIn = false;
    this.restore();
  }

  /** The connection is lost, and with it what was said on it. */
  interrupted() {
    this.#isIn = false;
    settleAll(this.#leaving, null);
    if (this.joined === 'in') this.#setJoined('joining');
  }

  /** There will be no other connection, unless the page asks for one. */
  ended() {
    this.#setJoined('out');
  }

  visibilityChanged() {
    const whenHidden = this.#wish?.options.whenHidden;
    if (typeof whenHidden === 'object') {
      this.#say('mark');
    } else if (this.#isAway) {
      this.#setJoined('out');
      this.#say('leave');
    } else if (whenHidden === 'leave') {
      this.restore();
    }
  }

  /** Whether we are out for as long as the page is hidden. */
  get #isAway() {
    return this.#wish?.options.whenHidden === 'leave' && isHidden();
  }

  /** @param {'leave' | 'join' | 'mark'} what */
  #say(what) {
    this.#due[what] = true;
    this.#post();
  }

  #post() {
    this.#client.post(this, () => this.#frames());
  }

  /** @returns {Saying[]} */
  #frames() {
    const wish = this.#isAway ? null : this.#wish;
    const { leave, join, mark } = this.#due;
    this.#due = { leave: false, join: false, mark: false };
    /** @type {Saying[]} */
    const frames = [];
    if (leave) frames.push(this.#leaveFrame());
    if (!wish) return frames;
    if (join) frames.push(this.#joinFrame(wish));
    else if (mark) frames.push(this.#markFrame(wish));
    return [...frames, ...wish.carried.due(clock()).map((said) => this.#setFrame(wish, said))];
  }

  /** @returns {Saying} */
  #leaveFrame() {
    this.#isIn = false;
    return {
      frame: { type: 'leave', channel: this.#host.name },
      // A join that came since is newer.
      again: () => {
        if (!this.#wish || this.#isAway) this.#due.leave = true;
        else settleAll(this.#leaving, null);
      },
      settle: (error) => settleAll(this.#leaving, error),
    };
  }

  /** @param {Wish} wish @returns {Saying} */
  #joinFrame(wish) {
    const { options, carried } = wish;
    const { attributes, merge, again, answered } = carried.join(clock());
    const waiting = [...this.#joining];
    // Nobody asked for just this grace, so a broker that allows less shall not refuse it.
    const usual = Math.min(this.#client.graceMs, this.#client.welcome?.limits.graceMs ?? Infinity);
    const { graceMs = usual, visibleTo } = options;
    return {
      frame: {
        type: 'join', channel: this.#host.name, attributes: this.#marked(wish, attributes, merge), merge, graceMs, visibleTo,
      },
      again: () => {
        again();
        this.#due.join = wish === this.#wish;
      },
      settle: (error) => {
        const undone = answered(error);
        if (wish !== this.#wish) return;
        if (error) return this.#refused(wish, options, error, undone, waiting);
        wish.known = options;
        this.#isIn = !this.#isAway;
        if (this.#isIn) this.#setJoined('in');
        settleAll(this.#joining, null, waiting);
      },
    };
  }

  /**
   * A refused join changes nothing: who was a member by an earlier one stays it, with what the broker
   * has taken.
   * @param {Wish} wish @param {JoinOptions} options @param {HerenowError} error @param {boolean} undone @param {Settle[]} waiting
   */
  #refused(wish, options, error, undone, waiting) {
    const isNew = undone || wish.known !== options;
    if (!wish.known || !(this.#isIn || isNew && error.field)) return this.#end(error);
    if (wish.options === options) wish.options = wish.known;
    if (this.#isIn) this.#setJoined('in');
    else this.restore();
    settleAll(this.#joining, error, waiting);
  }

  /** @param {Wish} wish @param {ReturnType<Carried['due']>[0]} said @returns {Saying} */
  #setFrame(wish, { attributes, merge, ttlMs, again, answered }) {
    return {
      frame: { type: 'setAttributes', channel: this.#host.name, attributes: merge ? attributes : this.#marked(wish, attributes), merge, ttlMs },
      again,
      settle: (error) => {
        // Its join was not heard, or the broker has let go of us: another is on its way.
        const isEarly = error?.code === 'not_joined' && wish === this.#wish && !this.#isIn;
        if (isEarly) again();
        else answered(error);
        if (error) this.#post();
      },
    };
  }

  /** @param {Wish} wish @returns {Saying} */
  #markFrame({ options, carried }) {
    const mark = /** @type {Attributes} */ (options.whenHidden);
    return {
      frame: {
        type: 'setAttributes', channel: this.#host.name, attributes: isHidden() ? mark : carried.without(mark), merge: true,
      },
      again: () => {
        this.#due.mark = true;
      },
      settle: () => {},
    };
  }

  /**
   * With what is carried only while the page is hidden; of what is there already, without it.
   * @param {Wish} wish @param {Attributes} [attributes] @param {boolean} [merge]
   */
  #marked({ options: { whenHidden }, carried }, attributes, merge = false) {
    if (typeof whenHidden !== 'object') return attributes;
    return { ...attributes, ...(isHidden() ? whenHidden : merge && carried.without(whenHidden)) };
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
