/**
 * Nodes on a Redis Cluster of three masters: channels are spread over them, and each tells what is
 * published of its own.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actAtRandom } from './at-random.mjs';
import { LONG, startCluster } from './cluster.mjs';

const [rounds, roundMs, clients] = LONG ? [5, 6_000, 60] : [1, 2_500, 20];
const NODES = LONG ? 3 : 2;

test('on a Redis Cluster all nodes answer the same whenever clients rest that act at random', async () => {
  const cluster = await startCluster(NODES, { masters: 3 });
  try {
    await actAtRandom(cluster.nodes, { rounds, roundMs, clients });
    // The work is shared, and told by shards.
    for (const { commands } of cluster.masters.masters) {
      const { spublish = 0, ssubscribe = 0 } = await commands();
      assert.ok(spublish > 0 && ssubscribe > 0, `${spublish} published, ${ssubscribe} listened to`);
    }
  } finally {
    await cluster.stop();
  }
});
