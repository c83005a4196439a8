/** Some nodes on one Redis, each with a wire of its own to it; or on a Redis Cluster, which has them connect by themselves. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, startBroker } from '../../clients/javascript/test/broker.js';
import { startProxy } from './proxy.mjs';
import { startMasters, startRedis } from './redis.mjs';

/** The long ones are run by `scripts/nodes`. */
export const LONG = process.env.HERENOW_LONG === '1';

const FLAGS = [
  '--max-requests-per-second', '1000000', '--max-requests-burst', '1000000', '--max-connections-per-address', '100000',
  '--max-frames-per-second', '100000', '--max-frames-burst', '100000', '--drain-timeout', '2s',
];

/**
 * @param {number} count how many nodes
 * @param {{flags?: string[], alone?: boolean, masters?: number, env?: Record<string, string>}} [options] `alone`: without Redis, to compare with; `masters`: so many of a Redis Cluster
 */
export async function startCluster(count, { flags = [], alone = false, masters: many = 0, env = {} } = {}) {
  const redis = alone || many ? null : await startRedis();
  const masters = many ? await startMasters(many) : null;

  /** @param {number} index @param {number} [port] */
  async function startNode(index, port) {
    const proxy = redis && await startProxy(redis.port);
    const url = proxy?.url ?? masters?.url;
    const own = url ? ['--redis-url', url, '--node-name', `node-${index}`] : [];
    const broker = await startBroker({ port: port ?? await freePort(), flags: [...FLAGS, ...own, ...flags], env }).catch(async (error) => {
      // Else it would hold this process for ever.
      await proxy?.stop();
      throw error;
    });
    return {
      ...broker,
      index,
      proxy: /** @type {import('./proxy.mjs').Proxy} */ (proxy),
      pause: () => process.kill(broker.pid, 'SIGSTOP'),
      resume: () => process.kill(broker.pid, 'SIGCONT'),
      /** @param {NodeJS.Signals} [signal] */
      async stop(signal) {
        process.kill(broker.pid, 'SIGCONT');
        await broker.stop(signal);
        await proxy?.stop();
      },
    };
  }

  /** @type {Array<Awaited<ReturnType<typeof startNode>>>} */
  const nodes = [];
  const cluster = {
    redis: /** @type {import('./redis.mjs').Redis} */ (redis),
    masters: /** @type {import('./redis.mjs').Masters} */ (masters),
    nodes,
    /** Ends one as an operator does, if it lives, and starts another in its place, at its address. @param {number} index */
    async replace(index) {
      const { port } = nodes[index];
      await nodes[index].stop().catch(({ code }) => assert.equal(code, 'ESRCH'));
      nodes[index] = await startNode(index, port);
      await ready([nodes[index]]);
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop('SIGKILL').catch(() => {})));
      await redis?.stop();
      await masters?.stop();
    },
  };
  try {
    for (let index = 0; index < count; index++) nodes.push(await startNode(index));
    await ready(nodes);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

/** @param {Array<{http: string}>} nodes */
async function ready(nodes) {
  for (const node of nodes) {
    for (let tries = 0; (await fetch(`${node.http}/readyz`)).status !== 200; tries++) {
      if (tries > 200) throw new Error(`${node.http} is not ready`);
      await sleep(50);
    }
  }
}

/** What a process has had of the processors so far, in milliseconds. @param {number} pid */
export async function processorMs(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // User and system time, in hundredths of a second (`CLK_TCK` of Linux).
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** @typedef {Awaited<ReturnType<typeof startCluster>>} Cluster */
/** @typedef {Cluster['nodes'][number]} Node */

/** Does something for each of many, some at a time. @template T, R @param {T[]} list @param {(each: T) => Promise<R>} act @returns {Promise<R[]>} */
export async function some(list, act, atOnce = 50) {
  /** @type {R[]} */
  const done = new Array(list.length);
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, async () => {
    while (next < list.length) {
      const index = next++;
      done[index] = await act(list[index]);
    }
  }));
  return done;
}
