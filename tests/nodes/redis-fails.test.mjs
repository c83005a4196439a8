/**
 * Redis stands still, dies and comes back empty, or as it was a while ago. On each node everything
 * goes on for its own clients, nobody is told of anybody's leaving who did not, and soon after its
 * return all nodes agree again.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../clients/javascript/test/broker.js';
import { get } from './answers.mjs';
import { LONG, startCluster } from './cluster.mjs';
import { Line } from './line.mjs';
import { liveOn, populate } from './presence.mjs';

const [EACH, AWAY_MS, AGO_MS] = LONG ? [100, 30_000, 5_000] : [20, 5_000, 2_000];

/** @typedef {import('./redis.mjs').Redis} Redis */

/** @param {string} name @param {(redis: Redis, goOn: (ms: number) => Promise<void>) => Promise<void>} fail */
function holds(name, fail) {
  test(`${name}: nobody is closed, nothing false is told, and soon all agree`, async () => {
    const cluster = await startCluster(3, { flags: ['--node-timeout', '2s'] });
    try {
      const { nodes, redis } = cluster;
      const people = await populate(nodes, EACH);
      const before = await liveOn(people, nodes, AWAY_MS / 2);
      const since = performance.now();
      /** @type {number[]} */
      const meanwhile = [];
      await fail(redis, async (ms) => { meanwhile.push(...await liveOn(people, nodes, ms)); });
      const took = await people.equal(5_000);
      // What had to be kept until somebody proves to be gone would show only now.
      await sleep(4_000);
      await people.equal(1_000);
      assert.deepEqual(people.closed(), []);
      assert.deepEqual(people.falsehoods(since), []);
      assert.deepEqual(people.complaints(), []);
      const at = (/** @type {number[]} */ list, /** @type {number} */ share) => list.sort((one, other) => one - other)[Math.floor(list.length * share)].toFixed(1);
      console.log(`${name}: equal after ${took.toFixed(0)} ms; local changes before p50 ${at(before, 0.5)} p99 ${at(before, 0.99)} ms, meanwhile p50 ${at(meanwhile, 0.5)} p99 ${at(meanwhile, 0.99)} ms`);
    } finally {
      cluster.redis.resume();
      await cluster.stop();
    }
  });
}

// Each has a Redis of its own, and mostly waits.
describe('Redis fails', { concurrency: LONG ? 1 : 4 }, () => {
  holds('Redis stands still', async (redis, goOn) => {
    redis.pause();
    await goOn(AWAY_MS);
    redis.resume();
  });

  holds('Redis comes back empty', async (redis, goOn) => {
    await redis.kill();
    await goOn(AWAY_MS / 2);
    await redis.comeBack('empty');
  });

  holds('Redis comes back as it was a while ago', async (redis, goOn) => {
    await redis.keep();
    await goOn(AGO_MS);
    await redis.kill();
    await goOn(AWAY_MS / 2);
    await redis.comeBack('kept');
  });

  holds('Redis forgets everything while it runs', async (redis, goOn) => {
    await redis.ask('flushall');
    await goOn(AGO_MS);
  });

  test('an old copy brings nobody back who left where nobody looked', async () => {
    const cluster = await startCluster(2, { flags: ['--node-timeout', '2s'] });
    try {
      const { nodes: [one, other], redis } = cluster;
      const [ada, bob] = await Promise.all(['ada', 'bob'].map((user) => Line.open(one, user)));
      for (const line of [ada, bob]) {
        for (const channel of ['attic', `cellar-of-${line.user}`]) await line.request({ type: 'join', channel });
      }
      const who = async (/** @type {string} */ channel) => (await get(other, `/v1/channels/${channel}/members`)).members
        .map((/** @type {{user: string}} */ { user }) => user).sort().join();
      const shows = async (/** @type {string} */ attic, /** @type {string} */ cellar) => (
        (await who('attic')) === attic && (await who('cellar-of-ada')) === cellar && (await who('cellar-of-bob')) === 'bob'
      );
      await until('both are there', () => shows('ada,bob', 'ada'));
      await redis.keep();
      // The second channel ends with it at the node that had it.
      for (const channel of ['attic', 'cellar-of-ada']) await ada.request({ type: 'leave', channel });
      await until('one is gone', () => shows('bob', ''));
      await redis.kill();
      await redis.comeBack('kept');
      await sleep(2_000);
      await until('it is gone for good', () => shows('bob', ''), 5_000);
      await sleep(1_000);
      assert.ok(await shows('bob', ''));
    } finally {
      await cluster.stop();
    }
  });
});
