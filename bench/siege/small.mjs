/**
 * Ten thousand readers that take nothing, and a broker that may have 256 MiB: `cargo build --release`,
 * then `node bench/siege/small.mjs [READERS]`. Each subscribes to one of ten rooms of 200 members × 2 KB
 * which are written all the time, and never reads a byte. A pair that behaves must be told as ever,
 * newcomers must be served, and the broker must live. Where this may make control groups (root on Linux),
 * the kernel enforces the limit; else what the broker had at the most is compared with it.
 */

import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

process.env.HERENOW_BIN ??= fileURLToPath(new URL('../../target/release/herenow', import.meta.url));
// Only now: the rig reads the binary's name when it is loaded.
const { startBroker } = await import('../../clients/javascript/test/broker.js');
const { Line } = await import('../../tests/nodes/line.mjs');

const READERS = Number(process.argv[2] ?? 10_000);
const [ROOMS, MEMBERS, BYTES] = [10, 200, 2_000];
const LIMIT = 256 * 1024 * 1024;

/** @param {number} pid @returns {{enforced: boolean, end(): void}} */
function confine(pid) {
  for (const [folder, file] of [['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'], ['/sys/fs/cgroup', 'memory.max']]) {
    const group = `${folder}/herenow-${pid}`;
    try {
      mkdirSync(group);
      writeFileSync(`${group}/${file}`, String(LIMIT));
      writeFileSync(`${group}/cgroup.procs`, String(pid));
      return { enforced: true, end: () => rmdirSync(group) };
    } catch {
      try { rmdirSync(group); } catch { /* it was not made */ }
    }
  }
  return { enforced: false, end: () => {} };
}

/** A frame with the mask 0, which leaves the payload as it is. @param {string} text */
function frame(text) {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length]), Buffer.alloc(4), Buffer.from(text)]);
}

/** @param {number} port @param {number} n @returns {Promise<net.Socket>} */
function reader(port, n) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' }, () => {
      socket.pause();
      socket.write(`GET /ws?user=reader-${n} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
      socket.write(frame(`{"type":"subscribe","channel":"room-${n % ROOMS}"}`), () => resolve(socket));
    });
    socket.once('error', reject);
  });
}

const peak = async (/** @type {number} */ pid) => Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

const broker = await startBroker({
  flags: ['--max-write-time', '10m', '--max-connections-per-address', '1000000', '--max-requests-per-second', '1000000', '--max-requests-burst', '1000000', '--max-frames-per-second', '100000', '--max-frames-burst', '100000'],
});
const group = confine(broker.pid);
try {
  const [writer, told] = [await Line.open(broker, 'writer'), await Line.open(broker, 'told')];
  await writer.request({ type: 'join', channel: 'quiet' });
  let heard = (/** @type {number} */ _n) => {};
  told.onframe = ({ type, events }) => { if (type === 'presence') heard(events.at(-1)?.attributes?.n); };
  await told.request({ type: 'subscribe', channel: 'quiet', level: 'events' });
  let n = 0;
  /** @param {() => boolean} goes */
  async function latencies(goes) {
    const took = [];
    while (goes()) {
      const [next, begun] = [n += 1, performance.now()];
      const comes = new Promise((resolve) => { heard = (it) => { if (it === next) resolve(null); }; });
      writer.send({ type: 'setAttributes', channel: 'quiet', attributes: { n: next } });
      await Promise.race([comes, sleep(10_000)]);
      took.push(performance.now() - begun);
      await sleep(20);
    }
    took.sort((one, other) => one - other);
    return [0.5, 0.99].map((share) => took[Math.floor(took.length * share)].toFixed(2));
  }
  const pad = () => Math.random().toString(36).repeat(BYTES).slice(0, BYTES);
  const busy = await Line.open(broker, 'busy');
  for (let room = 0; room < ROOMS; room++) {
    await busy.request({ type: 'join', channel: `room-${room}` });
    for (let from = 0; from < MEMBERS; from += 100) {
      const leases = Array.from({ length: 100 }, (_, each) => (
        { channel: `room-${room}`, user: `member-${from + each}`, ttlMs: 3_000_000, attributes: { pad: pad() } }
      ));
      const answer = await fetch(`${broker.http}/v1/leases`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ leases }) });
      await answer.arrayBuffer();
    }
  }
  const until = performance.now() + 3_000;
  const quiet = await latencies(() => performance.now() < until);
  const before = await peak(broker.pid);
  let over = false;
  const writing = (async () => {
    for (let step = 0; !over; step++) {
      busy.send({ type: 'setAttributes', channel: `room-${step % ROOMS}`, attributes: { step, pad: pad() } });
      await sleep(10);
    }
  })();
  const meanwhile = latencies(() => !over);
  const sockets = [];
  let gone = 0;
  for (let first = 0; first < READERS; first += 50) {
    const some = await Promise.all(Array.from({ length: Math.min(50, READERS - first) }, (_, each) => reader(broker.port, first + each)));
    for (const socket of some) socket.on('close', () => { gone += 1; }).on('error', () => {});
    sockets.push(...some);
  }
  await sleep(15_000);
  const begun = performance.now();
  const newcomer = await Line.open(broker, 'newcomer');
  const { members } = await newcomer.request({ type: 'subscribe', channel: 'quiet', level: 'events' });
  const served = performance.now() - begun;
  const metrics = await (await fetch(`${broker.http}/metrics`)).text();
  const metric = (/** @type {string} */ name) => Number(new RegExp(`^herenow_${name} (\\d+)$`, 'm').exec(metrics)?.[1]);
  over = true;
  const [during] = await Promise.all([meanwhile, writing]);
  const most = await peak(broker.pid);
  const mib = (/** @type {number} */ bytes) => (bytes / 1024 / 1024).toFixed(0);
  console.log(`${READERS} readers, ${gone} closed, ${metric('subscribers')} subscribers, ${metric('choked_total')} sockets full, ${mib(metric('backlog_bytes'))} MiB wait for them; limit ${group.enforced ? 'enforced' : 'compared'}: ${mib(before)} MiB before, ${mib(most)} MiB at the most of ${mib(LIMIT)}`);
  console.log(`a pair that behaves: p50 ${quiet[0]} → ${during[0]} ms, p99 ${quiet[1]} → ${during[1]} ms; a newcomer served in ${served.toFixed(0)} ms`);
  process.exitCode = most <= LIMIT && members && told.closed === null && writer.closed === null ? 0 : 1;
  sockets.forEach((socket) => socket.destroy());
} finally {
  await broker.stop('SIGKILL');
  group.end();
}
process.exit();
