/**
 * Clients act at random on three nodes: they join, leave, write on two nodes at once, take leases here
 * and end them there, are lost and come back elsewhere, are shown to some. Whenever they rest, all
 * nodes answer the same, and all observers know it. `HERENOW_SEED=… node --test` rolls the same dice.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agree, allEqual, get, unwatched } from './answers.mjs';
import { LONG, startCluster } from './cluster.mjs';
import { Crowd } from './crowd.mjs';
import { Observer, Watcher } from './line.mjs';

const [ROUNDS, ROUND_MS, CLIENTS] = LONG ? [10, 6_000, 60] : [2, 2_500, 30];
// Alone, the tests' own rules are tried: what they expect holds of one node.
const NODES = process.env.HERENOW_ALONE === '1' ? 1 : 3;

test('all nodes answer the same whenever clients rest that act at random', async () => {
  const cluster = await startCluster(NODES, { alone: NODES === 1 });
  try {
    const { nodes } = cluster;
    const crowd = new Crowd(nodes, CLIENTS);
    const [, user1] = crowd.users;
    // One that sees what everyone does, and one that sees more.
    const viewers = ['', user1];
    const observers = await Promise.all(nodes.flatMap((node) => crowd.channels.flatMap((channel) => (
      ['an-observer', user1].map(async (user) => ({ node, observer: await Observer.open(node, channel, user) }))
    ))));
    observers.push(...await Promise.all(nodes.map(async (node) => (
      { node, observer: await Observer.stream(node, crowd.channels[1], user1) }
    ))));
    const watchers = await Promise.all(nodes.map(async (node) => ({ node, watcher: await Watcher.open(node, crowd.users) })));
    for (let round = 0; round < ROUNDS; round++) {
      await crowd.act(ROUND_MS);
      // Short leases, graces and keys have ended by then.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      await allEqual(nodes, observers, { channels: crowd.channels, users: crowd.users, viewers });
      await agree('watchers', 5_000, async () => (
        (await Promise.all(watchers.map(({ node, watcher }) => unwatched(watcher, node)))).flat()
      ));
      for (const channel of crowd.channels) {
        await agree(`who is in ${channel}`, 5_000, async () => {
          const { members } = await get(nodes[0], `/v1/channels/${encodeURIComponent(channel)}/members?limit=1000`);
          const shown = members.map((/** @type {any} */ { user }) => user);
          const wanted = crowd.wanted(channel);
          const ghosts = shown.filter((/** @type {string} */ user) => !wanted.includes(user));
          // In the others some are shown to some only.
          const missing = channel === crowd.channels[0] ? wanted.filter((user) => !shown.includes(user)) : [];
          return [...ghosts.map((/** @type {string} */ user) => `${user} is a ghost`), ...missing.map((user) => `${user} is missing`)];
        });
      }
      assert.deepEqual(observers.flatMap(({ observer: { complaints }, node: { index } }) => (
        complaints.map((line) => `node ${index}: ${line}`)
      )), []);
    }
    assert.deepEqual(observers.map(({ observer }) => observer.line.closed).filter((code) => code !== null), []);
    await crowd.close();
    for (const { observer } of observers) await observer.line.close();
    for (const { watcher } of watchers) await watcher.line.close();
  } finally {
    await cluster.stop();
  }
});
