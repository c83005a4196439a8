/**
 * A node loses Redis while others have it, in both directions or in one, or is stopped. The others see
 * its members time out once; when it is back, each comes once. Its own clients notice nothing. And an
 * answer that lacks somebody for longer than two seconds says that it may.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LONG, startCluster } from './cluster.mjs';
import { Line } from './line.mjs';
import { populate } from './presence.mjs';

const [EACH, AWAY_MS, NODE_TIMEOUT] = LONG ? [200, 20_000, '6s'] : [20, 6_000, '2s'];

/** @typedef {import('./cluster.mjs').Node} Node */

/** So long after a change a list may lack it without saying so. */
const FRESH_MS = 2_000;

/** Asks a node for its list all the time. What `stop` returns lacked the user, and did not say that it might. @param {Node} node @param {string} user */
function asksFor(node, user) {
  /** @type {string[]} */
  const stale = [];
  let [answers, whole, since, done] = [0, 0, Infinity, false];
  const asking = (async () => {
    while (!done) {
      const asked = performance.now();
      const answer = await fetch(`${node.http}/v1/channels/room/members?limit=1000`);
      const { members, partial } = await answer.json();
      answers += 1;
      if (asked > since && !partial) {
        whole += 1;
        const lacks = !members.some((/** @type {{user: string}} */ member) => member.user === user);
        if (lacks) stale.push(`asked ${(asked - since).toFixed(0)} ms later, answered after ${(performance.now() - asked).toFixed(0)} ms`);
      }
      await sleep(2);
    }
  })();
  return {
    /** From here on the user is a member. */
    begin() { since = performance.now() + FRESH_MS; },
    async stop() {
      done = true;
      await asking;
      assert.ok(answers > 10 && whole > 10, `${answers} answers, ${whole} of them whole`);
      return stale;
    },
  };
}

/** @param {string} name @param {(node: Node) => void} part @param {(node: Node) => void} mend @param {{stops?: boolean}} [how] */
function holds(name, part, mend, { stops = false } = {}) {
  test(`a node ${name}: its members time out once and come once, and soon all agree`, async () => {
    const cluster = await startCluster(3, { flags: ['--node-timeout', NODE_TIMEOUT] });
    try {
      const { nodes } = cluster;
      const lost = nodes[2];
      const people = await populate(nodes, EACH);
      const since = performance.now();
      part(lost);
      const asks = asksFor(lost, 'local-0-0');
      await sleep(AWAY_MS / 2);
      await (await Line.open(nodes[0], 'local-0-0')).request({ type: 'join', channel: 'room' });
      asks.begin();
      // Meanwhile one goes and one comes there, of which the others learn when it is back.
      const goes = people.members.filter(({ node }) => node === lost)[0].line;
      if (!stops) {
        await goes.request({ type: 'leave', channel: 'room' });
        await (await Line.open(lost, 'local-2-0')).request({ type: 'join', channel: 'room' });
      }
      await sleep(AWAY_MS / 2);
      mend(lost);
      const took = await people.equal(5_000);
      await sleep(3_000);
      await people.equal(1_000);
      assert.deepEqual(await asks.stop(), [], 'lists that lack somebody and do not say so');
      console.log(`a node ${name}: equal after ${took.toFixed(0)} ms`);

      const of = people.members.filter(({ node }) => node === lost).map(({ line }) => line.user);
      for (const { node, observer } of people.observers) {
        const told = observer.comings(since).filter(({ user }) => !user.startsWith('local')).map(({ event, user, reason }) => `${user} ${event} ${reason}`).sort();
        const left = (/** @type {string} */ user) => !stops && observer.channel === 'room' && user === goes.user;
        if (node === lost) {
          assert.deepEqual(told, of.filter(left).map((user) => `${user} leave left`), 'its own clients');
          continue;
        }
        const expected = of.flatMap((user) => [`${user} timeout node`, ...(left(user) ? [] : [`${user} join undefined`])]);
        assert.deepEqual(told, expected.sort(), `node ${node.index}, ${observer.channel}`);
      }
      assert.deepEqual(people.closed(), []);
      assert.deepEqual(people.complaints(), []);
    } finally {
      await cluster.stop();
    }
  });
}

// Each has a Redis of its own, and mostly waits.
describe('a node is cut off', { concurrency: LONG ? 1 : 4 }, () => {
  holds('is cut off', ({ proxy }) => proxy.cut(), ({ proxy }) => proxy.mend());
  holds('is deaf and dumb', ({ proxy }) => proxy.deafen('requests', 'answers'), ({ proxy }) => proxy.mend());
  holds('is not heard by Redis', ({ proxy }) => proxy.deafen('requests'), ({ proxy }) => proxy.mend());
  holds('is stopped', (node) => node.pause(), (node) => node.resume(), { stops: true });
});
