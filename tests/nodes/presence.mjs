/** A steady population on all nodes with observers on each, and users that come and go meanwhile. */

import { setTimeout as sleep } from 'node:timers/promises';
import { allEqual } from './answers.mjs';
import { some } from './cluster.mjs';
import { Line, Observer } from './line.mjs';

/** @typedef {import('./cluster.mjs').Node} Node */

const CHANNELS = ['room', 'hall'];

/** @param {Node[]} nodes @param {number} each how many members on each node */
export async function populate(nodes, each) {
  const members = await some(nodes.flatMap((node) => Array.from({ length: each }, (_, n) => ({ node, n }))), async ({ node, n }) => {
    const line = await Line.open(node, `steady-${node.index}-${n}`);
    for (const channel of CHANNELS) await line.request({ type: 'join', channel, attributes: { n }, graceMs: 30_000 });
    return { node, line };
  });
  const leased = nodes.map(({ index }) => `leased-${index}`);
  for (const node of nodes) {
    const answer = await fetch(`${node.http}/v1/channels/room/members/leased-${node.index}`, {
      method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ttlMs: 3_000_000 }),
    });
    if (answer.status !== 201) throw new Error(`a lease is refused with ${answer.status}`);
  }
  const observers = await Promise.all(nodes.flatMap((node) => CHANNELS.map(async (channel) => (
    { node, observer: await Observer.open(node, channel) }
  ))));
  const users = ['steady-0-0', 'steady-1-1', ...leased, 'local-1-0-0', 'local-1-1-1'];
  const equal = (/** @type {number} */ withinMs) => allEqual(nodes, observers, { channels: CHANNELS, users, limit: 100 }, withinMs);
  await equal(5_000);
  return {
    /** How often `liveOn` was called: who stays from one time must not come again the next. */
    times: 0,
    members,
    leased,
    observers,
    equal,
    /** All connections that were closed, though nobody asked for it. */
    closed: () => [...members.map(({ line }) => line), ...observers.map(({ observer }) => observer.line)]
      .filter(({ closed }) => closed !== null).map(({ user, closed }) => `${user}: ${closed}`),
    /**
     * What was told of those who never went, as lines, once for each node.
     * @param {number} since @param {(node: Node) => boolean} [of]
     */
    falsehoods: (since, of = () => true) => observers.filter(({ node }) => of(node)).flatMap(({ node, observer }) => (
      observer.comings(since)
        .filter(({ user }) => !user.startsWith('local'))
        .map(({ event, user, reason }) => `node ${node.index}: ${event} ${user} ${reason}`)
    )),
    complaints: () => observers.flatMap(({ node, observer }) => observer.complaints.map((line) => `node ${node.index}: ${line}`)),
  };
}

/**
 * On every node, over and over for so long: a user comes, writes and goes, and an observer there is told.
 * Each second one of those who came stays.
 * @param {Awaited<ReturnType<typeof populate>>} people @param {Node[]} nodes @param {number} ms
 * @returns {Promise<number[]>} after how many milliseconds each change was told
 */
export async function liveOn(people, nodes, ms) {
  const time = ++people.times;
  const end = performance.now() + ms;
  /** @type {number[]} */
  const took = [];
  await Promise.all(nodes.map(async (node) => {
    const near = people.observers.find((each) => each.node === node && each.observer.channel === 'room');
    if (!near) throw new Error('nobody observes');
    const { told } = near.observer;
    const heard = async (/** @type {string} */ event, /** @type {string} */ user, /** @type {() => Promise<any>} */ act) => {
      const [begun, from] = [performance.now(), told.length];
      await act();
      while (!told.slice(from).some((each) => each.event === event && each.user === user)) {
        if (performance.now() - begun > 5_000) throw new Error(`${event} of ${user} is not told at its own node`);
        await sleep(1);
      }
      took.push(performance.now() - begun);
    };
    for (let n = 0; performance.now() < end; n++) {
      const user = `local-${time}-${node.index}-${n}`;
      const line = await Line.open(node, user);
      await heard('join', user, () => line.request({ type: 'join', channel: 'room' }));
      await heard('updateAttributes', user, () => line.request({ type: 'setAttributes', channel: 'room', attributes: { n } }));
      if (n % 10) await heard('leave', user, () => line.request({ type: 'leave', channel: 'room' }));
      if (n % 10) await line.close();
      await sleep(70);
    }
  }));
  return took.sort((one, other) => one - other);
}
