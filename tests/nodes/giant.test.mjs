/** Channels above the roster limit: who is told counts follows the summary alone, and all nodes show the same. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LONG, some, startCluster } from './cluster.mjs';
import { Line, Observer } from './line.mjs';

const LIMIT = 20;
const EACH = LONG ? 400 : 15;

/** Who subscribed, and what it was told last. */
class Looker {
  count = -1;
  /** @type {string[]} */
  recent = [];
  level = '';
  /** All counts, each with its moment. @type {Array<{ at: number, count: number }>} */
  counts = [];
  members = 0;

  /** @param {any} node @param {string} level */
  static async open(node, level) {
    const looker = new Looker();
    looker.node = node;
    looker.line = await Line.open(node, 'a-looker');
    looker.line.onframe = (frame) => looker.#take(frame);
    const { level: inForce } = await looker.line.request({ type: 'subscribe', channel: 'room', level, recent: 5 });
    looker.level ||= inForce;
    return looker;
  }

  /** @param {any} frame */
  #take(frame) {
    if (frame.type === 'level') this.level = frame.level;
    if (frame.type === 'snapshot') this.members = frame.count;
    if (frame.type !== 'count') return;
    this.count = frame.count;
    this.recent = frame.recent?.map((/** @type {any} */ { user }) => user) ?? [];
    this.counts.push({ at: performance.now(), count: frame.count });
  }
}

/** @param {string} what @param {() => unknown} isSo @param {number} [withinMs] */
async function until(what, isSo, withinMs = 5_000) {
  const end = performance.now() + withinMs;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`it never came true that ${what}`);
    await sleep(10);
  }
}

/** @param {any} node @param {string} name */
async function metric(node, name) {
  const text = await (await fetch(`${node.http}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1]);
}

test('a giant is followed by its summary alone, and all nodes show the same', { timeout: 300_000 }, async () => {
  const cluster = await startCluster(3, { flags: ['--roster-limit', String(LIMIT), '--node-timeout', '2s'] });
  const { nodes, redis } = cluster;
  try {
    /** @type {Array<{ node: any, user: string, line: Line }>} */
    const members = [];
    const join = async (/** @type {any} */ node, /** @type {string} */ user) => {
      const line = await Line.open(node, user);
      await line.request({ type: 'join', channel: 'room', attributes: { of: user } });
      members.push({ node, user, line });
    };
    const places = nodes.flatMap((node) => Array.from({ length: EACH }, (_, n) => ({ node, n })));
    await some(places, ({ node, n }) => join(node, `user-${node.index}-${n}`));
    const lookers = await Promise.all(nodes.flatMap((node) => ['auto', 'count'].map((level) => Looker.open(node, level))));
    /** That all show so many, the same newest, and so does each list. */
    const equal = async (/** @type {number} */ count, of = lookers, withinMs = 5_000) => {
      const told = () => of.map(({ level, count, recent }) => `${level} ${count} ${recent}`).join('\n');
      const isSo = () => of.every((one) => one.level === 'count' && one.count === count && `${one.recent}` === `${of[0].recent}`);
      await until(`all show ${count}`, isSo, withinMs).catch((error) => { throw new Error(`${error.message}:\n${told()}`); });
      for (const { node } of of) {
        // A node that had no turn for long says that its answer may be old, and soon has one that is not.
        let answer;
        for (const since = performance.now(); !answer || answer.partial; await sleep(20)) {
          assert.ok(performance.now() - since < withinMs, 'the answer stays partial');
          answer = await (await fetch(`${node?.http}/v1/channels/room/count`)).json();
        }
        assert.equal(answer.count, count);
        const { channels } = await (await fetch(`${node?.http}/v1/channels`)).json();
        assert.deepEqual(channels, [{ channel: 'room', count }]);
      }
    };
    await equal(3 * EACH);
    for (const node of nodes) assert.equal(await metric(node, 'herenow_members'), EACH, 'its own alone');

    // Many come and go: few summaries tell of it, and the last state comes.
    const begun = performance.now();
    const before = await Promise.all(nodes.map((node) => metric(node, 'herenow_channel_summaries_total')));
    for (let n = 0; performance.now() - begun < (LONG ? 30_000 : 4_000); n++) {
      await join(nodes[n % 3], `guest-${n}`);
      if (n % 3) {
        const guest = /** @type {any} */ (members.pop());
        await guest.line.request({ type: 'leave', channel: 'room' });
        await guest.line.close();
      }
    }
    await equal(members.length);
    const seconds = (performance.now() - begun) / 1000;
    for (const [at, node] of nodes.entries()) {
      const heard = await metric(node, 'herenow_channel_summaries_total') - before[at];
      assert.ok(heard >= 2 && heard <= seconds + 1, `${heard} summaries in ${seconds} s`);
    }

    // Who is told each change sees everybody, on the one node alone that it looks at.
    const observer = await Observer.open(nodes[0], 'room');
    await until('all are listed', () => observer.replica.members.size === members.length);
    assert.equal(await metric(nodes[0], 'herenow_members'), members.length);
    assert.ok(await metric(nodes[1], 'herenow_members') < members.length);
    await join(nodes[1], 'one-more');
    await until('a join is told', () => observer.replica.members.has('one-more'));
    assert.deepEqual(observer.complaints, []);
    await observer.line.close();
    await equal(members.length);

    // Redis loses everything: the last summary holds until all is said again.
    const count = members.length;
    const lostAt = performance.now();
    await redis.ask('flushall');
    await sleep(4_000);
    await equal(count);
    const falsehoods = lookers.flatMap(({ counts }) => counts.filter((one) => one.at > lostAt && one.count !== count));
    assert.deepEqual(falsehoods, [], 'nobody is told that somebody went');

    // A node dies, and with it what it owed.
    const rest = members.filter(({ node }) => node !== nodes[2]);
    nodes[2].pause();
    await equal(rest.length, lookers.filter(({ node }) => node !== nodes[2]), 10_000);
    nodes[2].resume();
    await equal(count, lookers, 10_000);

    // Few enough are left: whoever asked for `auto` is told who.
    for (const { line } of members.splice(LIMIT * 4 / 5)) await line.request({ type: 'leave', channel: 'room' });
    const autos = lookers.filter((_, at) => at % 2 === 0);
    await until('all are listed', () => autos.every(({ level, members }) => level === 'events' && members === LIMIT * 4 / 5), 10_000);
    await until('the count is told', () => lookers.every((one, at) => at % 2 === 0 || one.count === LIMIT * 4 / 5), 5_000);
  } finally {
    await cluster.stop();
  }
});
