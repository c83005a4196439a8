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
    if (isFirst) this.#users.say(this.id);
    else if (this.status) call(watcher, this.status);
    return () => {
      if (!this.#watches.delete(mine) || this.isWatched) return;
      this.status = null;
      this.#users.say(this.id);
    };
  }

  /** @param {Status<I>} status @internal */
  told(status) {
    const before = this.status;
    this.status = status;
    const isNews = !before || essence(before) !== essence(status);
    const isOther = isNews || before.live !== status.live;
    for (const { watcher, live } of [...this.#watches]) if (isNews || live && isOther) call(watcher, status);
  }

  /** The connection is lost. @internal */
  interrupted() {
    if (this.status?.live) this.told({ ...this.status, live: false });
  }
}

export class Users {
  /** @type {Map<string, User<any>>} */
  #all = new Map();
  /** Whom there is something to say of, at the end of this turn, all in one. @type {Set<string>} */
  #due = new Set();
  /** Whom the broker was asked for on this connection. @type {Set<string>} */
  #said = new Set();
  /** Who is asked for apart from others. @type {Set<string>} */
  #alone = new Set();
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

  /** Watches, or no longer, as it is wanted when it can be said. @param {string} id */
  say(id) {
    if (this.#due.add(id).size === 1) queueMicrotask(() => this.#post());
  }

  /** On a new connection, all are asked for again. */
  restore() {
    this.#due.clear();
    this.#said.clear();
    for (const [id, { isWatched }] of this.#all) if (isWatched) this.#due.add(id);
    this.#post();
  }

  interrupted() {
    for (const user of this.#all.values()) user.interrupted();
  }

  /** @param {any} frame */
  told({ type, ...status }) {
    const user = this.#all.get(status.user);
    if (user?.isWatched) user.told({ ...status, live: true });
  }

  /** A fresh token does not grant them. @param {string[]} ids */
  removed(ids) {
    for (const id of ids) this.say(id);
  }

  #post() {
    this.#client.post(this, () => this.#frames());
  }

  #frames() {
    const ids = [...this.#due];
    this.#due.clear();
    const wanted = ids.filter((id) => this.get(id).isWatched);
    const unwanted = ids.filter((id) => !this.get(id).isWatched && this.#said.delete(id));
    for (const id of wanted) this.#said.add(id);
    const alone = wanted.filter((id) => this.#alone.delete(id));
    return [
      ...batches(unwanted).map((users) => this.#frame('unwatch', users)),
      ...batches(wanted.filter((id) => !alone.includes(id))).map((users) => this.#frame('watch', users)),
      ...alone.map((id) => this.#frame('watch', [id])),
    ];
  }

  /** @param {'watch' | 'unwatch'} type @param {string[]} users @returns {import('./client.js').Saying} */
  #frame(type, users) {
    const again = () => {
      for (const id of users) this.#due.add(id);
      if (type === 'unwatch') for (const id of users) this.#said.add(id);
    };
    return {
      frame: { type, users },
      again,
      settle: (error) => {
        if (!error) return;
        if (users.length === 1) return this.#client.emit('error', error);
        // If one is refused, all are: ask for each, so that only that one is missed.
        for (const id of users) this.#alone.add(id);
        again();
        this.#post();
      },
    };
  }
}

/** @param {string[]} ids */
function batches(ids) {
  return Array.from({ length: Math.ceil(ids.length / BATCH) }, (_, n) => ids.slice(n * BATCH, (n + 1) * BATCH));
}

/** While a user is online it was last seen about now, and that is no news. @param {Status} status */
function essence(status) {
  return JSON.stringify({ ...status, live: true, lastSeen: status.online ? 0 : status.lastSeen });
}
