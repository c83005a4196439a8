/** Clients against a broker of our own, and what tests wait for. */

import { after } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { freePort, startBroker, startWire } from './rig.js';
import './seed.js';

export { WebSocket, freePort, startBroker, startWire };

/** A broker, a wire to it, and clients, all of which end with the tests of the file. */
export async function stage() {
  const broker = await startBroker();
  const wire = await startWire(broker.port);
  /** @type {Array<{close(): void}>} */
  const clients = [];
  after(async () => {
    for (const each of clients) each.close();
    await wire.stop();
    await broker.stop();
  });
  return { broker, wire, clients };
}

/** A client that comes back fast. @param {string} url @param {import('../src/client.js').Options} [options] */
export function client(url, options) {
  return connect(url, { WebSocket, lazy: false, firstRetryMs: 20, maxRetryMs: 100, ...options });
}

/** What a channel tells, as short lines. @param {import('../src/channel.js').Channel} channel */
export function tellings(channel) {
  /** @type {string[]} */
  const lines = [];
  for (const event of /** @type {const} */ (['join', 'leave', 'timeout', 'updateAttributes'])) {
    channel.on(event, ({ user, attributes, reason }) => {
      lines.push([event, user, JSON.stringify(attributes), reason].filter(Boolean).join(' '));
    });
  }
  return lines;
}

/**
 * Waits for something to be so. Patience is for what never comes: nothing here takes long.
 * @param {string} what @param {() => unknown} isSo
 */
export async function until(what, isSo, patienceMs = 20_000) {
  const end = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`it never came: ${what}`);
    await sleep(10);
  }
}

/**
 * Takes a client's connection away; when this is kept it has noticed, and has not dialled again.
 * @param {import('../src/client.js').Client} here @param {() => void} cut
 */
export async function loses(here, cut) {
  const noticed = new Promise((resolve) => {
    const stop = here.on('state', ({ phase }) => {
      if (phase !== 'waiting') return;
      stop();
      resolve(null);
    });
  });
  cut();
  await noticed;
}

/** @param {number} ms */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until all that was sent to the channel before has been told there. @param {import('../src/channel.js').Channel} channel */
export async function settled(channel) {
  const { count, members } = await channel.getMembers({ limit: 1000 });
  await until('the replica is what a read shows', () => (
    channel.live && channel.count === count
    && JSON.stringify(state(channel.members)) === JSON.stringify(state(members))
  ));
}

/** @param {readonly import('../src/replica.js').Member[]} members */
export function state(members) {
  return members.map(({ user, attributes }) => [user, attributes]).sort();
}
