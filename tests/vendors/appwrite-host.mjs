/** What Appwrite's web library needs of its host, and what tests of it share. */

import { after } from 'node:test';
import { Account, Channel, Client, Presences, Realtime } from 'appwrite';
import WebSocket from 'ws';
import { until } from '../../clients/javascript/test/broker.js';

Object.assign(globalThis, {
  WebSocket,
  window: {
    setTimeout,
    // Its older subscribe leaves this running, which no page minds and a test would wait for.
    setInterval: (/** @type {() => void} */ act, /** @type {number} */ ms) => setInterval(act, ms).unref(),
    clearInterval,
    localStorage: { getItem: () => null, setItem() {} },
  },
});
// It tells each reconnect.
console.log = () => {};

/** Whoever listens ends with the tests, also when one fails. @type {Realtime[]} */
const listening = [];
after(() => listening.forEach((realtime) => void realtime.disconnect()));

/** @param {{http: string}} broker */
export const endpoint = ({ http }) => `${http}/appwrite/v1`;

/** The library makes objects without a prototype. @param {unknown} value */
export const plain = (value) => JSON.parse(JSON.stringify(value));

let users = 0;
/** A name that no other test has. @param {string} name */
export const user = (name) => `${name}-${(users += 1)}`;

/** @param {{http: string}} broker @param {string | undefined} session @param {'setSession' | 'setJWT'} [set] */
export function app(broker, session, set = 'setSession') {
  const client = new Client().setEndpoint(endpoint(broker)).setProject('shop');
  if (session !== undefined) client[set](session);
  const realtime = new Realtime(client);
  listening.push(realtime);
  return { client, presences: new Presences(client), account: new Account(client), realtime };
}

/** How many follow the records, by our own API. @param {{http: string}} broker */
async function observers({ http }) {
  return (await (await fetch(`${http}/v1/channels/$presences`)).json()).observers;
}

/**
 * Somebody who listens, and what it was told, once the broker has its subscription.
 * @param {{http: string}} broker @param {ReturnType<typeof app>} who
 * @param {string | Channel | (string | Channel)[]} [channels] @param {string[]} [queries]
 */
export async function listen(broker, who, channels = Channel.presences(), queries = []) {
  /** @type {any[]} */
  const told = [];
  const before = await observers(broker);
  const listed = /** @type {any} */ (channels);
  const subscription = await who.realtime.subscribe(listed, (event) => told.push(plain(event)), queries);
  await until('the broker has the subscription', async () => (await observers(broker)) > before);
  return {
    told,
    subscription,
    /** As short lines. */
    lines: () => told.map(({ events, payload }) => (
      `${events[0].split('.').at(-1)} ${payload.userId.replace(/-\d+$/, '')} ${payload.status}`
    )),
    stop: () => who.realtime.disconnect(),
  };
}

/** A bare socket, and the frames that came. @param {{http: string}} broker @param {string} [query] @param {Record<string, string>} [headers] */
export async function bare(broker, query = 'project=shop', headers = {}) {
  const socket = new WebSocket(`${endpoint(broker).replace('http', 'ws')}/realtime?${query}`, { headers });
  /** @type {any[]} */
  const frames = [];
  /** @type {Promise<number>} */
  const closed = new Promise((resolve) => { socket.on('close', resolve); });
  socket.on('message', (data) => frames.push(JSON.parse(String(data))));
  socket.on('error', () => {});
  await until('the first frame', () => frames.length > 0);
  return {
    socket,
    frames,
    closed,
    /** @param {unknown} frame */
    send: (frame) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    /** @param {number} count */
    came: (count) => until(`frame ${count}`, () => frames.length >= count),
  };
}
