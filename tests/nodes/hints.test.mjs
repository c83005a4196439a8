/**
 * Where somebody is found follows what keeps it there, whichever node that is by now: leases that are
 * taken, refreshed and deleted at different nodes, or outlive theirs; and data that are lost.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { agree, allEqual, get } from './answers.mjs';
import { startCluster } from './cluster.mjs';
import { Line } from './line.mjs';

const NODE_TIMEOUT_MS = 2_000;

/** @typedef {import('./cluster.mjs').Node} Node */

/** @param {Node} node @param {string} user @param {number} ttlMs */
async function lease(node, user, ttlMs) {
  const answer = await fetch(`${node.http}/v1/channels/room/members/${user}`, {
    method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ttlMs }),
  });
  assert.ok(answer.ok, `${answer.status}`);
}

/** @param {Node} node @param {string} user */
const end = (node, user) => fetch(`${node.http}/v1/channels/room/members/${user}`, { method: 'DELETE' });

/** What Redis says of where a user is, but for the node that has it. @param {import('./redis.mjs').Redis} redis @param {string} user */
async function hints(redis, user) {
  const lines = (await redis.ask('smembers', `herenow:u:${user}`)).split('\n').filter(Boolean);
  return lines.map((line) => line.split('\0')[0]);
}

/** @param {import('./redis.mjs').Redis} redis @param {string} user @param {string[]} channels */
const hinted = (redis, user, channels) => agree(`hints of ${user}`, 5_000, async () => {
  const found = await hints(redis, user);
  return JSON.stringify(found) === JSON.stringify(channels) ? [] : [`${found}`];
});

test('a lease is taken at one node, refreshed at a second and deleted at a third', async () => {
  const cluster = await startCluster(3, { flags: ['--node-timeout', `${NODE_TIMEOUT_MS}ms`] });
  try {
    const { nodes, redis } = cluster;
    const of = { channels: [], users: ['ada', 'bob'], limit: 100 };
    await lease(nodes[0], 'ada', 3_000_000);
    await lease(nodes[0], 'bob', 3_000_000);
    await sleep(1_500);
    await lease(nodes[1], 'ada', 3_000_000);
    await allEqual(nodes, [], of);
    // Nobody looks at the room: whose it was is told by itself.
    await hinted(redis, 'ada', ['room']);
    await end(nodes[2], 'ada');
    await end(nodes[2], 'bob');
    await allEqual(nodes, [], of);
    for (const node of nodes) {
      for (const user of of.users) {
        assert.deepEqual((await get(node, `/v1/users/${user}/channels`)).channels, [], `node ${node.index}`);
        assert.equal((await get(node, `/v1/users/${user}/status`)).online, false, `node ${node.index}`);
      }
    }
    await hinted(redis, 'ada', []);
    await hinted(redis, 'bob', []);
  } finally {
    await cluster.stop();
  }
});

test('a lease whose node dies while nobody looks lives on, is found, and ends in time', async () => {
  const cluster = await startCluster(3, { flags: ['--node-timeout', `${NODE_TIMEOUT_MS}ms`] });
  try {
    const { nodes, redis } = cluster;
    const [dies, ...others] = nodes;
    const begun = performance.now();
    await lease(dies, 'ada', 10_000);
    await sleep(1_000);
    await dies.stop('SIGKILL');
    await sleep(NODE_TIMEOUT_MS + 3_000);
    // Whoever buried it never had anything in the room.
    for (const node of others) {
      assert.deepEqual((await get(node, '/v1/users/ada/channels')).channels, ['room'], `node ${node.index}`);
    }
    await hinted(redis, 'ada', ['room']);
    assert.equal((await redis.keys('herenow:*:c:room')).length, 1);
    await sleep(Math.max(0, begun + 12_000 - performance.now()));
    for (const node of others) {
      assert.deepEqual((await get(node, '/v1/users/ada/channels')).channels, [], `node ${node.index}`);
    }
    assert.deepEqual(await redis.keys('herenow:*:c:room'), [], 'the lease is gone from Redis');
    await hinted(redis, 'ada', []);
  } finally {
    await cluster.stop();
  }
});

test('Redis loses hints with all that it has, and they come back', async () => {
  const cluster = await startCluster(2, { flags: ['--node-timeout', `${NODE_TIMEOUT_MS}ms`] });
  try {
    const { nodes, redis } = cluster;
    await lease(nodes[0], 'ada', 3_000_000);
    const line = await Line.open(nodes[1], 'bob');
    await line.request({ type: 'join', channel: 'room' });
    const of = { channels: [], users: ['ada', 'bob'], limit: 100 };
    await allEqual(nodes, [], of);
    await redis.ask('flushall');
    await sleep(3_000);
    await hinted(redis, 'ada', ['room']);
    await hinted(redis, 'bob', ['room']);
    await allEqual(nodes, [], of);
    await line.request({ type: 'leave', channel: 'room' });
    await end(nodes[1], 'ada');
    await hinted(redis, 'ada', []);
    await hinted(redis, 'bob', []);
    await allEqual(nodes, [], of);
    const ofNodes = (await redis.keys('herenow:n:*'));
    for (const key of ofNodes) {
      assert.ok(!(await redis.ask('smembers', key)).split('\n').includes('room'), key);
    }
  } finally {
    await cluster.stop();
  }
});
