/**
 * What many nodes cost, as ratios of one sitting: the time that all nodes and Redis have of the
 * processors, and what Redis is asked. `cargo build --release`, then `node bench/nodes.mjs`, or with the
 * names of some: changes, heartbeats, storm, giant.
 *
 * Linux alone tells what a process has had of the processors (`/proc`).
 */

import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';

process.env.HERENOW_BIN ??= fileURLToPath(new URL('../target/release/herenow', import.meta.url));
// Only now: the rig reads the binary's name when it is loaded.
const { processorMs, some, startCluster } = await import('../tests/nodes/cluster.mjs');
const { Line, Observer } = await import('../tests/nodes/line.mjs');

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @typedef {Awaited<ReturnType<typeof startCluster>>} Cluster */

/** @param {() => boolean} isSo @param {number} [patienceMs] */
async function until(isSo, patienceMs = 120_000) {
  const end = performance.now() + patienceMs;
  while (!isSo()) {
    if (performance.now() > end) throw new Error('it never came');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What all have used so far. @param {Cluster} cluster */
async function used({ nodes, redis }) {
  const all = await Promise.all(nodes.map(({ pid }) => processorMs(pid)));
  const [traffic, commands] = redis ? await Promise.all([redis.ask('info', 'stats'), redis.commands()]) : ['', {}];
  const bytes = (/** @type {string} */ way) => Number(new RegExp(`total_net_${way}_bytes:(\\d+)`).exec(traffic)?.[1] ?? 0);
  return {
    nodes: all.reduce((sum, one) => sum + one, 0),
    redis: redis ? await processorMs(redis.pid) : 0,
    input: bytes('input'),
    output: bytes('output'),
    commands,
  };
}

/** What was used between two moments. @param {Awaited<ReturnType<typeof used>>} before @param {typeof before} after */
function between(before, after) {
  const commands = Object.fromEntries(Object.entries(after.commands)
    .map(([name, calls]) => [name, calls - (before.commands[name] ?? 0)])
    // What asking itself takes is nobody's cost.
    .filter(([name, calls]) => Number(calls) > 0 && !['info', 'client|setinfo'].includes(String(name))));
  return {
    nodes: after.nodes - before.nodes,
    redis: after.redis - before.redis,
    input: after.input - before.input,
    output: after.output - before.output,
    commands,
  };
}

const CHANGES = 3_000;

/** Changes one at a time, in a channel of 100 members that is observed on each node. @param {number} count @param {boolean} [alone] */
async function changes(count, alone = false) {
  const cluster = await startCluster(count, { alone });
  try {
    const [first] = cluster.nodes;
    const members = await some(Array.from({ length: 100 }, (_, n) => n), async (n) => {
      const line = await Line.open(first, `user-${n}`);
      await line.request({ type: 'join', channel: 'room', attributes: { n } });
      return line;
    });
    // Where there are three nodes, the two others observe; alone, it does so itself, as often.
    const far = count > 1 ? cluster.nodes.slice(1) : [first];
    const observers = await Promise.all(Array.from({ length: 2 }, (_, n) => Observer.open(far[n % far.length], 'room')));
    await until(() => observers.every(({ replica }) => replica.members.size === 100));
    /** @type {number[]} */
    const took = [];
    const idle = await used(cluster);
    await sleep(5_000);
    const before = await used(cluster);
    const quiet = between(idle, before);
    const begun = performance.now();
    for (let n = 0; n < CHANGES; n++) {
      const from = performance.now();
      await members[n % 100].request({ type: 'setAttributes', channel: 'room', attributes: { n, text: 'a line of some length, as chats have' } });
      await until(() => observers.every(({ replica }) => replica.members.get(`user-${n % 100}`)?.attributes.n === n));
      took.push(performance.now() - from);
    }
    const lasted = (performance.now() - begun) / 1000;
    const cost = between(before, await used(cluster));
    took.sort((one, other) => one - other);
    const perChange = (/** @type {number} */ sum, /** @type {number} */ idleSum) => (sum - idleSum * lasted / 5) / CHANGES;
    return {
      'nodes µs/change': Math.round(1000 * perChange(cost.nodes, quiet.nodes)),
      'Redis µs/change': Math.round(1000 * perChange(cost.redis, quiet.redis)),
      'to Redis B/change': Math.round(perChange(cost.input, quiet.input)),
      'from Redis B/change': Math.round(perChange(cost.output, quiet.output)),
      'p50 ms': Number(took[CHANGES / 2].toFixed(2)),
      'p99 ms': Number(took[Math.floor(CHANGES * 0.99)].toFixed(2)),
      'idle Redis ms/s': Number((quiet.redis / 5).toFixed(1)),
      'idle commands/s': Number((Object.values(quiet.commands).reduce((sum, one) => sum + Number(one), 0) / 5).toFixed(1)),
    };
  } finally {
    await cluster.stop();
  }
}

/** 100,000 heartbeats of members on two nodes. */
async function heartbeats() {
  const cluster = await startCluster(2);
  try {
    const lines = await some(Array.from({ length: 100 }, (_, n) => n), async (n) => {
      const line = await Line.open(cluster.nodes[n % 2], `user-${n}`);
      await line.request({ type: 'join', channel: 'room' });
      return line;
    });
    await sleep(2_000);
    const idle = await used(cluster);
    await sleep(5_000);
    const before = await used(cluster);
    const begun = performance.now();
    for (let n = 0; n < 1_000; n++) await Promise.all(lines.map((line) => line.request({ type: 'heartbeat' })));
    const lasted = (performance.now() - begun) / 1000;
    const cost = between(before, await used(cluster));
    const quiet = between(idle, before);
    const total = (/** @type {Record<string, number>} */ commands) => Object.values(commands).reduce((sum, one) => sum + one, 0);
    return {
      'seconds': Number(lasted.toFixed(1)),
      'commands/s meanwhile': Number((total(cost.commands) / lasted).toFixed(1)),
      'commands/s idle': Number((total(quiet.commands) / 5).toFixed(1)),
    };
  } finally {
    await cluster.stop();
  }
}

/** Until all observers have seen all: so many join on each node at once. @param {number} count of nodes @param {number} each @param {boolean} [alone] */
async function storm(count, each, alone = false) {
  const cluster = await startCluster(count, { alone });
  try {
    const lines = await some(cluster.nodes.flatMap((node) => Array.from({ length: each }, (_, n) => ({ node, n }))), ({ node, n }) => (
      Line.open(node, `user-${node.index}-${n}`)
    ));
    const observers = await Promise.all(cluster.nodes.map((node) => Observer.open(node, 'room')));
    await sleep(1_000);
    const before = await used(cluster);
    const begun = performance.now();
    for (const line of lines) line.send({ type: 'join', channel: 'room', attributes: { mood: 'happy' } });
    await until(() => observers.every(({ replica }) => replica.members.size === lines.length));
    const lasted = performance.now() - begun;
    const cost = between(before, await used(cluster));
    return {
      'ms until all saw all': Math.round(lasted),
      'nodes ms': cost.nodes,
      'Redis ms': cost.redis,
      'Redis commands': Object.values(cost.commands).reduce((sum, one) => sum + Number(one), 0),
    };
  } finally {
    await cluster.stop();
  }
}

/** Bytes of memory that a process has of its own. @param {number} pid */
async function residentBytes(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

const GIANT = 200_000;

/** A channel of 200,000 members, leases over HTTP on one node; another follows it, as people do who are told counts. */
async function giant() {
  const cluster = await startCluster(2, { flags: ['--max-members', '1000000', '--max-memberships', '1000000'] });
  try {
    const [far, near] = cluster.nodes;
    const agent = new Agent({ keepAlive: true, maxSockets: 64 });
    const lease = (/** @type {number} */ n) => new Promise((resolve, reject) => {
      const asked = request(`${far.http}/v1/channels/giant/members/user-${n}`, {
        method: 'PUT', agent, headers: { 'content-type': 'application/json' },
      }, (answer) => { answer.resume(); answer.on('end', () => resolve(answer.statusCode)); });
      asked.on('error', reject);
      asked.end(JSON.stringify({ ttlMs: 3_000_000, attributes: { mood: 'happy' } }));
    });
    const begun = performance.now();
    await some(Array.from({ length: GIANT }, (_, n) => n), lease, 64);
    const joins = (performance.now() - begun) / 1000;
    const count = async () => (await (await fetch(`${far.http}/v1/channels/giant/count`)).json()).count;
    while (await count() !== GIANT) await sleep(500);
    await sleep(2_000);
    const quiet = await residentBytes(near.pid);
    const line = await Line.open(near, 'a-looker');
    let told = 0;
    let last = 0;
    line.onframe = (frame) => { if (frame.type === 'count') [told, last] = [told + 1, frame.count]; };
    const summaries = async () => Number(/^herenow_channel_summaries_total (\d+)/m.exec(await (await fetch(`${near.http}/metrics`)).text())?.[1]);
    await line.request({ type: 'subscribe', channel: 'giant', recent: 200 });
    await until(() => last === GIANT);
    const following = await residentBytes(near.pid);
    // And while 100 a second come.
    const [before, toldBefore, from] = [await summaries(), told, performance.now()];
    for (let n = 0; n < 1_000; n++) {
      await lease(GIANT + n);
      await sleep(Math.max(0, from + n * 10 - performance.now()));
    }
    const lasted = (performance.now() - from) / 1000;
    const [heard, frames] = [await summaries() - before, told - toldBefore];
    await until(() => last === GIANT + 1_000);
    return {
      'leases/s': Math.round(GIANT / joins),
      'far MiB': Math.round(await residentBytes(far.pid) / 2 ** 20),
      'near MiB before': Number((quiet / 2 ** 20).toFixed(1)),
      'KiB for it': Math.round((following - quiet) / 1024),
      'KiB after changes': Math.round((await residentBytes(near.pid) - quiet) / 1024),
      'summaries/s': Number((heard / lasted).toFixed(2)),
      'count frames/s': Number((frames / lasted).toFixed(2)),
    };
  } finally {
    await cluster.stop();
  }
}

const works = {
  changes: async () => ({
    'one node, without Redis': await changes(1, true),
    'one node': await changes(1),
    'two nodes': await changes(2),
    'three nodes': await changes(3),
  }),
  heartbeats: async () => ({ '100,000 heartbeats on two nodes': await heartbeats() }),
  storm: async () => ({
    '2,000 on one node, without Redis': await storm(1, 2_000, true),
    '2,000 on one node': await storm(1, 2_000),
    '1,000 on each of two': await storm(2, 1_000),
  }),
  giant: async () => ({ '200,000 members elsewhere, told in counts': await giant() }),
};

const asked = process.argv.slice(2);
for (const [name, work] of Object.entries(works)) {
  if (asked.length && !asked.includes(name)) continue;
  console.log(`\n${name}`);
  console.table(await work());
}
process.exit(0);
