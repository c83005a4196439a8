/** One connection that speaks the protocol itself, so that thousands cost little and nothing heals by itself. */

import { once } from 'node:events';
import { WebSocket } from '../../clients/javascript/test/broker.js';
import { NOTHING, apply } from '../../clients/javascript/src/replica.js';

export class Line {
  /** @type {Map<number, {resolve(frame: any): void, reject(error: Error): void}>} */
  #asked = new Map();
  #next = 1;
  /** The code of its Close; null while it is open. @type {number | null} */
  closed = null;
  /** @type {(frame: any) => void} */
  onframe = () => {};

  /** @param {WebSocket} socket @param {string} user */
  constructor(socket, user) {
    this.socket = socket;
    this.user = user;
    socket.on('message', (data) => this.#take(JSON.parse(String(data))));
    socket.on('error', () => {});
    socket.on('close', (code) => {
      this.closed = code;
      for (const { reject } of this.#asked.values()) reject(new Error(`closed with ${code}`));
      this.#asked.clear();
    });
  }

  /** @param {{url: string}} node @param {string} user */
  static async open(node, user) {
    const socket = new WebSocket(`${node.url}?user=${encodeURIComponent(user)}`, 'herenow.v1', { perMessageDeflate: false });
    const line = new Line(socket, user);
    await once(socket, 'open');
    return line;
  }

  /** @param {any} frame */
  #take(frame) {
    const asked = this.#asked.get(frame.id);
    if (asked) {
      this.#asked.delete(frame.id);
      if (frame.type === 'error') asked.reject(new Error(`${frame.code}: ${frame.message}`));
      else asked.resolve(frame);
    }
    this.onframe(frame);
  }

  /** @param {object} frame */
  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  /** @param {object} frame @returns {Promise<any>} the answer */
  request(frame) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.send({ ...frame, id });
    });
  }

  /** Goes without a goodbye. */
  async drop() {
    if (this.closed !== null) return;
    const ended = once(this.socket, 'close');
    this.socket.terminate();
    await ended;
  }

  async close() {
    if (this.closed !== null) return;
    const ended = once(this.socket, 'close');
    this.socket.close(1000);
    await ended;
  }
}

/**
 * Who is told everything of one channel, and keeps both what was told and what follows from it. Its
 * complaints name what may never be told: somebody who comes twice, or goes without being there.
 */
export class Observer {
  /** @type {any} */
  replica = NOTHING;
  /** What was told, in order: `{ event, user, reason, at }`, with the moment it came. @type {any[]} */
  told = [];
  /** @type {string[]} */
  complaints = [];
  snapshots = 0;
  partials = 0;

  /** @param {Line | { user: string, closed: number | null, close(): Promise<void> }} line @param {string} channel */
  constructor(line, channel) {
    this.line = line;
    this.channel = channel;
  }

  /** @param {{url: string}} node @param {string} channel @param {string} [user] */
  static async open(node, channel, user = 'an-observer') {
    const line = await Line.open(node, user);
    const observer = new Observer(line, channel);
    line.onframe = (frame) => { if (frame.channel === channel) observer.take(frame); };
    await line.request({ type: 'subscribe', channel, level: 'events' });
    return observer;
  }

  /** The same by server-sent events. @param {{http: string}} node @param {string} channel @param {string} [user] */
  static async stream(node, channel, user = 'an-observer') {
    const end = new AbortController();
    const line = { user, closed: /** @type {number | null} */ (null), async close() { end.abort(); } };
    const observer = new Observer(line, channel);
    const path = `/v1/channels/${encodeURIComponent(channel)}/events?level=events&user=${encodeURIComponent(user)}`;
    const { body } = await fetch(node.http + path, { signal: end.signal });
    (async () => {
      let text = '';
      const decoder = new TextDecoder();
      for await (const bytes of /** @type {any} */ (body)) {
        text += decoder.decode(bytes, { stream: true });
        const lines = text.split('\n');
        text = /** @type {string} */ (lines.pop());
        for (const data of lines.filter((each) => each.startsWith('data: '))) observer.take(JSON.parse(data.slice(6)));
      }
    })().catch(() => {}).finally(() => { line.closed = 0; });
    return observer;
  }

  /** A frame that is about the channel. @param {any} frame */
  take(frame) {
    if (frame.type === 'snapshot') {
      this.snapshots += 1;
      if (frame.partial) this.partials += 1;
    }
    const at = performance.now();
    if (frame.type === 'presence') {
      for (const { event, user, reason } of frame.events) {
        this.told.push({ event, user, reason, at });
        const known = this.replica.members.has(user);
        if (known === (event === 'join')) this.complaints.push(`${event} of ${user}, who is ${known ? '' : 'not '}there`);
      }
    }
    const { replica, changes, gap } = apply(this.replica, frame);
    this.replica = replica;
    if (gap) this.complaints.push(`a gap before seq ${frame.seq}`);
    if (frame.type === 'snapshot' && this.snapshots > 1) {
      for (const { event, user } of changes) this.told.push({ event, user, reason: 'snapshot', at });
    }
  }

  /** What was told of coming and going since a moment. */
  comings(since = 0) {
    return this.told.filter(({ event, at }) => event !== 'updateAttributes' && at >= since);
  }

  /** The members as lists have them: newest first. */
  members() {
    return [...this.replica.members.values()].reverse();
  }
}

/** Who watches the status of users, and keeps the last that it was told of each. */
export class Watcher {
  /** @type {Map<string, any>} */
  statuses = new Map();

  /** @param {Line} line */
  constructor(line) {
    this.line = line;
    line.onframe = ({ type, ...status }) => { if (type === 'status') this.statuses.set(status.user, status); };
  }

  /** @param {{url: string}} node @param {string[]} users @param {string} [user] */
  static async open(node, users, user = 'a-watcher') {
    const watcher = new Watcher(await Line.open(node, user));
    for (let first = 0; first < users.length; first += 100) {
      await watcher.line.request({ type: 'watch', users: users.slice(first, first + 100) });
    }
    return watcher;
  }
}
