/**
 * One channel: what we want of it (to watch it, to be a member), what we know of it (the replica),
 * and telling the page what truly changed.
 */

import { Carried } from './carried.js';
import { Emitter } from './emitter.js';
import { HerenowError } from './error.js';
import * as replica from './replica.js';
import { soon } from './soon.js';

/** @typedef {import('./replica.js').Member} Member */
/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./replica.js').Change} Change */
/** @typedef {import('./client.js').Settle} Settle */

/**
 * What happened to one member. Of somebody who went, `info` and `attributes` are the last.
 * @typedef {object} PresenceEvent
 * @property {Change['event']} event
 * @property {string} channel
 * @property {string} user
 * @property {Attributes} [info] what the user's token says
 * @property {Attributes} attributes
 * @property {Member} [before] absent for somebody who came
 * @property {string} [reason] of a `leave`: `left`, `closed`, `kicked`; of a `timeout`: `heartbeat`,
 *   `connection`, `lease`; of `updateAttributes`: `expired`. Absent where it was found by comparing,
 *   after an absence of our own.
 * @property {number} [lastSeen] of a timeout
 * @property {number | null} [at] when, in milliseconds since 1970 by the broker's clock
 */

/**
 * @typedef {object} JoinOptions
 * @property {number} [graceMs] for how long others do not notice if the connection is lost
 * @property {string[]} [visibleTo] the roles that may see us; everyone if absent
 * @property {'stay' | 'leave' | Attributes} [whenHidden] while the page is hidden: stay (if absent),
 *   leave and come back, or carry these attributes too
 */

/**
 * @typedef {object} Events
 * @property {PresenceEvent} join
 * @property {PresenceEvent} leave
 * @property {PresenceEvent} timeout
 * @property {PresenceEvent} updateAttributes
 * @property {Channel} change something that can be shown is new; at most once for each frame of the page
 * @property {HerenowError} error what no promise tells: we are out, or do not watch any more
 */

/** @extends {Emitter<Events>} */
export class Channel extends Emitter {
  #client;
  /** @type {replica.Replica} */
  #replica = replica.NOTHING;
  /** @type {{of: replica.Replica, members: readonly Member[]}} */
  #listed = { of: replica.NOTHING, members: [] };
  /** What we asked for; null when we do not watch. @type {'auto' | 'events' | 'count' | null} */
  #level = null;
  /** @type {(JoinOptions & {carried: Carried}) | null} null when we do not want to be a member */
  #wish = null;
  /** @type {'out' | 'joining' | 'in'} */
  #joined = 'out';
  /** Who waits for the first state. @type {Set<Settle>} */
  #watching = new Set();
  /** Who waits until what our member carries is confirmed. @type {Set<Settle>} */
  #waiting = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #holding;
  /** Why we are no member, and why we do not watch, though we asked for it. @type {Record<'join' | 'watch', HerenowError | null>} */
  #errors = { join: null, watch: null };
  /** What was written before the join of the same turn. @type {Set<() => void>} */
  #early = new Set();
  #changed = soon(() => this.emit('change', this));

  /** @param {import('./client.js').Client} client @param {string} name */
  constructor(client, name) {
    super();
    this.#client = client;
    this.name = name;
  }

  /**
   * The members, newest first; another array after each change. At level `count` only the newest,
   * at most 200, without attributes.
   * @returns {readonly Member[]}
   */
  get members() {
    if (this.#listed.of !== this.#replica) {
      this.#listed = { of: this.#replica, members: replica.newestFirst(this.#replica) };
    }
    return this.#listed.members;
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

  /** Whether we are a member; `joining` until the broker says so, however many connections that takes. */
  get joined() {
    return this.#joined;
  }

  /** Why we are no member, or do not watch, though we asked for it; null once we do, or do not ask for it any more. */
  get error() {
    return this.#errors.join ?? this.#errors.watch;
  }

  /** Our own member, as others see it; undefined if we are none, or do not watch. */
  get self() {
    return this.get(this.#client.me);
  }

  /** @param {string} user @returns {Member | undefined} */
  get(user) {
    return replica.find(this.#replica, user);
  }

  /**
   * Watches the channel. Kept once the members, or their number, are known.
   * @param {{level?: 'auto' | 'events' | 'count'}} [options] `auto`: members one by one while they are
   *   not too many, and then their number and the newest
   * @returns {Promise<void>}
   */
  subscribe({ level = 'auto' } = {}) {
    return this.#client.promise((settle) => {
      this.#level = level;
      this.#watching.add(settle);
      this.#sendSubscribe();
    });
  }

  /** Watches no longer, and forgets what was known. @returns {Promise<void>} */
  unsubscribe() {
    this.#endSubscription(superseded());
    return this.#client.promise((settle) => {
      this.#ask('unsubscribe', {}, settle, 'done');
    });
  }

  /**
   * Becomes a member, and again on each new connection, with all that was set meanwhile.
   * @param {Attributes} [attributes] absent: what is set already, here or by another tab
   * @param {JoinOptions} [options] what is not named stays as it was said before: who hides would not
   *   want to be seen for having changed a mood
   * @returns {Promise<void>}
   */
  join(attributes, options = {}) {
    return this.#client.promise((settle) => {
      const carried = attributes === undefined && this.#wish ? this.#wish.carried : new Carried(attributes);
      this.#wish = { ...this.#wish, ...options, carried };
      this.#waiting.add(settle);
      this.#sendJoin();
      for (const write of this.#early) write();
    });
  }

  /** Is a member no longer. @returns {Promise<void>} */
  leave() {
    this.#endMembership(superseded());
    return this.#client.promise((settle) => {
      this.#ask('leave', {}, settle, 'done');
    });
  }

  /**
   * Sets some attributes of our member and keeps the others; a null takes a key away.
   * @param {Attributes} patch
   * @param {{ttl?: number, replace?: boolean}} [options] `ttl`: after so many milliseconds the keys of
   *   the patch vanish by themselves. `replace`: keep no others.
   * @returns {Promise<void>}
   */
  setAttributes(patch, options = {}) {
    return this.#client.promise((settle) => {
      const write = () => {
        this.#early.delete(write);
        this.#write(patch, options, settle);
      };
      if (this.#wish) return write();
      this.#early.add(write);
      // A component's first effect runs before that of the component around it, which joins, and
      // which may itself wait for the end of the turn.
      queueMicrotask(() => queueMicrotask(() => this.#early.has(write) && write()));
    });
  }

  /** @param {Attributes} patch @param {{ttl?: number, replace?: boolean}} options @param {Settle} settle */
  #write(patch, { ttl, replace = false }, settle) {
    if (!this.#wish) return settle(new HerenowError('not_joined', 'join first'));
    const until = ttl === undefined ? undefined : performance.now() + ttl;
    const told = this.#wish.carried.set(patch, until, replace);
    if (this.#isAway) return settle(null);
    this.#waiting.add(settle);
    this.#ask('setAttributes', { attributes: patch, merge: !replace, ttlMs: ttl }, (error) => {
      told(error);
      settleAll(this.#waiting, error, [settle]);
    });
  }

  /**
   * One page of the members, newest first, whether we watch or not.
   * @param {{limit?: number, after?: number}} [options] `after`: the `next` of the page before
   * @returns {Promise<{members: Member[], count: number, next?: number}>}
   */
  getMembers(options) {
    return this.#query('getMembers', options);
  }

  /** How many members there are, whether we watch or not. @returns {Promise<number>} */
  async getCount() {
    return (await this.#query('getCount')).count;
  }

  /** A member's attributes; our own without a name. @param {string} [user] @returns {Promise<Attributes>} */
  async getAttributes(user) {
    return (await this.#query('getAttributes', { user })).attributes;
  }

  /** @param {string} type @param {object} [more] */
  #query(type, more) {
    return this.#client.request({ type, channel: this.name, ...more });
  }

  // For the client.

  /** There is a new connection: says again what is wanted. @internal */
  restore() {
    // Join first: then a snapshot has us in it already, and our own row does not blink.
    this.#sendJoin();
    this.#sendSubscribe();
  }

  /** The connection is lost. What is shown stays. @internal */
  interrupted() {
    this.#take(replica.interrupted(this.#replica));
    if (this.#joined === 'in') this.#setJoined('joining');
  }

  /** There will be no other connection, unless the page asks for one. @internal */
  ended() {
    this.#stopHolding();
    this.#setJoined('out');
  }

  /** @param {any} frame @internal */
  frame(frame) {
    if (this.#level === null) return;
    const step = replica.apply(this.#replica, frame, this.#client.sight);
    this.#take(step);
    if (step.gap) this.#sendSubscribe();
    if (this.live && frame.type !== 'presence') this.#watches();
  }

  /** Our membership ended, or our rights, without our asking. @param {string} reason @internal */
  removed(reason) {
    this.#sendJoin();
    // Which of our rights ended is not told; asked again, the broker names the one that is missing.
    if (reason === 'rights') this.#sendSubscribe();
  }

  /** @internal */
  visibilityChanged() {
    const { whenHidden = 'stay', carried } = this.#wish ?? {};
    if (whenHidden === 'stay' || !carried) return;
    if (typeof whenHidden === 'object') {
      const attributes = isHidden() ? whenHidden : carried.without(whenHidden);
      this.#ask('setAttributes', { attributes, merge: true });
    } else if (isHidden()) {
      this.#setJoined('out');
      this.#ask('leave');
    } else {
      this.#sendJoin();
    }
  }

  /** Whether we are out for as long as the page is hidden. */
  get #isAway() {
    return this.#wish?.whenHidden === 'leave' && isHidden();
  }

  #sendJoin() {
    const wish = this.#wish;
    if (!wish) return;
    if (this.#isAway) return settleAll(this.#waiting, null);
    this.#setJoined('joining');
    const waiting = [...this.#waiting];
    const { done, ...said } = wish.carried.saying();
    this.#ask('join', this.#joinFrame(wish, said), (error) => {
      if (!error) done();
      if (wish !== this.#wish) return;
      if (error) return this.#endMembership(error);
      this.#errors.join = null;
      if (!this.#isAway) this.#setJoined('in');
      settleAll(this.#waiting, null, waiting);
    });
    for (const passing of wish.carried.passing(performance.now())) this.#ask('setAttributes', { ...passing, merge: true });
  }

  /** @param {JoinOptions & {carried: Carried}} wish @param {{attributes?: Attributes, merge: boolean}} said */
  #joinFrame({ carried, graceMs, visibleTo, whenHidden }, { attributes, merge }) {
    if (typeof whenHidden === 'object') {
      attributes = { ...attributes, ...(isHidden() ? whenHidden : merge && carried.without(whenHidden)) };
    }
    // Nobody asked for just this grace, so a broker that allows less shall not refuse it.
    const usual = Math.min(this.#client.graceMs, this.#client.welcome?.limits.graceMs ?? Infinity);
    return { attributes, merge, graceMs: graceMs ?? usual, visibleTo };
  }

  /** @param {string} type @param {object} [more] @param {Settle} [settle] @param {import('./client.js').IfLost} [ifLost] */
  #ask(type, more, settle = () => {}, ifLost) {
    this.#client.ask({ type, channel: this.name, ...more }, settle, ifLost);
  }

  #sendSubscribe() {
    const level = this.#level;
    if (level === null) return;
    this.#ask('subscribe', { level, since: replica.since(this.#replica) }, (error, answer) => {
      if (level !== this.#level) return;
      if (error) return this.#endSubscription(error);
      if (!answer.resumed) return; // a snapshot or a count follows
      this.#take(replica.resumed(this.#replica));
      this.#watches();
    });
  }

  #watches() {
    this.#errors.watch = null;
    settleAll(this.#watching, null);
  }

  /** @param {HerenowError} error */
  #endMembership(error) {
    this.#wish = null;
    this.#setJoined('out');
    this.#tell('join', this.#waiting, error);
  }

  /** @param {HerenowError} error */
  #endSubscription(error) {
    this.#level = null;
    this.#stopHolding();
    this.#take(replica.unchanged(replica.NOTHING));
    this.#tell('watch', this.#watching, error);
  }

  /**
   * Tells those who wait; if nobody does, whoever listens.
   * @param {'join' | 'watch'} what
   * @param {Set<Settle>} waiting
   * @param {HerenowError} error
   */
  #tell(what, waiting, error) {
    const isOurs = error.code === 'superseded';
    this.#errors[what] = isOurs ? null : error;
    this.#changed();
    if (!waiting.size && !isOurs) this.emit('error', error);
    settleAll(waiting, error);
  }

  /** @param {replica.Step} step */
  #take({ replica: next, changes }) {
    if (next === this.#replica) return;
    this.#replica = next;
    if (next.missing.size) this.#hold();
    for (const change of changes) {
      this.#follow(change);
      this.emit(change.event, this.#event(change));
    }
    this.#changed();
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

  /** Another tab of ours may have written. @param {Change} change */
  #follow({ event, user, after }) {
    const ours = event === 'updateAttributes' && user === this.#client.me;
    // What we are writing ourselves is newer than what comes in.
    if (ours && after && !this.#waiting.size) this.#wish?.carried.follow(after.attributes);
  }

  /** @param {Change} change @returns {PresenceEvent} */
  #event({ after, ...change }) {
    const { info, attributes } = /** @type {Member} */ (after ?? change.before);
    return { channel: this.name, info, attributes, ...change };
  }

  /** @param {'out' | 'joining' | 'in'} joined */
  #setJoined(joined) {
    if (joined === this.#joined) return;
    this.#joined = joined;
    this.#changed();
  }
}

function superseded() {
  return new HerenowError('superseded', 'overtaken by another call');
}

/** @param {Set<Settle>} waiting @param {HerenowError | null} error @param {Settle[]} [some] of them */
function settleAll(waiting, error, some = [...waiting]) {
  for (const settle of some) {
    waiting.delete(settle);
    settle(error);
  }
}

function isHidden() {
  return globalThis.document?.visibilityState === 'hidden';
}
