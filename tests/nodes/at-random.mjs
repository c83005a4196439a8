/** Clients that act at random on all nodes, and rest: then all must answer the same, and all observers know it. */

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { agree, allEqual, get, unwatched } from './answers.mjs';
import { Crowd } from './crowd.mjs';
import { Observer, Watcher } from './line.mjs';

/** @typedef {import('./cluster.mjs').Node} Node */

/** @param {Node[]} nodes @param {{rounds: number, roundMs: number, clients: number}} how */
export async function actAtRandom(nodes, { rounds, roundMs, clients }) {
  const crowd = new Crowd(nodes, clients);
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
  for (let round = 0; round < rounds; round++) {
    await crowd.act(roundMs);
    // Short leases, graces and keys have ended by then.
    await sleep(2_500);
    await allEqual(nodes, observers, { channels: crowd.channels, users: crowd.users, viewers });
    await agree('watchers', 5_000, async () => (
      (await Promise.all(watchers.map(({ node, watcher }) => unwatched(watcher, node)))).flat()
    ));
    for (const channel of crowd.channels) await agree(`who is in ${channel}`, 5_000, () => wrong(crowd, nodes[0], channel));
    assert.deepEqual(observers.flatMap(({ observer: { complaints }, node: { index } }) => (
      complaints.map((line) => `node ${index}: ${line}`)
    )), []);
  }
  assert.deepEqual(observers.map(({ observer }) => observer.line.closed).filter((code) => code !== null), []);
  await crowd.close();
  for (const { observer } of observers) await observer.line.close();
  for (const { watcher } of watchers) await watcher.line.close();
}

/** Who is shown without being there, or is there without being shown. @param {Crowd} crowd @param {Node} node @param {string} channel */
async function wrong(crowd, node, channel) {
  const { members } = await get(node, `/v1/channels/${encodeURIComponent(channel)}/members?limit=1000`);
  const shown = members.map((/** @type {any} */ { user }) => user);
  const wanted = crowd.wanted(channel);
  const ghosts = shown.filter((/** @type {string} */ user) => !wanted.includes(user));
  // In the others some are shown to some only.
  const missing = channel === crowd.channels[0] ? wanted.filter((user) => !shown.includes(user)) : [];
  return [...ghosts.map((/** @type {string} */ user) => `${user} is a ghost`), ...missing.map((user) => `${user} is missing`)]
    .map((line) => `${line}\n    ${crowd.did(line.split(' ')[0])}`);
}
