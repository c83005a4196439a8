/**
 * One channel: what we are in it (the membership), what we know of it (the replica), whether we watch, and
 * telling the page what truly changed.
 */

import { Membership } from './membership.js';
import { settleAll, superseded, taken } from './promise.js';
import * as replica from './replica.js';

/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./replica.js').Change} Change */
/** @typedef {import('./replica.js').Reason} Reason */
/** @typedef {import('./error.js').HerenowError} HerenowError */
/** @typedef {import('./promise.js').Settle} Settle */

/**
 * @template {object} [A=Attributes]
 * @template {object} [I=Attributes]
 * @typedef {import('./replica.js').Member<A, I>} Member
 */

/** @template {object} [A=Attributes] @typedef {import('./shapes.js').Patch<A>} Patch */

/**
 * What happened to one member. Of somebody who went, `info` and `attributes` are the last.
 * @template {object} [A=Attributes]
 * @template {object} [I=Attributes]
 * @typedef {object} PresenceEvent
 * @property {'join' | 'leave' | 'timeout' | 'updateAttributes'} event
 * @property {string} channel
 * @property {string} user
 * @property {I} [info] what the user's token says
 * @property {A} attributes
 * @property {boolean} [away] true: the member is away
 * @property {Member<A, I>} [before] absent for somebody who came
 * @property {Reason} [reason] of a `leave`: `left`, `closed`, `kicked`; of a `timeout`: `heartbeat`,
 *   `connection`, `lease`; of `updateAttributes`: `expired`. Absent where it was found by comparing,
 *   after an absence of our own.
 * @property {number} [lastSeen] of a timeout
 * @property {number | null} [at] when, in milliseconds since 1970 by the broker's clock
 */

/**
 * @template {object} [A=Attributes]
 * @typedef {object} JoinOptions
 * @property {number} [graceMs] for how long others do not notice if the connection is lost
 * @property {string[]} [visibleTo] the roles that may see us; everyone if absent
 * @property {'stay' | 'leave' | 'away' | Patch<A>} [whenHidden] while the page is hidden: stay (if
 *   absent), leave and come back, be away as far as this page knows, or carry these attributes too
 */

/**
 * @typedef {object} SubscribeOptions
 * @property {'auto' | 'events' | 'count'} [level] `auto` (if absent): members one by one while they are not
 *   too many, and then their number and the newest
 * @property {number} [recent] where only their number is told: so many of the newest, at most 200; 200 at
 *   `auto` and none at `count`, if absent
 * @property {boolean} [recentAttributes] with their attributes, kept up to date, as far as there is room
 */

/**
 * @template {object} [A=Attributes]
 * @template {object} [I=Attributes]
 * @typedef {object} Events
 * @property {PresenceEvent<A, I>} join
 * @property {PresenceEvent<A, I>} leave
 * @property {PresenceEvent<A, I>} timeout
 * @property {PresenceEvent<A, I>} updateAttributes
 * @property {Channel<A, I>} change something that can be shown is new; at most once for each frame of the page
 * @property {HerenowError} error what no promise tells: we are out, or do not watch any more
 */

/** So long we wait until observers are told what we did: the broker gathers for a second at most. */
const SHOWN_MS = 1_500;

/**
 * @template {object} [A=Attributes] what members carry
 * @template {object} [I=Attributes] what their tokens say of them
 * @extends {Membership<A, Events<A, I>>}
 */
export class Channel extends Membership {
  #client;
  /** @type {replica.Replica} */
  #replica = replica.NOTHING;
  /** Made when somebody looks. @type {readonly Member<A, I>[] | undefined} */
  #members;
  /** What we asked for; null when we do not watch. @type {'auto' | 'events' | 'count' | null} */
  #level = null;
  /** And of the newest members. @type {Omit<SubscribeOptions, 'level'>} */
  #recent = {};
  /** Who waits for the first state. @type {Set<Settle>} */
  #watching = new Set();
  /** Who waits until we watch no longer. @type {Set<Settle>} */
  #ending = new Set();
  /** Who waits until what we did shows. Each is told whether something of our member did. @type {Set<(ours: boolean) => void>} */
  #showing = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #holding;
  /** @param {import('./client.js').Client} client @param {string} name */
  constructor(client, name) {
    super(client, name);
    this.#client = client;
  }

  /**
   * The members, newest first; another array after each change. At level `count` only the newest, as
   * many as were asked for, with attributes if these were.
   * @returns {readonly Member<A, I>[]}
   */
  get members() {
    return this.#members ??= replica.newestFirst(this.#replica);
  }

  /** How many members there are that everyone may see. */
  get count() {
    return replica.count(this.#replica);
  }

  /** What is told: `events`, or only the `count`; null before anything is. */
  get level() {
    return this.#replica.level;
  }

  /** Whether what is shown is kept up to date. */
  get live() {
    return this.#replica.live;
  }

  /** Our own member, as others see it; undefined if we are none, or do not watch. */
  get self() {
    return this.get(this.#client.me);
  }

  /** @param {string} user @returns {Member<A, I> | undefined} */
  get(user) {
    return /** @type {any} */ (this.#replica.members.get(user));
  }

  /**
   * Watches the channel. Kept once the members, or their number, are known.
   * @param {SubscribeOptions} [options]
   * @returns {Promise<void>}
   */
  subscribe({ level = 'auto', ...recent } = {}) {
    return this.#client.promise((settle) => {
      this.#level = level;
      this.#recent = recent;
      this.#watching.add(settle);
      this.#sendSubscribe();
    }, true);
  }

  /** Watches no longer, and forgets what was known. @returns {Promise<void>} */
  unsubscribe() {
    this.#endSubscription(superseded());
    return this.#client.promise((settle) => {
      if (!this.#client.isOpen) return settle(null);
      this.#ending.add(settle);
      this.#sendSubscribe();
    });
  }

  /**
   * One page of the members, newest first, whether we watch or not.
   * @param {{limit?: number, after?: number}} [options] `after`: the `next` of the page before
   * @returns {Promise<{members: Member<A, I>[], count: number, next?: number, epoch?: string, seq?: number}>}
   */
  getMembers(options) {
    return this.#query('getMembers', options);
  }

  /** How many members there are, whether we watch or not. @returns {Promise<number>} */
  getCount() {
    return this.#query('getCount', {}, ({ count }) => count);
  }

  /** A member's attributes; our own without a name. @param {string} [user] @returns {Promise<A>} */
  getAttributes(user) {
    return this.#query('getAttributes', { user }, ({ attributes }) => attributes);
  }

  /** @param {string} type @param {object} [more] @param {(answer: any) => any} [read] */
  #query(type, more, read) {
    return this.#client.request({ type, channel: this.name, ...more }, read);
  }

  // For the client.

  /** And watches again: then a snapshot has us in it already, and our own row does not blink. @internal */
  watchAgain() {
    if (this.#level !== null) this.#sendSubscribe();
  }

  /** The connection is lost. What is shown stays. @internal */
  interrupted() {
    super.interrupted();
    this.#take(replica.interrupted(this.#replica));
    settleAll(this.#ending, null);
  }

  /** There will be no other connection, unless the page asks for one. @internal */
  ended() {
    this.#stopHolding();
    this.#look(true);
    super.ended();
  }

  /** @param {any} frame @internal */
  frame(frame) {
    if (this.#level === null) return;
    const step = replica.apply(this.#replica, frame, this.#client.sight);
    this.#take(step);
    if (step.gap) this.#sendSubscribe();
    if (frame.type === 'count') this.#look(true);
    if (this.live && /snapshot|count/.test(frame.type)) this.tell('watch', this.#watching, null);
  }

  /** Our membership ended, or our rights, without our asking. @param {string} reason @internal */
  removed(reason) {
    this.restore();
    // Which of our rights ended is not told; asked again, the broker names the one that is missing.
    if (reason === 'rights' && this.#level !== null) this.#sendSubscribe();
  }

  /**
   * The broker answers before it tells observers, of whom we are one: waits until what was done shows, or
   * something newer, so that whoever awaited it and looks does not see the old.
   * @param {(self: Member | undefined) => unknown} isSo where members are known
   * @param {Settle} settle
   * @param {boolean} [counts] whether it shows in their number, too
   * @returns {Settle}
   * @internal
   */
  shown(isSo, settle, counts = true) {
    return (error) => {
      const isThere = () => this.#level === null || (this.live && (this.level === 'count' ? !counts : isSo(this.self)));
      if (error || !this.#client.isOpen || isThere()) return settle(error);
      const look = (/** @type {boolean} */ ours) => {
        if (!ours && !isThere()) return;
        clearTimeout(timer);
        this.#showing.delete(look);
        settle(null);
      };
      const timer = setTimeout(look, SHOWN_MS, true);
      this.#showing.add(look);
    };
  }

  #look(ours = false) {
    for (const look of this.#showing) look(ours);
  }

  /** Says whether, and how, we watch when that may be sent. */
  #sendSubscribe() {
    this.#client.post(this, () => {
      const [level, channel] = [this.#level, this.name];
      if (level === null) return [{ frame: { type: 'unsubscribe', channel }, ...taken(this.#ending) }];
      settleAll(this.#ending, null);
      return [{
        frame: { ...this.#recent, type: 'subscribe', channel, level, since: replica.since(this.#replica) },
        settle: (error, answer) => {
          if (level !== this.#level) return;
          if (error) return this.#endSubscription(error);
          if (!answer.resumed) return; // a snapshot or a count follows
          this.#take(replica.resumed(this.#replica));
          this.tell('watch', this.#watching, null);
        },
      }];
    });
  }

  /** @param {HerenowError} error */
  #endSubscription(error) {
    this.#level = null;
    this.#stopHolding();
    this.#take(replica.unchanged(replica.NOTHING));
    this.tell('watch', this.#watching, error);
  }

  /** @param {replica.Step} step */
  #take({ replica: next, changes }) {
    if (next === this.#replica) return;
    this.#replica = next;
    this.#members = undefined;
    if (next.missing.size) this.#hold();
    for (const change of changes) {
      const { event, user, after } = change;
      const isOurs = user === this.#client.me;
      // Another tab of ours may have written.
      if (isOurs && after && event === 'updateAttributes') this.follow(after.attributes);
      this.emit(event, this.#event(change));
      if (isOurs) this.#look(true);
    }
    this.#look();
    this.changed();
  }

  /** After a restart everybody comes back one by one. Who does not has gone. */
  #hold() {
    this.#holding ??= setTimeout(() => {
      this.#stopHolding();
      this.#take(replica.settle(this.#replica));
    }, this.#client.returnMs);
  }

  #stopHolding() {
    clearTimeout(this.#holding);
    this.#holding = undefined;
  }

  /** @param {Change} change @returns {PresenceEvent<any, any>} */
  #event({ after, ...change }) {
    const { info, attributes, away } = /** @type {Member} */ (after ?? change.before);
    return { channel: this.name, info, attributes, ...change, away };
  }
}
