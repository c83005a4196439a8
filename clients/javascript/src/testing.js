/**
 * A broker in memory, for the tests of an app: no network, no process, and whatever else happens to an
 * app by a line of code. The client on top of it is the real one.
 *
 * ```js
 * const broker = fakeBroker();
 * const here = broker.connect({ user: 'ada' });
 *
 * broker.join('room-1', 'bob', { mood: 'happy' }); // somebody else comes
 * broker.refuse('join', { code: 'forbidden' });    // we may not
 * broker.cut();                                    // the network fails
 * ```
 *
 * Where the app makes its client itself, hand it `broker.url` and `broker.WebSocket`.
 */

import { FakeChannel } from './fake-channel.js';
import { FakeConnection, LIMITS } from './fake-connection.js';
import { FakeUsers } from './fake-users.js';
import { connect } from './index.js';

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Options} Options */
/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {{code: string, message?: string, field?: string, retryAfterMs?: number}} Refusal */
/** @typedef {{busy?: boolean, invisible?: boolean, waitTime?: number | null, text?: string | null, online?: boolean}} StatusPatch */

/**
 * A broker in memory.
 * @param {{limits?: Partial<typeof LIMITS>}} [options] `limits`: those of the broker that differ from
 *   the usual; with a `roster` of 2, channels of three members are told as a count
 */
export function fakeBroker({ limits = {} } = {}) {
  return new FakeBroker({ ...LIMITS, ...limits });
}

export class FakeBroker {
  url = 'ws://herenow.test/ws';
  /** The constructor that `connect` takes. @type {any} */
  WebSocket;
  /** All frames that came, oldest first: `{ user, frame }`, but for heartbeats. @type {{user: string, frame: any}[]} */
  received = [];
  /** @type {Map<string, FakeChannel>} */
  #channels = new Map();
  /** @type {Map<any, FakeConnection>} by their sockets */
  #connections = new Map();
  /** Who is online without a connection, because the test says so. @type {Set<string>} */
  #online = new Set();
  /** @type {Set<{matches: (frame: any) => boolean, error: Refusal}>} */
  #refusals = new Set();
  /** What is to be told at the end of the turn. @type {Set<FakeChannel | string>} */
  #due = new Set();
  #users = new FakeUsers((user) => this.#presence(user));
  #made = 0;
  #runs = true;
  #world;

  /** @param {typeof LIMITS} limits */
  constructor(limits) {
    this.#world = {
      limits,
      channel: (/** @type {string} */ name) => this.#channel(name),
      channels: () => this.#channels.values(),
      users: this.#users,
      touch: (/** @type {string} */ user) => this.#touch(user),
      refused: (/** @type {any} */ frame, /** @type {string} */ user) => this.#hear(frame, user),
    };
    this.WebSocket = socketOf({
      open: (socket, url, protocols) => this.#open(socket, url, protocols),
      hear: (socket, text) => this.#connections.get(socket)?.hear(JSON.parse(text)),
      close: (socket, code) => this.#closed(socket, code === 1000 || code === 1001 || code === undefined),
    });
  }

  /**
   * A client of this broker, which comes back at once. `user` says who it is, or a `token`, which is read
   * and not checked.
   * @param {Options} [options]
   * @returns {Client}
   */
  connect(options) {
    return connect(this.url, { WebSocket: this.WebSocket, firstRetryMs: 10, maxRetryMs: 10, ...options });
  }

  /**
   * Somebody becomes a member, or is one with other attributes.
   * @param {string} channel
   * @param {string} user
   * @param {Attributes} [attributes]
   * @param {{info?: object, visibleTo?: string[], away?: boolean}} [more] `info`: what the user's token would say
   */
  join(channel, user, attributes, { info, ...wish } = {}) {
    this.#channel(channel).join(this, { user, info }, { attributes, ...wish });
  }

  /** Sets some attributes of a member, and keeps the others. @param {string} channel @param {string} user @param {Attributes} patch @param {{ttl?: number}} [options] */
  setAttributes(channel, user, patch, { ttl } = {}) {
    this.#member(channel, user).set(user, patch, { merge: true, ttlMs: ttl });
  }

  /** A member leaves. @param {string} channel @param {string} user */
  leave(channel, user) {
    this.#member(channel, user).remove(user, { event: 'leave', reason: 'left' });
  }

  /** A member is lost: nothing was heard of it. If it is a client, the client is told, and comes back. @param {string} channel @param {string} user */
  timeout(channel, user) {
    this.#member(channel, user).remove(user, { event: 'timeout', reason: 'heartbeat', lastSeen: Date.now() });
    for (const connection of this.#of(user)) connection.tell({ type: 'removed', channels: [channel], reason: 'heartbeat' });
  }

  /** Sets a user's status; `online`: whether the user is there although no client is. @param {string} user @param {StatusPatch} patch */
  status(user, { online, ...patch }) {
    if (online) this.#online.add(user);
    else if (online === false && this.#online.delete(user)) this.#users.seen(user);
    if (Object.keys(patch).length) this.#users.set(user, patch);
    this.#touch(user);
  }

  /**
   * The members of a channel, newest first, those included whom not everyone may see.
   * @param {string} channel
   * @returns {{user: string, attributes: Record<string, any>}[]}
   */
  members(channel) {
    return [...this.#channel(channel).members.values()].map(({ user, attributes }) => ({ user, attributes })).reverse();
  }

  /**
   * Refuses frames, until the function is called that is returned.
   * @param {string | ((frame: any) => boolean)} which a type (`join`, `subscribe`, `watch` …), or what decides
   * @param {Refusal} error such as `{ code: 'forbidden' }`
   * @returns {() => void}
   */
  refuse(which, error) {
    const refusal = { matches: typeof which === 'string' ? (/** @type {any} */ { type }) => type === which : which, error };
    this.#refusals.add(refusal);
    return () => void this.#refusals.delete(refusal);
  }

  /** Ends all connections as a network does that fails: without a goodbye. They come back by themselves. */
  cut() {
    for (const socket of [...this.#connections.keys()]) this.#lose(socket, 1006);
  }

  /** Is not there any more, until `start`: no connection succeeds. */
  stop() {
    this.#runs = false;
    this.cut();
  }

  /** Is there again, and knows what it knew. */
  start() {
    this.#runs = true;
  }

  /** Ends all connections of a user for good, as a back end does that signs the user out. @param {string} user */
  kick(user) {
    for (const [socket, connection] of [...this.#connections]) {
      if (connection.who.user === user) this.#lose(socket, 4003, (channel) => channel.leave(connection, user, 'kicked'));
    }
  }

  /** @param {string} name */
  #channel(name) {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = new FakeChannel(name, this.#world.limits.roster, (user) => this.#touch(user, name));
      this.#channels.set(name, channel);
    }
    return channel;
  }

  /** @param {string} name @param {string} user */
  #member(name, user) {
    const channel = this.#channel(name);
    if (!channel.has(user)) throw new Error(`${user} is no member of ${name}`);
    return channel;
  }

  /** @param {string} user */
  #of(user) {
    return [...this.#connections.values()].filter(({ who }) => who.user === user);
  }

  /** @param {string} user */
  #presence(user) {
    const connections = this.#of(user);
    const held = [...this.#channels.values()].filter((channel) => channel.has(user));
    const online = connections.length > 0 || held.length > 0 || this.#online.has(user);
    // What keeps a user online: its memberships, and the connections that joined nothing.
    const idle = connections.filter((connection) => !held.some((channel) => channel.joined(connection, user)));
    const keepers = [...idle, ...held.map(({ members }) => members.get(user))];
    const away = keepers.length > 0 && keepers.every((each) => each?.away);
    return { online, away, info: connections.at(-1)?.who.info };
  }

  /** Tells what is new at the end of the turn: what happens in one turn folds. @param {string} user @param {string} [channel] */
  #touch(user, channel) {
    if (!this.#due.size) later(() => this.#tick());
    this.#due.add(user);
    if (channel !== undefined) this.#due.add(this.#channel(channel));
  }

  #tick() {
    const due = [...this.#due];
    this.#due.clear();
    for (const each of due) {
      if (typeof each === 'string') this.#users.tick(each);
      else each.tick();
    }
  }

  /** @param {any} frame @param {string} user @returns {Refusal | undefined} */
  #hear(frame, user) {
    if (frame.type !== 'heartbeat') this.received.push({ user, frame });
    return [...this.#refusals].find(({ matches }) => matches(frame))?.error;
  }

  /** @param {any} socket @param {string} url @param {string[]} protocols */
  #open(socket, url, protocols) {
    if (!this.#runs) return socket.lost(1006);
    const id = `c${++this.#made}`;
    const connection = new FakeConnection(this.#world, whose(url, protocols, id), (frame) => socket.say(frame));
    this.#connections.set(socket, connection);
    connection.welcome(id);
    this.#touch(connection.who.user);
  }

  /** @param {any} socket @param {number} code @param {(channel: FakeChannel) => void} [each] */
  #lose(socket, code, each) {
    this.#closed(socket, false, each);
    socket.lost(code);
  }

  /** @param {any} socket @param {boolean} byDecision @param {(channel: FakeChannel) => void} [each] */
  #closed(socket, byDecision, each) {
    const connection = this.#connections.get(socket);
    if (!connection) return;
    const { user } = connection.who;
    this.#connections.delete(socket);
    connection.end(each ?? ((channel) => (byDecision ? channel.leave(connection, user, 'closed') : channel.lose(connection, user))));
  }
}

/**
 * Who connects: as a broker without keys reads it, or by what a token claims.
 * @param {string} url @param {string[]} protocols @param {string} id
 * @returns {import('./fake-connection.js').Who}
 */
function whose(url, protocols, id) {
  const token = protocols.find((each) => each.startsWith('bearer.'))?.split('.')[2];
  if (!token) return { user: /[?&]user=([^&]*)/.exec(url)?.[1].replaceAll('+', ' ').replace(/%.*/, decodeURIComponent) ?? `guest-${id}` };
  const bytes = Uint8Array.from(atob(token.replaceAll('-', '+').replaceAll('_', '/')), (each) => each.charCodeAt(0));
  const { sub, info, roles } = JSON.parse(new TextDecoder().decode(bytes));
  return { user: sub, info, roles };
}

/**
 * A WebSocket whose other end is here. What is said on either side is heard in order, in a later turn.
 * @param {{open: (socket: any, url: string, protocols: string[]) => void,
 *   hear: (socket: any, text: string) => void, close: (socket: any, code?: number) => void}} broker
 */
function socketOf(broker) {
  return class FakeWebSocket {
    readyState = 0;
    protocol = 'herenow.v1';
    /** @type {((event: any) => void) | null} */ onopen = null;
    /** @type {((event: any) => void) | null} */ onmessage = null;
    /** @type {((event: any) => void) | null} */ onclose = null;
    /** @type {((event: any) => void) | null} */ onerror = null;

    /** @param {string | URL} url @param {string[]} [protocols] */
    constructor(url, protocols = []) {
      this.url = String(url);
      later(() => {
        if (this.readyState !== 0) return;
        this.readyState = 1;
        this.onopen?.({ type: 'open' });
        broker.open(this, this.url, protocols);
      });
    }

    /** @param {string} text */
    send(text) {
      later(() => this.readyState === 1 && broker.hear(this, text));
    }

    /** @param {number} [code] */
    close(code) {
      if (this.readyState > 1) return;
      this.readyState = 3;
      later(() => broker.close(this, code));
      later(() => this.onclose?.({ code: code ?? 1005, reason: '' }));
    }

    /** The broker says something. @param {object} frame */
    say(frame) {
      const data = JSON.stringify(frame);
      later(() => this.readyState === 1 && this.onmessage?.({ data }));
    }

    /** The connection is gone. @param {number} code */
    lost(code) {
      later(() => {
        if (this.readyState === 3) return;
        this.readyState = 3;
        this.onclose?.({ code, reason: '' });
      });
    }
  };
}

/** By a promise: made-up clocks of test runners leave it alone. @param {() => void} act */
function later(act) {
  Promise.resolve().then(act);
}
