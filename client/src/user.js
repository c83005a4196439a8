/** Users apart from any channel: who is watched, and what was told of them. */

import { bind } from './bound.js';
import { call } from './emitter.js';

/**
 * The fields of the protocol's `status` frame.
 * @typedef {object} Status
 * @property {string} user
 * @property {boolean} online
 * @property {boolean} [invisible] only of ourselves
 * @property {boolean} busy
 * @property {number} [waitTime] minutes
 * @property {string} [text]
 * @property {Record<string, unknown>} [info]
 * @property {number} [lastSeen]
 * @property {number} [createdAt]
 * @property {number} [updatedAt]
 */

/** @typedef {(status: Status) => void} Watcher */

/** Names in one frame: 50 of the longest fit into a message. */
const BATCH = 50;

export class User {
  /** What was told last. @type {Status | null} */
  status = null;
  /** @type {Set<Watcher>} */
  #watchers = new Set();
  #users;

  /** @param {Users} users @param {string} id */
  constructor(users, id) {
    bind(this);
    this.#users = users;
    this.id = id;
  }

  /** @internal */
  get isWatched() {
    return this.#watchers.size > 0;
  }

  /**
   * Hears the status as soon as it is known, and again whenever it changes. What is refused is told
   * by the client's `error`.
   * @param {Watcher} watcher
   * @returns {() => void} ends it
   */
  watch(watcher) {
    if (!this.isWatched) this.#users.begin(this);
    else if (this.status) call(watcher, this.status);
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher) && !this.isWatched) this.#users.end(this);
    };
  }

  /** @param {Status} status @internal */
  told(status) {
    const before = this.status;
    this.status = status;
    if (before && essence(before) === essence(status)) return;
    for (const watcher of [...this.#watchers]) call(watcher, status);
  }
}

export class Users {
  /** @type {Map<string, User>} */
  #all = new Map();
  /** Those to ask for at the end of this turn, all in one. @type {Set<string>} */
  #asking = new Set();
  #client;

  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {string} id */
  get(id) {
    const user = this.#all.get(id) ?? new User(this, id);
    this.#all.set(id, user);
    return user;
  }

  /** @param {User} user */
  begin({ id }) {
    if (this.#asking.add(id).size === 1) queueMicrotask(() => this.#ask());
  }

  /** @param {User} user */
  end(user) {
    user.status = null;
    if (!this.#asking.delete(user.id)) this.#client.ask({ type: 'unwatch', users: [user.id] }, () => {});
  }

  /** On a new connection, all are asked for again. */
  restore() {
    for (const user of this.#all.values()) if (user.isWatched) this.#asking.add(user.id);
    this.#ask();
  }

  /** @param {any} frame */
  told({ type, ...status }) {
    const user = this.#all.get(status.user);
    if (user?.isWatched) user.told(status);
  }

  /** A fresh token does not grant them. @param {string[]} ids */
  removed(ids) {
    for (const id of ids) this.#watch([id]);
  }

  #ask() {
    const ids = [...this.#asking];
    this.#asking.clear();
    while (ids.length) this.#watch(ids.splice(0, BATCH));
  }

  /** @param {string[]} users */
  #watch(users) {
    this.#client.ask({ type: 'watch', users }, (error) => {
      if (!error) return;
      // If one is refused, all are: ask for each, so that only that one is missed.
      if (users.length > 1) for (const user of users) this.#watch([user]);
      else this.#client.emit('error', error);
    });
  }
}

/** While a user is online it was last seen about now, and that is no news. @param {Status} status */
function essence(status) {
  return JSON.stringify(status.online ? { ...status, lastSeen: 0 } : status);
}
