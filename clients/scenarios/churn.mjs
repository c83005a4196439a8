#!/usr/bin/env node
/**
 * A thousand members come, change and go, while each client reads them through a line that is cut again
 * and again. At each quiet point what a client shows is compared with what the broker says. Tells what
 * CPU each took.
 *
 *     HERENOW_BIN=target/release/herenow node clients/scenarios/churn.mjs [SECONDS [CUTS]]
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startBroker, startWire } from '../javascript/test/rig.js';
import { ClientUnderTest } from './client.mjs';
import { until } from './patience.mjs';

const [SECONDS = 60, CUTS = 10] = process.argv.slice(2).map(Number);
const [MEMBERS, PER_SECOND, TICKS] = [1_000, 500, 50];
const CHANNEL = 'churn';
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const CLIENTS = {
  JavaScript: ['node', here('adapter.mjs')],
  Python: ['env', `PYTHONPATH=${here('../python/src')}`, process.env.HERENOW_PYTHON ?? 'python3', here('adapter.py')],
};

const broker = await startBroker({ flags: ['--max-requests-per-second', '1000000', '--max-requests-burst', '1000000'] });
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });

/** @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} */
function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${broker.http}${path}`, { method, agent, headers: body && { 'content-type': 'application/json' } }, async (answer) => {
      let text = '';
      for await (const part of answer) text += part;
      resolve(text && JSON.parse(text));
    });
    request.on('error', reject);
    request.end(body && JSON.stringify(body));
  });
}

/** Who is there by the broker's word. @returns {Promise<[string, any][]>} */
async function truth() {
  const all = [];
  let after = '';
  do {
    const { members, next } = await ask('GET', `/v1/channels/${CHANNEL}/members?limit=1000${after}`);
    all.push(...members);
    after = next === undefined ? '' : `&after=${next}`;
  } while (after);
  return listed(all);
}

/** @param {any[]} members @returns {[string, any][]} */
function listed(members) {
  return members.map(({ user, attributes }) => /** @type {[string, any]} */ ([user, attributes])).sort(([one], [other]) => (one < other ? -1 : 1));
}

/** Seconds of CPU that a process has taken. @param {number | undefined} pid */
function cpu(pid) {
  const [, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) /);
  const [user, system] = fields.split(' ').slice(11, 13).map(Number);
  return (user + system) / 100;
}

const readers = await Promise.all(Object.entries(CLIENTS).map(async ([name, command]) => {
  const wire = await startWire(broker.port);
  const client = new ClientUnderTest(command);
  await client.done('connect', { url: wire.url, options: { user: `reader-${name}`, firstRetryMs: 20, maxRetryMs: 100, graceMs: 10_000, timeoutMs: 30_000 } });
  await client.done('subscribe', { channel: CHANNEL, options: { level: 'events' } });
  return { name, wire, client, begun: cpu(client.pid), compared: 0 };
}));

/** Who is in, and how often each has changed. */
const members = new Set();
let changes = 0;
async function change() {
  changes += 1;
  const user = `user-${Math.floor(Math.random() * MEMBERS)}`;
  const path = `/v1/channels/${CHANNEL}/members/${user}`;
  if (members.has(user) && Math.random() < 0.2) {
    members.delete(user);
    await ask('DELETE', path);
  } else {
    members.add(user);
    await ask('PUT', path, { attributes: { n: changes, mood: 'happy' }, ttlMs: 3_600_000 });
  }
}

for (let n = 0; n < MEMBERS; n += 1) {
  members.add(`user-${n}`);
  await ask('PUT', `/v1/channels/${CHANNEL}/members/user-${n}`, { attributes: { n: 0 }, ttlMs: 3_600_000 });
}
changes = 0;

for (let round = 1; round <= CUTS; round += 1) {
  const begun = performance.now();
  const roundMs = SECONDS * 1_000 / CUTS;
  let isCut = false;
  for (let tick = 0; tick < SECONDS * TICKS / CUTS; tick += 1) {
    await Promise.all(Array.from({ length: PER_SECOND / TICKS }, change));
    if (!isCut && performance.now() - begun > roundMs / 2) {
      isCut = true;
      for (const { wire } of readers) wire.cut();
    }
    await sleep(Math.max(0, begun + (tick + 1) * 1_000 / TICKS - performance.now()));
  }
  const seconds = (performance.now() - begun) / 1_000;
  const expected = await truth();
  for (const reader of readers) {
    await until(`${reader.name} is in step`, async () => {
      const shown = await reader.client.done('show', { channel: CHANNEL });
      return shown.live && shown.count === expected.length && JSON.stringify(listed(shown.members)) === JSON.stringify(expected);
    });
    reader.compared += 1;
  }
  console.log(`round ${round}: ${expected.length} members, ${(changes / seconds / round).toFixed(0)} changes a second on average, both replicas equal the broker`);
}
for (const { name, client, begun, compared } of readers) {
  assert.equal(compared, CUTS);
  console.log(`${name.padEnd(10)} ${(cpu(client.pid) - begun).toFixed(2)} s of CPU, told ${client.told.length} events`);
}
for (const { client, wire } of readers) {
  const complaints = await client.end();
  assert.equal(complaints, '');
  await wire.stop();
}
agent.destroy();
await broker.stop();
