/**
 * What we are in one channel: our own membership, what is wanted of it, and what of that the broker still
 * has to be told. The frames are made when they may be sent, from what is wanted then.
 */

import { Carried } from './carried.js';
import { clock } from './clock.js';
import { Emitter } from './emitter.js';
import { HerenowError } from './error.js';
import { copy, same } from './json.js';
import { isHidden } from './page.js';
import { settleAll, superseded, taken } from './promise.js';
import { soon } from './soon.js';

/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./client.js').Saying} Saying */
/** @typedef {import('./promise.js').Settle} Settle */
/** @template {object} [A=Attributes] @typedef {import('./channel.js').JoinOptions<A>} JoinOptions */
/** @template {object} [A=Attributes] @typedef {import('./shapes.js').Patch<A>} Patch */

/**
 * What is wanted. `unmark`: what takes back the attributes that are carried while the page is hidden.
 * `away`: we are away, hidden or not.
 * @typedef {JoinOptions & {carried: Carried, unmark?: Attributes, away?: boolean}} Wish
 */

/**
 * The half of a `Channel` that is about ourselves.
 * @template {object} A what members carry
 * @template {Record<string, any>} E the channel's events
 * @extends {Emitter<E>}
 */
export class Membership extends Emitter {
  #client;
  /** @type {'out' | 'joining' | 'in'} */
  #joined = 'out';
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
  /** What was written before the join of the same turn. @type {Set<() => void>} */
  #early = new Set();
  /** Why we are no member, and why we do not watch, though we asked for it. @type {Record<'join' | 'watch', HerenowError | null>} */
  #errors = { join: null, watch: null };
  #change = soon(() => this.emit('change', /** @type {any} */ (this)));

  /** @param {import('./client.js').Client} client @param {string} name */
  constructor(client, name) {
    super();
    this.#client = client;
    this.name = name;
  }

  /** Whether we are a member; `joining` until the broker says so, however many connections that takes. */
  get joined() {
    return this.#joined;
  }

  /** Why we are no member, or do not watch, though we asked for it; null once we do, or do not ask for it any more. */
  get error() {
    return this.#errors.join ?? this.#errors.watch;
  }

  /**
   * Becomes a member, and again on each new connection, with all that was set meanwhile.
   * @param {A} [attributes] absent: what is set already, here or by another tab
   * @param {JoinOptions<A>} [options] what is not named stays as it was said before: who hides would not
   *   want to be seen for having changed a mood
   * @returns {Promise<void>} kept once we are a member, and where the channel is watched, once it shows
   */
  join(attributes, options = {}) {
    return this.#client.promise((settle) => {
      const written = attributes && copy(attributes, 'attributes');
      const wish = this.#wish = Object.assign(this.#wish ?? { carried: new Carried() }, copy(options, 'options'));
      this.#marked(wish, () => written && wish.carried.set(written, { replace: true }));
      this.#joining.add(this.shown((self) => has(self, written ?? {}), settle));
      this.restore();
      for (const write of this.#early) write();
    }, true);
  }

  /** Is a member no longer. @returns {Promise<void>} */
  leave() {
    return this.#client.promise((settle) => {
      this.#end(superseded());
      if (!this.#client.isOpen) return settle(null);
      this.#leaving.add(this.shown((self) => !self, settle));
      this.#post();
    });
  }

  /**
   * Sets some attributes of our member and keeps the others; a null takes a key away. Calls that come
   * faster than may be sent fold.
   * @param {Patch<A>} patch
   * @param {{ttl?: number, replace?: boolean}} [options] `ttl`: after so many milliseconds the keys of
   *   the patch vanish by themselves. `replace`: keep no others.
   * @returns {Promise<void>} kept once the broker has it, or something newer of the same keys, and where
   *   the channel is watched, once it shows
   */
  setAttributes(patch, { ttl, replace = false } = {}) {
    return this.#client.promise((told) => {
      const written = copy(patch, 'attributes');
      if (ttl !== undefined && !(ttl > 0 && ttl < Infinity)) {
        throw new HerenowError('invalid_field', 'ttl must be a number of milliseconds above 0', { field: 'ttl' });
      }
      const until = ttl && clock() + ttl;
      const settle = this.shown((self) => has(self, written), told, false);
      /** @type {(() => void) | void} */
      let cancel;
      const write = () => {
        if (!this.#early.delete(write)) return;
        const wish = this.#wish;
        if (!wish) return settle(notJoined());
        const isOut = this.#isOut;
        cancel = this.#marked(wish, () => wish.carried.set(written, { until, replace, settle }));
        if (isOut) settle(null);
        else this.#post();
      };
      this.#early.add(write);
      if (this.#wish) write();
      // A component's first effect runs before that of the component around it, which joins, and
      // which may itself wait for the end of the turn.
      queueMicrotask(() => queueMicrotask(write));
      return () => cancel?.();
    }, true);
  }

  /**
   * Says that we are away from this page, or back. We are shown as away while that is so of all our
   * pages and devices.
   * @param {boolean} [away]
   * @returns {Promise<void>}
   */
  away(away = true) {
    return this.#client.promise((settle) => {
      if (!this.#wish) throw notJoined();
      this.#wish.away = away;
      this.#turning.add(settle);
      this.#post();
    }, true);
  }

  // For the rest of the library.

  /** There is a new connection, or the broker has let go of us: is a member again. @internal */
  restore() {
    if (!this.#wish) return;
    if (this.#isOut) return settleAll(this.#joining, null);
    this.#setJoined('joining');
    this.#due = true;
    this.#post();
  }

  /** The connection is lost, and with it what was said on it. @internal */
  interrupted() {
    settleAll(this.#leaving, null);
    this.#said = false;
    if (this.#joined === 'in') this.#setJoined('joining');
  }

  /** There will be no other connection, unless the page asks for one. @internal */
  ended() {
    this.#setJoined('out');
  }

  /** The broker is told that we are away everywhere, or back. @param {boolean} away @internal */
  turned(away) {
    this.#said = away;
    if (this.#wish) this.#post();
  }

  /** Another tab of ours may have written. @param {Attributes} attributes as the broker has them @internal */
  follow(attributes) {
    this.#wish?.carried.follow(attributes);
  }

  /** @internal */
  visibilityChanged() {
    const wish = this.#wish;
    if (!wish) return;
    this.#marked(wish, () => {});
    if (this.#isOut) this.#setJoined('out');
    else if (wish.whenHidden === 'leave') this.restore();
    this.#post();
  }

  /** Something that can be shown is new. @internal */
  changed() {
    this.#change();
  }

  /**
   * Tells those who wait how it ended; if nobody does, whoever listens.
   * @param {'join' | 'watch'} what
   * @param {Set<Settle>} waiting
   * @param {HerenowError | null} error
   * @internal
   */
  tell(what, waiting, error) {
    const news = error?.code === 'superseded' ? null : error;
    this.#errors[what] = news;
    this.changed();
    if (news && !waiting.size) this.emit('error', /** @type {any} */ (news));
    settleAll(waiting, error);
  }

  /**
   * Waits until what was done shows, where that is told.
   * @param {(self: import('./replica.js').Member | undefined) => unknown} _isSo
   * @param {Settle} settle
   * @param {boolean} [_counts] whether it shows in their number, too
   * @returns {Settle}
   * @internal
   */
  shown(_isSo, settle, _counts) {
    return settle;
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
    this.#client.post(this.#joining, () => this.#frames());
  }

  /** @returns {Saying[]} */
  #frames() {
    const wish = this.#wish;
    const channel = this.name;
    if (!wish || this.#isOut) return [{ frame: { type: 'leave', channel }, ...taken(this.#leaving) }];
    settleAll(this.#leaving, null);
    const joins = this.#due;
    this.#due = false;
    const turn = this.#turn(wish, joins);
    /** @type {Saying[]} */
    const sayings = wish.carried.say(clock(), joins).map(({ settle, again, ...said }, n) => (joins && !n ? {
      frame: { type: 'join', channel, ...said, away: turn.frame?.away, visibleTo: wish.visibleTo, graceMs: wish.graceMs ?? this.#client.graceMs },
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
    const isNews = isAway !== this.#said || (joins && isAway);
    const { settle, again } = taken(this.#turning);
    this.#said = isAway;
    return {
      frame: isNews ? { type: 'away', away: isAway, channels: [this.name] } : undefined,
      settle,
      again: () => {
        this.#said = null;
        again();
      },
    };
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
      this.#errors.join = null;
      this.#setJoined('in');
      for (const each of waiting) if (this.#joining.delete(each)) each(null);
    };
  }

  /** @param {HerenowError} error */
  #end(error) {
    this.#wish?.carried.end(error);
    this.#wish = null;
    this.#said = false;
    settleAll(this.#turning, error);
    this.#setJoined('out');
    this.tell('join', this.#joining, error);
  }

  /** @param {'out' | 'joining' | 'in'} joined */
  #setJoined(joined) {
    if (joined === this.#joined) return;
    this.#joined = joined;
    this.changed();
  }
}

function notJoined() {
  return new HerenowError('not_joined', 'join first');
}

/** @param {import('./replica.js').Member | undefined} self @param {Attributes} patch whether it shows */
function has(self, patch) {
  return self && Object.entries(patch).every(([key, value]) => same(self.attributes[key], value));
}
