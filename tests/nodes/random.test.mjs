/**
 * Clients act at random on three nodes: they join, leave, write on two nodes at once, take leases here
 * and end them there, are lost and come back elsewhere, are shown to some. Whenever they rest, all
 * nodes answer the same, and all observers know it. `HERENOW_SEED=… node --test` rolls the same dice.
 */

import { test } from 'node:test';
import { actAtRandom } from './at-random.mjs';
import { LONG, startCluster } from './cluster.mjs';

const [rounds, roundMs, clients] = LONG ? [10, 6_000, 60] : [2, 2_500, 30];
// Alone, the tests' own rules are tried: what they expect holds of one node.
const NODES = process.env.HERENOW_ALONE === '1' ? 1 : 3;

test('all nodes answer the same whenever clients rest that act at random', async () => {
  const cluster = await startCluster(NODES, { alone: NODES === 1 });
  try {
    await actAtRandom(cluster.nodes, { rounds, roundMs, clients });
  } finally {
    await cluster.stop();
  }
});
