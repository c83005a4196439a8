/**
 * Three nodes with one file of webhooks: while all is well each thing is told once, by one of them; and
 * whatever becomes of nodes, a back end that obeys the rules knows what they know, whenever all rest.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LONG, startCluster } from './cluster.mjs';
import { Line } from './line.mjs';
import { Mirror, linesOf } from './mirror.mjs';

const NODE_TIMEOUT_MS = LONG ? 6_000 : 2_000;
const ROOMS = LONG ? 200 : 30;
const PATIENCE_MS = 60_000;
/** So long after the nodes are others, channels fall to others. */
const SETTLE_MS = 3_000;
/** So long a node may take to follow a channel that begins elsewhere: a few trips to Redis, and a busy machine. */
const MOMENT_MS = 300;

/** @typedef {import('./cluster.mjs').Node} Node */

/** @param {(to: {cluster: import('./cluster.mjs').Cluster, mirror: Mirror, alive: Node[]}) => Promise<void>} act */
async function withMirror(act) {
  const folder = await mkdtemp(join(tmpdir(), 'herenow-hooks-'));
  const file = join(folder, 'hooks.toml');
  /** @type {Node[]} */
  const alive = [];
  const mirror = await Mirror.start(() => alive[Math.floor(Math.random() * alive.length)].http);
  await writeFile(file, `[[hook]]\nname = "mirror"\nurl = "${mirror.url}"\nsecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\n`);
  const flags = ['--webhooks-file', file, '--webhooks-allow-private', '--node-timeout', `${NODE_TIMEOUT_MS}ms`];
  /** @type {import('./cluster.mjs').Cluster | undefined} */
  let cluster;
  try {
    cluster = await startCluster(3, { flags });
    alive.push(...cluster.nodes);
    await quiet(mirror);
    await act({ cluster, mirror, alive });
  } finally {
    await cluster?.stop();
    await mirror.stop();
    await rm(folder, { recursive: true });
  }
}

/** Nothing is told any more. @param {Mirror} mirror */
async function quiet(mirror, forMs = SETTLE_MS + 1_500) {
  for (let seen = -1; seen !== mirror.batches;) {
    seen = mirror.batches;
    await sleep(forMs);
  }
}

/** All nodes say the same, and so does the mirror. @param {Mirror} mirror @param {Node[]} nodes @param {string} when */
async function equal(mirror, nodes, when) {
  const begun = performance.now();
  for (;;) {
    const [first, ...others] = await Promise.all(nodes.map(linesOf));
    const known = mirror.lines();
    const same = [known, ...others].every((lines) => lines.join('\n') === first.join('\n'));
    if (same) return first.length;
    if (performance.now() - begun > PATIENCE_MS) {
      const differ = without(known, first).concat(without(first, known)).map((each) => each.split(' ')[0]);
      for (const channel of new Set(differ)) console.log(mirror.historyOf(channel));
      others.forEach((lines, index) => assert.deepEqual(lines, first, `node ${index + 1}, ${when}`));
      assert.deepEqual(known, first, when);
    }
    await sleep(100);
  }
}

/** What is in the one list and not in the other, or there less often. @param {string[]} list @param {string[]} other */
function without(list, other) {
  const left = [...other];
  return list.filter((each) => {
    const place = left.indexOf(each);
    if (place >= 0) left.splice(place, 1);
    return place < 0;
  });
}

/** @param {Line} line @param {string} channel @param {object} [attributes] */
const joins = (line, channel, attributes = {}) => line.request({ type: 'join', channel, attributes });

test('while all is well each thing is told once, by one node, and soon', { timeout: 120_000 }, () => withMirror(async ({ cluster, mirror, alive }) => {
  const { nodes } = cluster;
  const since = mirror.told.length;
  /** @type {Map<string, number>} */
  const begun = new Map();
  const expected = [];
  const members = [];
  // A user on two nodes is one member, and each room has somebody on each node.
  for (let room = 0; room < ROOMS; room++) {
    const channel = `room-${room}`;
    begun.set(channel, performance.now());
    expected.push(`${channel} occupied *`);
    for (const [index, user] of ['ada', 'bob', 'eve'].entries()) {
      for (const node of [nodes[(room + index) % 3], nodes[(room + index + 1) % 3]]) {
        const line = await Line.open(node, `${user}-${room}`);
        members.push({ line, channel });
        await joins(line, channel, { room });
      }
      expected.push(`${channel} join ${user}-${room}`);
    }
  }
  await equal(mirror, alive, 'all are there');
  for (const { line, channel } of members) {
    await line.request({ type: 'setAttributes', channel, attributes: { of: line.user } });
  }
  await equal(mirror, alive, 'all said something');
  for (const { line, channel } of members) {
    await line.request({ type: 'leave', channel });
    await line.close();
  }
  for (let room = 0; room < ROOMS; room++) {
    for (const user of ['ada', 'bob', 'eve']) expected.push(`room-${room} leave ${user}-${room}`);
    expected.push(`room-${room} vacated *`);
  }
  await equal(mirror, alive, 'all are gone');
  await quiet(mirror, 1_000);
  // Somebody who comes for a moment, mostly elsewhere than where it is told from.
  await Promise.all(Array.from({ length: ROOMS }, async (_, room) => {
    const line = await Line.open(nodes[room % 3], `guest-${room}`);
    await joins(line, `hall-${room}`);
    await sleep(MOMENT_MS);
    await line.request({ type: 'leave', channel: `hall-${room}` });
    await line.close();
    expected.push(`hall-${room} occupied *`, `hall-${room} join guest-${room}`, `hall-${room} leave guest-${room}`, `hall-${room} vacated *`);
  }));
  await quiet(mirror, 1_500);
  const told = mirror.told.slice(since);
  const plain = told.filter(({ event }) => event !== 'updateAttributes');
  const lines = plain.map(({ channel, event, user }) => `${channel} ${event} ${user}`);
  assert.deepEqual({ missing: without(expected, lines), more: without(lines, expected) }, { missing: [], more: [] });
  /** @type {Map<string, Set<string>>} */
  const tellers = new Map();
  for (const { channel, node } of told) tellers.set(channel, (tellers.get(channel) ?? new Set()).add(node));
  assert.ok([...tellers.values()].every((set) => set.size === 1), 'two nodes told of one channel');
  assert.equal(new Set(told.map(({ node }) => node)).size, 3, 'the nodes share the channels');
  const late = told.filter(({ event }) => event === 'occupied').map(({ channel, at }) => at - (begun.get(channel) ?? at));
  console.log(`${told.length} things told, the first of a channel after ${Math.max(...late).toFixed(0)} ms at most`);
  assert.ok(Math.max(...late) < 2_000);
}));

test('whatever becomes of nodes, whoever obeys the rules knows what they know', { timeout: 300_000 }, () => withMirror(async ({ cluster, mirror, alive }) => {
  const { nodes } = cluster;
  let turn = 0;
  let stopped = false;
  /** @type {Array<{line: Line, channel: string}>} */
  let there = [];
  /** Somebody comes, says something, or goes. */
  async function act() {
    const channel = `room-${Math.floor(Math.random() * ROOMS)}`;
    const node = alive[Math.floor(Math.random() * alive.length)];
    if (Math.random() < 0.55 || there.length < 5) {
      const line = await Line.open(node, `user-${Math.floor(Math.random() * 50)}`);
      await joins(line, channel, { turn: turn++ });
      there.push({ line, channel });
      return;
    }
    const [{ line, channel: of }] = there.splice(Math.floor(Math.random() * there.length), 1);
    if (Math.random() < 0.5) await line.request({ type: 'leave', channel: of });
    await line.close();
  }
  const acts = async (/** @type {number} */ many) => {
    // A node that goes may leave something unanswered.
    for (let done = 0; done < many; done++) await Promise.race([act().catch(() => {}), sleep(2_000)]);
    there = there.filter(({ line }) => line.closed === null);
  };
  /** Something befalls the nodes, and meanwhile people come and go. @param {string} what @param {() => Promise<void>} befalls */
  async function meanwhile(what, befalls) {
    stopped = false;
    const [reads, gaps] = [mirror.reads, mirror.told.filter(({ event }) => event === 'gap').length];
    const begun = performance.now();
    const acting = (async () => { while (!stopped) { await acts(1); await sleep(20); } })();
    await befalls();
    await sleep(SETTLE_MS);
    stopped = true;
    await acting;
    const until = performance.now();
    const members = await equal(mirror, alive, what);
    const told = mirror.told.filter(({ event }) => event === 'gap').length - gaps;
    console.log(`${what}: ${members} members after ${(performance.now() - until).toFixed(0)} ms of rest, ${(until - begun).toFixed(0)} ms in all, ${told} gaps, ${mirror.reads - reads} lists, ${mirror.refused} batches refused so far`);
    assert.ok(told > 0, `${what}: no gap`);
  }

  await acts(60);
  await equal(mirror, alive, 'at first');
  await meanwhile('a node is killed', async () => {
    const [dead] = alive.splice(0, 1);
    await dead.stop('SIGKILL');
    await sleep(NODE_TIMEOUT_MS + 1_000);
  });
  await cluster.replace(0);
  alive.unshift(nodes[0]);
  await meanwhile('all are replaced, one after the other', async () => {
    for (const index of [0, 1, 2]) {
      alive.splice(alive.indexOf(nodes[index]), 1);
      await cluster.replace(index);
      alive.push(nodes[index]);
    }
  });
  if (LONG) {
    await meanwhile('a node is cut off for a moment', async () => {
      nodes[1].proxy.cut();
      await sleep(NODE_TIMEOUT_MS / 3);
      nodes[1].proxy.mend();
    });
  }
  await meanwhile('a node is cut off for long', async () => {
    nodes[1].proxy.deafen('requests', 'answers');
    await sleep(NODE_TIMEOUT_MS * 2 + 1_000);
    nodes[1].proxy.mend();
  });
  await meanwhile('a node stands still, and the back end fails', async () => {
    mirror.fails = true;
    await sleep(500);
    nodes[0].pause();
    const paused = alive.splice(alive.indexOf(nodes[0]), 1);
    await sleep(NODE_TIMEOUT_MS * 2 + 1_000);
    nodes[0].resume();
    mirror.fails = false;
    alive.push(...paused);
  });
}));
