/** Nodes are replaced one after the other beneath clients of the client library, and nobody notices. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, until } from '../../clients/javascript/test/broker.js';
import { LONG, some, startCluster } from './cluster.mjs';

const [CLIENTS, OBSERVERS, RUNS] = LONG ? [1_000, 10, 10] : [60, 6, 1];

test('all nodes are restarted, one after the other: nobody sees anybody come or go', async () => {
  const cluster = await startCluster(3);
  /** @type {Array<import('../../clients/javascript/src/client.js').Client>} */
  const all = [];
  try {
    const { nodes } = cluster;
    // As behind a balancer, whoever comes back comes to another node: the address that is dialled is one
    // that passes each connection on to whichever node takes it.
    const balancer = await startBalancer(() => cluster.nodes);
    const here = (/** @type {string} */ user) => {
      const one = client(balancer.url, { user, firstRetryMs: undefined, maxRetryMs: undefined });
      all.push(one);
      return one;
    };
    await some(Array.from({ length: CLIENTS }, (_, n) => n), async (n) => {
      const room = here(`user-${n}`).channel('room');
      await room.join({ n });
    });
    /** @type {string[]} */
    const told = [];
    const rooms = await Promise.all(Array.from({ length: OBSERVERS }, async (_, n) => {
      const room = here(`observer-${n}`).channel('room');
      await room.subscribe({ level: 'events' });
      for (const event of /** @type {const} */ (['join', 'leave', 'timeout', 'updateAttributes'])) {
        room.on(event, ({ user, reason }) => told.push(`observer ${n}: ${event} ${user} ${reason ?? ''}`));
      }
      return room;
    }));
    const whole = () => rooms.every((room) => room.live && room.count === CLIENTS && room.members.length === CLIENTS);
    await until('all know all', whole);
    assert.deepEqual(told, []);
    for (let run = 0; run < RUNS; run++) {
      for (const { index } of [...nodes]) {
        await cluster.replace(index);
        await until('all are back', () => all.every(({ state }) => state.phase === 'open'), 60_000);
        await until('all know all', whole, 60_000);
      }
      assert.deepEqual(told.slice(0, 10), [], `${told.length} in all, in run ${run}`);
    }
    for (const room of rooms) {
      assert.deepEqual(room.members.filter(({ user, attributes }) => user !== `user-${attributes.n}`), []);
    }
    for (const one of all) one.close();
    await balancer.stop();
  } finally {
    for (const one of all) one.close();
    await cluster.stop();
  }
});

/** Passes each connection on to a node that takes it, in turn. @param {() => Array<{port: number}>} nodes */
async function startBalancer(nodes) {
  const { default: net } = await import('node:net');
  const { once } = await import('node:events');
  let turn = 0;
  const server = net.createServer((near) => {
    near.on('error', () => near.destroy());
    const dial = (/** @type {number} */ tries) => {
      const all = nodes();
      const far = net.connect(all[turn++ % all.length].port, '127.0.0.1');
      far.once('connect', () => {
        near.pipe(far).pipe(near);
        near.on('close', () => far.destroy());
        far.on('close', () => near.destroy());
      });
      far.on('error', () => {
        if (tries && far.connecting) dial(tries - 1);
        else near.destroy();
      });
    };
    dial(5);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `ws://127.0.0.1:${port}/ws`, async stop() { server.close(); } };
}
