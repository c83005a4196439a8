/** A back end that all nodes tell, and that keeps a mirror by the rules of docs/webhooks.md, in memory. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Before a list is read: what is older than that, no list lacks without saying so. */
const WAIT_MS = 2_000;

/** @typedef {{channel: string, user: string, event: string, node: string, at: number}} Line */

export class Mirror {
  /** Who is where. @type {Map<string, Map<string, any>>} */
  rooms = new Map();
  /** Which node told of a channel last. @type {Map<string, string>} */
  tellers = new Map();
  /** What was told, a line for each thing. @type {Line[]} */
  told = [];
  /** Lists that were read. */
  reads = 0;
  refused = 0;
  batches = 0;
  /** Answers nothing well while it is set. */
  fails = false;
  #last = Promise.resolve();
  /** All of it as it came, and the lists that were read. @type {any[]} */
  #log = [];

  /** @param {() => string} broker where one of the nodes is that live */
  static async start(broker) {
    const mirror = new Mirror();
    mirror.broker = broker;
    const server = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      const taken = mirror.#last.then(() => mirror.take(JSON.parse(String(body))));
      mirror.#last = taken.catch(() => {});
      const status = await taken.then(() => 204, () => 500);
      response.writeHead(status).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    return Object.assign(mirror, {
      url: `http://127.0.0.1:${port}/`,
      async stop() {
        server.close();
        server.closeAllConnections();
      },
    });
  }

  /** One batch, whole or not at all. @param {any} batch */
  async take({ node, events }) {
    this.batches += 1;
    const before = { rooms: new Map([...this.rooms].map(([name, room]) => [name, new Map(room)])), tellers: new Map(this.tellers) };
    let waited = false;
    const list = async (/** @type {string} */ path, /** @type {string} */ field) => {
      if (!waited) await sleep(WAIT_MS);
      waited = true;
      return this.#list(path, field);
    };
    try {
      if (this.fails) throw new Error('it fails');
      events.forEach((/** @type {any} */ item) => this.#note(item, node));
      const channels = new Set(events.map((/** @type {any} */ { channel }) => channel).filter(Boolean));
      const moved = [...channels].filter((channel) => (this.tellers.get(channel) ?? node) !== node);
      for (const channel of channels) this.tellers.set(channel, node);
      for (const channel of moved) await this.#read(channel, node, list);
      for (const item of events) if (!moved.includes(item.channel)) await this.#item(item, node, list);
    } catch (error) {
      this.refused += 1;
      Object.assign(this, before);
      throw error;
    }
  }

  /** @param {string} channel @param {string} node @param {(path: string, field: string) => Promise<any[]>} list */
  async #read(channel, node, list) {
    this.reads += 1;
    const members = await list(`/channels/${encodeURIComponent(channel)}/members`, 'members');
    this.#log.push({ channel, at: performance.now(), node, list: members.map(({ user }) => user) });
    this.rooms.set(channel, new Map(members.map(({ user, attributes }) => [user, attributes])));
  }

  /** @param {any} item @param {string} node @param {(path: string, field: string) => Promise<any[]>} list */
  async #item({ type, channel, reason, events }, node, list) {
    if (type === 'gap' && channel === undefined) {
      const there = (await list('/channels', 'channels')).map((one) => one.channel);
      for (const name of [...this.rooms.keys()]) if (!there.includes(name)) this.rooms.delete(name);
      if (reason !== 'moved') for (const name of there) await this.#read(name, node, list);
    }
    if (channel === undefined) return;
    if (type === 'gap') await this.#read(channel, node, list);
    if (type === 'occupied') this.rooms.delete(channel);
    const room = this.rooms.get(channel) ?? new Map();
    this.rooms.set(channel, room);
    for (const { event, user, attributes } of type === 'presence' ? events : []) {
      if (event === 'join' || (event === 'updateAttributes' && room.has(user))) room.set(user, attributes);
      if (event === 'leave' || event === 'timeout') room.delete(user);
    }
  }

  /** @param {any} item @param {string} node */
  #note(item, node) {
    const { type, channel = '*', events = [{ event: type, user: '*' }] } = item;
    const at = performance.now();
    this.#log.push({ ...item, channel, at, node });
    for (const { event, user } of events) this.told.push({ channel, user, event, node, at });
  }

  /** @param {string} path @param {string} field @returns {Promise<any[]>} */
  async #list(path, field) {
    const all = [];
    for (let after = ''; after !== undefined;) {
      const answer = await fetch(`${this.broker()}/v1${path}?limit=1000${after}`, { signal: AbortSignal.timeout(10_000) });
      const page = await answer.json();
      // What is not all is not taken: the batch comes again.
      if (!answer.ok || page.partial) throw new Error(`${path}: ${answer.status}, partial: ${page.partial}`);
      all.push(...page[field]);
      after = page.next === undefined ? undefined : `&after=${encodeURIComponent(page.next)}`;
    }
    return all;
  }

  /** What came of one channel, and of all. @param {string} channel */
  historyOf(channel) {
    const of = this.#log.filter((entry) => [channel, '*'].includes(entry.channel));
    return of.map((entry) => JSON.stringify(entry)).join('\n');
  }

  /** Who is where, a line each. */
  lines() {
    return [...this.rooms].flatMap(([name, room]) => [...room].map(([user, attributes]) => line(name, user, attributes))).sort();
  }
}

/** @param {string} channel @param {string} user @param {any} attributes */
const line = (channel, user, attributes) => `${channel} ${user} ${JSON.stringify(attributes)}`;

/** The same by a node. @param {{http: string}} node */
export async function linesOf(node) {
  const get = async (/** @type {string} */ path) => (await fetch(`${node.http}/v1${path}`, { signal: AbortSignal.timeout(10_000) })).json();
  const { channels } = await get('/channels?limit=1000');
  const lists = await Promise.all(channels.map(async (/** @type {any} */ { channel }) => {
    const { members } = await get(`/channels/${encodeURIComponent(channel)}/members?limit=1000`);
    return members.map((/** @type {any} */ { user, attributes }) => line(channel, user, attributes));
  }));
  return lists.flat().sort();
}
