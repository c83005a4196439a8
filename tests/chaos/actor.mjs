/** One client that behaves, and misbehaves, at random; what it wants is known whenever it rests. */

import { setTimeout as sleep } from 'node:timers/promises';
import { BORNE_MS, mint } from './stage.mjs';

/** @typedef {import('../nodes/line.mjs').Line} Line */

export const CHANNELS = ['hall', 'room', 'den'];

/** @template T @param {readonly T[]} list @returns {T} */
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const between = (/** @type {number} */ least, /** @type {number} */ most) => least + Math.random() * (most - least);

/** What a client may do, and how often beside the others. @type {Array<[number, (actor: Actor, line: Line) => Promise<void>]>} */
const DEEDS = [
  [30, async (actor, line) => {
    const channel = pick(actor.allowed);
    await line.request({ type: 'join', channel, graceMs: pick([0, 0, 500, 1_500]), attributes: { n: Math.random(), of: actor.user } });
    actor.joined.add(channel);
  }],
  [12, async (actor, line) => {
    const channel = pick(CHANNELS);
    await line.request({ type: 'leave', channel });
    actor.joined.delete(channel);
  }],
  [25, async (actor, line) => {
    const [channel] = actor.joined;
    if (channel) await line.request({ type: 'setAttributes', channel, merge: true, attributes: { mood: pick(['up', 'down', null]), pad: 'x'.repeat(between(0, 2_000)) }, ...(Math.random() < 0.3 && { ttlMs: 700 }) });
  }],
  [6, async (_actor, line) => void await line.request({ type: 'away', away: Math.random() < 0.5 })],
  [8, async (actor, line) => void await line.request({ type: 'subscribe', channel: pick(actor.allowed), level: pick(['auto', 'events', 'count']) })],
  [4, async (actor, line) => void await line.request({ type: 'watch', users: [pick(actor.all), pick(actor.all)] })],
  // Gone without a goodbye.
  [5, (actor, line) => actor.lose(() => line.drop())],
  [4, (actor, line) => actor.lose(() => line.close())],
  // A process that hangs: it neither reads nor says anything, and wakes up to find itself closed.
  [3, async (actor, line) => {
    await actor.lose(async () => {
      socketOf(line).pause();
      await sleep(BORNE_MS * 1.6);
      socketOf(line).resume();
      await line.drop();
    });
  }],
  // A line that carries little: it goes on, or is given up for taking nothing.
  [4, async (actor, line) => {
    const socket = socketOf(line);
    await line.request({ type: 'subscribe', channel: pick(actor.allowed), level: 'events' });
    for (const end = performance.now() + 2_500; performance.now() < end && line.closed === null;) {
      socket.pause();
      await sleep(90);
      socket.resume();
      await sleep(2);
    }
    socket.resume();
  }],
  // More than it may say: what is too much is refused, or ends it.
  [3, async (_actor, line) => {
    for (let n = 0; n < 400 && line.closed === null; n++) line.send({ type: 'getCount', channel: 'hall', id: `flood-${n}` });
    await sleep(1_500);
  }],
  // What nobody should send.
  [3, (actor, line) => actor.lose(async () => {
    // Too long, no UTF-8, or no text at all.
    const [bytes, binary] = pick([[Buffer.alloc(20_000, 'x'), false], [Buffer.from([0xff, 0xfe]), false], [Buffer.from('{}'), true]]);
    line.socket.send(bytes, { binary });
    await actor.closed(line);
  })],
  [3, async (_actor, line) => {
    line.socket.send(pick(['{', '{"type":"join"}', '[]', '{"type":"join","channel":"hall","attributes":3}', 'null']));
  }],
  // Another token: other roles, something else to tell, or fewer rights.
  [6, async (actor, line) => {
    const fewer = Math.random() < 0.3;
    actor.allowed = fewer ? ['hall'] : CHANNELS;
    const channels = fewer ? { hall: ['join', 'subscribe', 'count'] } : undefined;
    await line.request({ type: 'auth', token: mint(actor.user, { roles: [pick(['red', 'blue'])], info: { name: pick(['A', 'B']) }, channels }) });
    if (fewer) for (const channel of CHANNELS.slice(1)) actor.joined.delete(channel);
  }],
  // A token that ends while it is in use.
  [2, (actor, line) => actor.lose(async () => {
    await line.request({ type: 'auth', token: mint(actor.user, { exp: Math.ceil(Date.now() / 1_000) + 1 }) });
    await actor.closed(line);
  })],
  [6, (actor) => actor.backEnd.lease(pick(CHANNELS))],
];
const TOTAL = DEEDS.reduce((sum, [weight]) => sum + weight, 0);

const socketOf = (/** @type {Line} */ line) => /** @type {any} */ (line.socket)._socket;

/** What acts over HTTP in the name of one user: one thing at a time, so that it is known which was the last. */
export class BackEnd {
  /** Until when a lease lasts, by channel. @type {Map<string, number>} */
  leases = new Map();
  /** @type {string[]} */
  faults = [];
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /** @param {import('./stage.mjs').Stage} stage @param {string} user */
  constructor(stage, user) {
    [this.stage, this.user] = [stage, user];
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  async #ask(method, path, body) {
    const { status } = await this.stage.ask(path, { method, body: body && JSON.stringify(body) });
    if (status >= 300) this.faults.push(`${method} ${path}: ${status}`);
  }

  /** Has the user present for a while, or ends that. @param {string} channel */
  lease(channel) {
    const path = `/v1/channels/${channel}/members/${this.user}`;
    this.#last = this.#last.then(async () => {
      if (Math.random() < 0.3) {
        this.leases.delete(channel);
        return this.#ask('DELETE', path);
      }
      const ttlMs = pick([1_000, 3_000, 60_000]);
      await this.#ask('PUT', path, { ttlMs });
      this.leases.set(channel, Date.now() + ttlMs);
    });
    return /** @type {Promise<void>} */ (this.#last);
  }

  /** Throws the user out: connections, graces and leases. */
  async kick() {
    await this.#last;
    await this.#ask('DELETE', `/v1/users/${this.user}/connections`);
    this.leases.clear();
  }

  async end() {
    await this.#last;
    for (const channel of this.leases.keys()) await this.#ask('DELETE', `/v1/channels/${channel}/members/${this.user}`);
    this.leases.clear();
  }
}

export class Actor {
  /** @type {Line | null} */
  line = null;
  /** Where this connection is a member. @type {Set<string>} */
  joined = new Set();
  /** Channels that its token lets it join. */
  allowed = CHANNELS;
  /** Requests that failed in a way that nobody may see. @type {string[]} */
  faults = [];

  /** @param {BackEnd} backEnd @param {string[]} all every user */
  constructor(backEnd, all) {
    [this.backEnd, this.stage, this.user, this.all] = [backEnd, backEnd.stage, backEnd.user, all];
  }

  async connected() {
    for (let tries = 0; this.line?.closed !== null; tries++) {
      this.joined.clear();
      this.allowed = CHANNELS;
      // After a kick tokens of the second of the kick are refused.
      if (tries > 0) await sleep(300);
      if (tries > 20) throw new Error(`${this.user} is not let in any more`);
      const line = await this.stage.open(mint(this.user), this.user).catch(() => null);
      this.line = line && await this.#welcomed(line) ? line : null;
    }
    return this.line;
  }

  /** Whether it is told that it may stay. @param {Line} line */
  async #welcomed(line) {
    return line.request({ type: 'getCount', channel: 'hall' }).then(() => true, () => false);
  }

  /** @param {number} until */
  async act(until) {
    while (performance.now() < until) {
      const line = await this.connected();
      let dice = Math.random() * TOTAL;
      const [, deed] = /** @type {typeof DEEDS[number]} */ (DEEDS.find(([weight]) => (dice -= weight) < 0));
      await deed(this, line).catch((error) => this.#judge(line, error));
      await this.#beat(line);
      await sleep(between(5, 120));
    }
    await this.rest();
  }

  /** Connected, and quiet. */
  async rest() {
    const line = await this.connected();
    await this.#beat(line);
  }

  /** While others still act. @param {() => boolean} over */
  async stay(over) {
    while (!over()) {
      await this.rest().catch((error) => this.faults.push(`at rest: ${error.message}`));
      await sleep(500);
    }
  }

  /** @param {Line} line */
  async #beat(line) {
    if (line.closed === null) line.send({ type: 'heartbeat' });
  }

  /** What a request may end with is that its connection did, or that it came too often. @param {Line} line @param {Error} error */
  #judge(line, error) {
    if (/^closed with/.test(error.message) || line.closed !== null) return;
    if (/^(rate_limited|too_many_requests)/.test(error.message)) return;
    this.faults.push(`${this.user}: ${error.message}`);
  }

  /** Does what ends the connection. @param {() => Promise<unknown>} how */
  async lose(how) {
    this.joined.clear();
    await how();
    this.joined.clear();
  }

  /** Waits for the broker to close a connection. @param {Line} line */
  async closed(line) {
    for (const end = performance.now() + BORNE_MS; line.closed === null;) {
      if (performance.now() > end) {
        this.faults.push(`${this.user}: still open`);
        return void await line.drop();
      }
      await sleep(20);
    }
  }

  /** It was thrown out. */
  async kicked() {
    if (this.line) await this.closed(this.line);
    this.joined.clear();
  }

  async end() {
    await this.line?.close();
  }
}
