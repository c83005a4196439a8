/** A node dies without a word. Its members time out once, at every observer, and nobody else does. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../clients/javascript/test/broker.js';
import { allEqual, get } from './answers.mjs';
import { LONG, some, startCluster } from './cluster.mjs';
import { Line, Observer } from './line.mjs';

const [MEMBERS, NODE_TIMEOUT_MS, GHOSTS_MS] = LONG ? [10_000, 6_000, 60_000] : [1_000, 2_000, 10_000];
const CHANNELS = ['room-0', 'room-1', 'room-2', 'room-3'];

test('a node that is killed: one timeout of each of its members, of nobody else, and no ghosts', async () => {
  const cluster = await startCluster(3, { flags: ['--node-timeout', `${NODE_TIMEOUT_MS}ms`] });
  try {
    const { nodes, redis } = cluster;
    const [dies, ...others] = nodes;
    const names = (/** @type {string} */ kind, /** @type {number} */ count) => Array.from({ length: count }, (_, n) => `${kind}-${n}`);
    const doomed = names('doomed', MEMBERS);
    const join = async (/** @type {import('./cluster.mjs').Node} */ node, /** @type {string} */ user, /** @type {number} */ index) => {
      const line = await Line.open(node, user);
      await line.request({ type: 'join', channel: CHANNELS[index % CHANNELS.length], attributes: { index }, graceMs: 10_000 });
      return line;
    };
    await some(doomed.map((user, index) => ({ user, index })), ({ user, index }) => join(dies, user, index));
    const alive = await some(names('alive', 100).map((user, index) => ({ user, index })), ({ user, index }) => join(others[index % 2], user, index));
    // Of the doomed, some are on a living node too; and some have a lease that was taken at the node.
    const saved = doomed.slice(0, 20);
    const also = await some(saved.map((user, index) => ({ user, index })), ({ user, index }) => join(others[index % 2], user, index));
    const leased = names('leased', 20);
    await some(leased, async (user) => {
      const answer = await fetch(`${dies.http}/v1/channels/room-0/members/${user}`, {
        method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ttlMs: 3_000_000 }),
      });
      assert.equal(answer.status, 201);
    });
    // Where the others have nothing to do: whoever clears away the rest times it from then on.
    const lonely = '/v1/channels/lonely/members';
    const lonelyEnds = performance.now() + NODE_TIMEOUT_MS + 6_000;
    await fetch(`${dies.http}${lonely}/alone`, {
      method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ttlMs: NODE_TIMEOUT_MS + 6_000 }),
    });
    const observers = await Promise.all(others.flatMap((node) => CHANNELS.map(async (channel) => (
      { node, observer: await Observer.open(node, channel) }
    ))));
    const of = { channels: CHANNELS, users: ['doomed-0', 'doomed-77', 'alive-3', 'leased-4'], limit: 500 };
    // Of so many who came at once, the others hear bit by bit.
    await allEqual(nodes, observers, of, LONG ? 20_000 : 5_000);

    const died = performance.now();
    await dies.stop('SIGKILL');
    const gone = MEMBERS - saved.length;
    const timeouts = () => observers.map(({ observer }) => observer.comings(died).length).reduce((sum, one) => sum + one, 0);
    const due = NODE_TIMEOUT_MS + 3_000;
    await until('all are told', () => timeouts() >= gone * others.length, due * 3).catch(() => {});
    await sleep(1_000);
    for (const node of others) {
      const told = observers.filter((each) => each.node === node).flatMap(({ observer }) => observer.comings(died));
      const lines = told.map(({ event, user, reason }) => `${event} ${user} ${reason}`).sort();
      assert.deepEqual(lines, doomed.slice(saved.length).map((user) => `timeout ${user} node`).sort());
      const last = Math.max(...told.map(({ at }) => at - died));
      assert.ok(last <= due, `the last was told after ${Math.round(last)} ms`);
    }
    await allEqual(others, observers, of);
    const { members } = await get(others[0], '/v1/channels/room-0/members?limit=1000');
    assert.equal(members.filter((/** @type {any} */ { user }) => user.startsWith('leased')).length, leased.length, 'leases live on');

    const alone = async () => (await Promise.all(others.map((node) => get(node, lonely)))).map(({ count }) => count);
    assert.deepEqual(await alone(), performance.now() < lonelyEnds ? [1, 1] : [0, 0]);
    await sleep(Math.max(0, lonelyEnds + 2_000 - performance.now()));
    assert.deepEqual(await alone(), [0, 0], 'a lease that outlived its node ends, too');

    // Whoever says nothing for a minute is no longer there.
    for (const line of [...alive, ...also]) line.send({ type: 'heartbeat' });

    // What names the dead node is gone from Redis.
    await sleep(Math.max(0, died + GHOSTS_MS - performance.now()));
    const lines = async (/** @type {string[]} */ ...words) => (await redis.ask(...words)).split('\n').filter(Boolean).sort();
    const living = await lines('hkeys', 'herenow:{nodes}:infos');
    assert.equal(living.length, others.length, `nodes: ${living}`);
    assert.deepEqual(await lines('hkeys', 'herenow:{nodes}:counts'), living);
    assert.deepEqual(await lines('zrange', 'herenow:{nodes}:leases', '0', '-1'), living);
    assert.deepEqual((await lines('hkeys', 'herenow:{nodes}:life')).filter((each) => each.startsWith('buried:')), []);
    const keys = (await redis.keys('herenow:*'));
    const ofNodes = keys.filter((key) => key.startsWith('herenow:n:'));
    assert.deepEqual(ofNodes, living.map((node) => `herenow:n:${node}`), 'keys of nodes');
    // No hint is missing, and none is there of a node that has nothing.
    const ofUsers = keys.filter((key) => key.startsWith('herenow:u:'));
    const users = [...saved, ...leased, ...names('alive', 100)];
    assert.deepEqual(ofUsers, users.map((user) => `herenow:u:${user}`).sort());
    await some(ofUsers, async (key) => {
      const hints = (await lines('smembers', key)).map((hint) => hint.split('\0'));
      assert.equal(hints.length, 1, `${key}: ${hints}`);
      assert.ok(living.includes(hints[0][1]), `${key}: ${hints}`);
    });
    const isStatus = (/** @type {string} */ key) => key.includes(':c:%24user%3A');
    const records = keys.filter((key) => /^herenow:\{g\d\d\}:c:/.test(key));
    for (const key of records.filter((each) => !isStatus(each))) {
      const ghosts = (await lines('hkeys', key)).filter((user) => user.startsWith('doomed') && !saved.includes(user));
      assert.deepEqual(ghosts, [], `ghosts in ${key}`);
    }
    // Of a user's status it is kept when it was seen last, and nothing that keeps it online.
    const kept = records.filter((key) => isStatus(key) && key.includes('doomed-')).slice(0, 200);
    assert.ok(kept.length > 0);
    await some(kept, async (key) => {
      const [user, text] = (await redis.ask('hgetall', key)).trim().split('\n');
      const marks = Object.keys(JSON.parse(text).m ?? {});
      assert.ok(marks.every((node) => saved.includes(user) && living.includes(node)), `${key}: ${text}`);
    });
    assert.deepEqual(observers.flatMap(({ observer }) => observer.complaints), []);
  } finally {
    await cluster.stop();
  }
});
