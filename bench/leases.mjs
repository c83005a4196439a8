/**
 * What a lease costs by itself, and as one of a thousand in a request (`POST /v1/leases`), as a ratio of
 * one sitting: the time that the broker has of the processors for 100,000 of each, and for as many
 * refreshes. `cargo build --release`, then `node bench/leases.mjs`.
 *
 * Linux alone tells what a process has had of the processors (`/proc`).
 */

import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';

process.env.HERENOW_BIN ??= fileURLToPath(new URL('../target/release/herenow', import.meta.url));
// Only now: the rig reads the binary's name when it is loaded.
const { startBroker } = await import('../clients/javascript/test/rig.js');
const { processorMs } = await import('../tests/nodes/cluster.mjs');

const LEASES = 100_000;
const IN_A_REQUEST = 1_000;
/** Requests under way at once, on connections that are kept. */
const AT_ONCE = 16;
const ATTRIBUTES = { device: 'phone', version: 7 };

const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

/** @param {string} url @param {string} method @param {unknown} body */
function send(url, method, body) {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, agent, headers: { 'content-type': 'application/json' } }, (answer) => {
      answer.resume();
      answer.on('end', () => ((answer.statusCode ?? 500) < 300 ? resolve(undefined) : reject(new Error(`${answer.statusCode}`))));
    });
    asked.on('error', reject);
    asked.end(JSON.stringify(body));
  });
}

/** @param {number} many @param {(n: number) => Promise<unknown>} act */
async function each(many, act) {
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < many) {
      const n = next;
      next += 1;
      await act(n);
    }
  }));
}

/** A hundred to a channel. @param {number} n */
const place = (n) => ({ channel: `room-${Math.floor(n / 100)}`, user: `user-${n}` });

/** @param {string} http */
const ways = (http) => ({
  single: () => each(LEASES, (n) => {
    const { channel, user } = place(n);
    return send(`${http}/v1/channels/${channel}/members/${user}`, 'PUT', { attributes: ATTRIBUTES, ttlMs: 3_600_000 });
  }),
  bulk: () => each(LEASES / IN_A_REQUEST, (n) => {
    const leases = Array.from({ length: IN_A_REQUEST }, (_, k) => ({ ...place(n * IN_A_REQUEST + k), attributes: ATTRIBUTES, ttlMs: 3_600_000 }));
    return send(`${http}/v1/leases`, 'POST', { leases });
  }),
});

/** @type {Record<string, number[]>} */
const took = {};
for (const way of /** @type {const} */ (['single', 'bulk', 'bulk', 'single'])) {
  const broker = await startBroker({ flags: ['--max-requests-per-second', '1000000', '--max-requests-burst', '1000000'] });
  try {
    for (const what of ['taken', 'refreshed']) {
      const before = await processorMs(broker.pid);
      await ways(broker.http)[way]();
      const ms = await processorMs(broker.pid) - before;
      (took[`${way} ${what}`] ??= []).push(ms);
      console.log(`${way} ${what}: ${(ms * 1_000 / LEASES).toFixed(1)} µs of a processor for each of ${LEASES}`);
    }
  } finally {
    await broker.stop();
  }
}
agent.destroy();
for (const what of ['taken', 'refreshed']) {
  const [bulk, single] = ['bulk', 'single'].map((way) => Math.min(...took[`${way} ${what}`]));
  console.log(`${what}: in a thousand ${(bulk / single).toFixed(3)} × one by one`);
}
