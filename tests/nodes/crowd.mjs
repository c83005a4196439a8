/** Users who act at random on all nodes, and what they want, by which the broker's answers are judged. */

import { Line } from './line.mjs';

/** @typedef {import('./cluster.mjs').Node} Node */

/** @template T @param {T[]} list @returns {T} */
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const chance = (/** @type {number} */ share) => Math.random() < share;

/** In the first everybody is seen by everyone. */
const CHANNELS = ['hall', 'room', 'a/b {c}'];
const VALUES = [1, 'two', true, { deep: [] }, 2 ** 53 - 1, 0.1];

export class Crowd {
  channels = CHANNELS;
  /** @type {string[]} */
  users;
  /** Leases that were taken, each `channel user`, with the moment until which they last. @type {Map<string, number>} */
  leases = new Map();
  /** Of each user one at a time, so that it is known which was the last. @type {Map<string, Promise<unknown>>} */
  #leasing = new Map();

  /** What each user did last, in lines. @type {Map<string, string[]>} */
  #did = new Map();

  /** @param {Node[]} nodes @param {number} clients of which some are of one user */
  constructor(nodes, clients) {
    this.nodes = nodes;
    this.users = Array.from({ length: Math.ceil(clients * 0.6) }, (_, n) => `user-${n}`);
    this.clients = Array.from({ length: clients }, (_, n) => new Wanderer(this, this.users[n % this.users.length]));
  }

  /** All act for so long, and then come to rest, still connected. @param {number} ms */
  async act(ms) {
    const end = performance.now() + ms;
    await Promise.all(this.clients.map(async (client) => {
      while (performance.now() < end) {
        await client.act();
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      }
    }));
    await Promise.all(this.clients.map((client) => client.rest()));
  }

  /** Who must be there, once graces are over. @param {string} channel */
  wanted(channel) {
    const now = Date.now();
    const by = new Set(this.clients.flatMap(({ user, joined }) => (joined.has(channel) ? [user] : [])));
    for (const [key, until] of this.leases) {
      const [user, place] = JSON.parse(key);
      if (place === channel && until > now) by.add(user);
    }
    return [...by].sort();
  }

  /** @param {string} user @param {() => Promise<void>} act */
  async leasing(user, act) {
    const next = (this.#leasing.get(user) ?? Promise.resolve()).then(act);
    this.#leasing.set(user, next.catch(() => {}));
    await next;
  }

  /** Keeps what a user did. @param {string} user @param {string} what */
  note(user, what) {
    const lines = this.#did.get(user) ?? [];
    lines.push(`${Math.round(performance.now())} ${what}`);
    this.#did.set(user, lines.slice(-40));
  }

  /** What a user did last. @param {string} user */
  did(user) {
    return (this.#did.get(user) ?? []).join('\n    ');
  }

  async close() {
    await Promise.all(this.clients.map((client) => client.line?.close()));
  }
}

/** One client: a connection that comes and goes, and what it does over HTTP as its user's back end. */
class Wanderer {
  /** @type {Line | null} */
  line = null;
  /** @type {Set<string>} */
  joined = new Set();
  /** Of the node to which it is connected. */
  index = -1;

  /** @param {Crowd} crowd @param {string} user */
  constructor(crowd, user) {
    this.crowd = crowd;
    this.user = user;
  }

  async connected() {
    if (this.line?.closed === null) return this.line;
    this.joined.clear();
    const node = pick(this.crowd.nodes);
    this.line = await Line.open(node, this.user);
    this.index = node.index;
    this.crowd.note(this.user, `connected to ${node.index}`);
    return this.line;
  }

  async rest() {
    await this.connected();
  }

  async act() {
    const line = await this.connected();
    const channel = pick(CHANNELS);
    const dice = Math.random();
    if (dice < 0.3) return this.#join(line, channel);
    if (dice < 0.55) return this.#write(line, channel);
    if (dice < 0.68) return this.#leave(line, channel);
    if (dice < 0.78) return this.crowd.leasing(this.user, () => this.#lease(channel));
    if (dice < 0.84) return void await line.request({ type: 'away', away: chance(0.5), ...(chance(0.5) && { channels: [channel] }) });
    if (dice < 0.88) return void await line.request({ type: 'setStatus', busy: chance(0.5), text: pick(['here', 'there', null]) });
    if (dice < 0.9) return this.#beat();
    if (dice < 0.95) {
      this.joined.clear();
      this.crowd.note(this.user, `drops ${this.index}`);
      return line.drop();
    }
    if (dice < 0.98) {
      this.joined.clear();
      this.crowd.note(this.user, `closes ${this.index}`);
      return line.close();
    }
  }

  #attributes() {
    return Object.fromEntries(['mood', 'seat', 'typing'].filter(() => chance(0.5)).map((key) => [key, pick(VALUES)]));
  }

  /** @param {Line} line @param {string} channel */
  async #join(line, channel) {
    await line.request({
      type: 'join',
      channel,
      graceMs: pick([0, 0, 300, 1500]),
      ...(chance(0.6) && { attributes: this.#attributes(), ...(chance(0.4) && { merge: true }) }),
      ...(channel !== CHANNELS[0] && chance(0.25) && { visibleTo: pick([['any'], [], [`user:${this.crowd.users[0]}`], ['user:user-1', 'user:user-2']]) }),
    });
    this.joined.add(channel);
    this.crowd.note(this.user, `joined ${channel} at ${this.index}`);
  }

  /** @param {Line} line @param {string} channel */
  async #write(line, channel) {
    if (!this.joined.has(channel)) return;
    await line.request({
      type: 'setAttributes', channel, attributes: this.#attributes(), ...(chance(0.7) && { merge: true }), ...(chance(0.2) && { ttlMs: 400 }),
    });
  }

  /** @param {Line} line @param {string} channel */
  async #leave(line, channel) {
    await line.request({ type: 'leave', channel });
    this.joined.delete(channel);
    this.crowd.note(this.user, `left ${channel} at ${this.index}`);
  }

  /** A lease is taken, refreshed or ended at any node, as a balancer has it. @param {string} channel */
  async #lease(channel) {
    const key = JSON.stringify([this.user, channel]);
    const path = `/v1/channels/${encodeURIComponent(channel)}/members/${this.user}`;
    if (chance(0.3)) {
      await this.#http('DELETE', path);
      this.crowd.leases.delete(key);
      return;
    }
    const ttlMs = pick([1000, 2000, 60_000]);
    const body = { ttlMs, ...(chance(0.5) && { attributes: this.#attributes(), merge: chance(0.5) }), ...(chance(0.2) && { away: true }) };
    await this.#http('PUT', path, body);
    this.crowd.leases.set(key, Date.now() + ttlMs);
  }

  async #beat() {
    await this.#http('POST', `/v1/users/${this.user}/heartbeat`, {});
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  async #http(method, path, body) {
    const node = pick(this.crowd.nodes);
    const begun = Math.round(performance.now());
    const answer = await fetch(node.http + path, {
      method, ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    await answer.arrayBuffer();
    this.crowd.note(this.user, `${method} ${path} ${JSON.stringify(body) ?? ''} at ${node.index}, from ${begun}: ${answer.status}`);
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  }
}
