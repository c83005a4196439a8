/** Users apart from any channel: who is watched, and what was told of them. */

import { bind } from './bound.js';
import { call } from './emitter.js';

/** @typedef {import('./replica.js').Attributes} Attributes */

/**
 * The fields of the protocol's `status` frame.
 * @template {object} [I=Attributes] what tokens say of users
 * @typedef {object} Status
 * @property {string} user
 * @property {boolean} live whether it is kept up to date: false while there is no connection
 * @property {boolean} online
 * @property {boolean} [away] true: away from all that keeps the user online
 * @property {boolean} [invisible] only of ourselves
 * @property {boolean} busy
 * @property {number} [waitTime] minutes
 * @property {string} [text]
 * @property {I} [info]
 * @property {number} [lastSeen]
 * @property {number} [createdAt]
 * @property {number} [updatedAt]
 */

/** @template {object} [I=Attributes] @typedef {(status: Status<I>) => void} Watcher */
/** @typedef {{watcher: Watcher<any>, live: boolean}} Watch each call of `watch` is one */

/** Names in one frame: 50 of the longest fit into a message. */
const BATCH = 50;

/** @template {object} [I=Attributes] */
export class User {
  /** What was told last. @type {Status<I> | null} */
  status = null;
  /** @type {Set<Watch>} */
  #watches = new Set();
  #users;

  /** @param {Users} users @param {string} id */
  constructor(users, id) {
    bind(this);
    this.#users = users;
    this.id = id;
  }

  /** @internal */
  get isWatched() {
    return this.#watches.size > 0;
  }

  /**
   * Hears the status as soon as it is known, and again whenever it changes. What is refused is told
   * by the client's `error`.
   * @param {Watcher<I>} watcher
   * @param {{live?: boolean}} [options] `live`: also when the connection is lost, and when it is back
   * @returns {() => void} ends it
   */
  watch(watcher, { live = false } = {}) {
    const mine = { watcher, live };
    const isFirst = !this.isWatched;
    this.#watches.add(mine);
    if (isFirst) this.#users.changed(this);
    else if (this.status) call(watcher, this.status);
    return () => {
      if (!this.#watches.delete(mine) || this.isWatched) return;
      this.status = null;
      this.#users.changed(this);
    };
  }

  /** @param {Status<I>} status @internal */
  told(status) {
    const before = this.status;
    this.status = status;
    const isNews = !before || essence(before) !== essence(status);
    const isOther = before?.live !== status.live;
    for (const { watcher, live } of [...this.#watches]) if (isNews || (live && isOther)) call(watcher, status);
  }

  /** The connection is lost. @internal */
  interrupted() {
    if (this.status?.live) this.told({ ...this.status, live: false });
  }
}

export class Users {
  /** @type {Map<string, User<any>>} */
  #all = new Map();
  /** Whom there is something to say of at the end of this turn, all in one. @type {Set<User<any>>} */
  #due = new Set();
  #client;

  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {string} id @returns {User<any>} */
  get(id) {
    const user = this.#all.get(id) ?? new User(this, id);
    this.#all.set(id, user);
    return user;
  }

  /** Somebody is watched, or not any more. @param {User<any>} user */
  changed(user) {
    if (this.#due.add(user).size === 1) queueMicrotask(() => this.#say());
  }

  /** On a new connection, all are asked for again. */
  restore() {
    for (const user of this.#all.values()) if (user.isWatched) this.#due.add(user);
    this.#say();
  }

  interrupted() {
    this.#all.forEach((user) => user.interrupted());
  }

  /** @param {any} frame */
  told({ type, ...status }) {
    const user = this.#all.get(status.user);
    if (user?.isWatched) user.told({ ...status, live: true });
  }

  /** A fresh token does not grant them. @param {string[]} ids */
  removed(ids) {
    // Each alone: if one is refused, all are.
    for (const id of ids) this.#post([this.get(id)]);
  }

  #say() {
    const due = [...this.#due];
    this.#due.clear();
    while (due.length) this.#post(due.splice(0, BATCH));
  }

  /** Says of each whether it is watched when that may be sent. @param {User<any>[]} some */
  #post(some) {
    this.#client.post(some, () => [true, false].flatMap((wanted) => {
      const users = some.filter(({ isWatched }) => isWatched === wanted).map(({ id }) => id);
      return users.length ? [{
        frame: { type: wanted ? 'watch' : 'unwatch', users },
        settle: (error) => {
          if (error && users.length > 1) this.removed(users);
          else if (error) this.#client.emit('error', error);
        },
      }] : [];
    }));
  }
}

/** While a user is online it was last seen about now, and that is no news. @param {Status} status */
function essence(status) {
  return JSON.stringify({ ...status, live: true, lastSeen: status.online ? 0 : status.lastSeen });
}
