/**
 * What attacks cost those who behave, and the broker: `cargo build --release`, then
 * `node bench/siege/siege.mjs`, or with the names of some: mutants, pings, fragments, halves, connects,
 * answers. Each has a broker of its own. It ends with 1 if a bound does not hold that depends on no
 * machine; how fast those are told who behave depends on how many processors the attacker leaves, so
 * that is shown and not judged.
 *
 * Linux alone tells what a process has (`/proc`).
 */

import { fork } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

process.env.HERENOW_BIN ??= fileURLToPath(new URL('../../target/release/herenow', import.meta.url));
// Only now: the rig reads the binary's name when it is loaded.
const { startBroker } = await import('../../clients/javascript/test/broker.js');
const { Line } = await import('../../tests/nodes/line.mjs');

/** How long the broker bears what does not come, or is not taken. */
const BORNE_MS = 3_000;
const FOR_MS = 5_000;
const FLAGS = [
  '--max-handshake', `${BORNE_MS}ms`, '--max-write-time', `${BORNE_MS}ms`, '--max-message-time', `${BORNE_MS}ms`,
  '--max-connections-per-address', '1000000', '--max-requests-per-second', '1000000', '--max-requests-burst', '1000000',
];
const MOST_BYTES_EACH = 32 * 1024;
/** A page of an answer, which lies in memory until it is taken; all of them together are in `--max-backlog`. */
const MOST_BYTES_OF_ANSWER = 64 * 1024;
const MOST_BYTES_AFTER = 2 * 1024 * 1024;

const ATTACKER = fileURLToPath(new URL('./attacks.mjs', import.meta.url));
const NAMES = ['mutants', 'pings', 'fragments', 'halves', 'connects', 'answers'];

/** @param {number} pid */
async function residentBytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** @param {number} pid */
async function openFiles(pid) {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Two who behave: one writes, the other is told; and newcomers. @param {Awaited<ReturnType<typeof startBroker>>} broker */
async function openHonest(broker) {
  const [writer, reader] = [await Line.open(broker, 'writer'), await Line.open(broker, 'reader')];
  await writer.request({ type: 'join', channel: 'quiet' });
  let told = (/** @type {number} */ _n) => {};
  reader.onframe = (frame) => { if (frame.type === 'presence') told(frame.events.at(-1)?.attributes?.n); };
  await reader.request({ type: 'subscribe', channel: 'quiet', level: 'events' });
  let n = 0;
  /** After how long each of many changes is told. @param {() => boolean} goes */
  async function changes(goes) {
    /** @type {number[]} */
    const took = [];
    while (goes()) {
      n += 1;
      const begun = performance.now();
      const heard = new Promise((resolve) => { told = (it) => { if (it === n) resolve(null); }; });
      writer.send({ type: 'setAttributes', channel: 'quiet', attributes: { n } });
      await Promise.race([heard, sleep(5_000)]);
      took.push(performance.now() - begun);
      await sleep(15);
    }
    took.sort((one, other) => one - other);
    return { p50: took[Math.floor(took.length * 0.5)], p99: took[Math.floor(took.length * 0.99)] };
  }
  /** How long the slowest of those waits who come meanwhile. @param {() => boolean} goes */
  async function newcomers(goes) {
    let slowest = 0;
    for (let count = 0; goes(); count++) {
      const begun = performance.now();
      const line = await Line.open(broker, `newcomer-${count}`);
      await line.request({ type: 'join', channel: 'hall' });
      slowest = Math.max(slowest, performance.now() - begun);
      await line.close();
      await sleep(150);
    }
    return slowest;
  }
  return { lines: [writer, reader], changes, newcomers };
}

/** Members with much to tell, for answers that are long. @param {Awaited<ReturnType<typeof startBroker>>} broker */
async function fill(broker) {
  for (let n = 0; n < 300; n++) {
    const answer = await fetch(`${broker.http}/v1/channels/room/members/user-${n}`, {
      method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ttlMs: 3_000_000, attributes: { pad: 'x'.repeat(2_000) } }),
    });
    await answer.arrayBuffer();
  }
}

/** Attacks a broker. @param {string} name @param {number} port @returns {Promise<Record<string, number>>} what it did */
async function attack(name, port) {
  const attacker = fork(ATTACKER, [JSON.stringify({ name, port, forMs: name === 'answers' ? BORNE_MS * 4 : FOR_MS })]);
  try {
    return await new Promise((resolve, reject) => attacker.on('message', resolve).on('exit', reject));
  } finally {
    attacker.kill();
  }
}

/**
 * How fast the pair is told while another broker is attacked: what attacker and attacked take from the
 * processors they take here, too, and all that is more the attack does to this one.
 * @param {string} name @param {Awaited<ReturnType<typeof openHonest>>} honest
 */
async function beside(name, honest) {
  const other = await startBroker({ flags: FLAGS });
  try {
    if (name === 'answers') await fill(other);
    let over = false;
    const [told] = await Promise.all([honest.changes(() => !over), attack(name, other.port).finally(() => { over = true; })]);
    return told;
  } finally {
    await other.stop('SIGKILL');
  }
}

/** @param {string} name */
async function besiege(name) {
  const broker = await startBroker({ flags: FLAGS });
  try {
    if (name === 'answers') await fill(broker);
    const honest = await openHonest(broker);
    const timed = (/** @type {number} */ ms) => {
      const end = performance.now() + ms;
      return () => performance.now() < end;
    };
    await Promise.all([honest.changes(timed(2_000)), honest.newcomers(timed(2_000))]);
    const quiet = await honest.changes(timed(4_000));
    const busy = await beside(name, honest);
    const before = { bytes: await residentBytes(broker.pid), files: await openFiles(broker.pid) };
    let [most, files, over] = [0, 0, false];
    const goes = () => !over;
    const watching = (async () => {
      while (goes()) {
        most = Math.max(most, await residentBytes(broker.pid));
        files = Math.max(files, await openFiles(broker.pid) - before.files);
        await sleep(50);
      }
    })();
    const begun = performance.now();
    const attacked = attack(name, broker.port);
    const gone = (async () => {
      await sleep(1_000);
      while (await openFiles(broker.pid) > before.files + 3) await sleep(50);
      return performance.now() - begun;
    })();
    const [told, slowest, did, took] = await Promise.all([
      honest.changes(goes), honest.newcomers(goes), attacked.finally(() => { over = true; }), ['halves', 'answers'].includes(name) ? gone : 0, watching,
    ]);
    await sleep(5_000);
    const after = await residentBytes(broker.pid);
    // Connections that are being closed count as well as those that the attacker still has.
    const each = Math.max(0, most - before.bytes) / Math.max(files, did.connections);
    const kib = (/** @type {number} */ bytes) => Math.round(bytes / 1024);
    console.log(`${name}: ${JSON.stringify(did)}`);
    console.log(`  memory: ${kib(each)} KiB for each connection at the most, ${kib(after - before.bytes)} KiB over the start afterwards`);
    const three = (/** @type {'p50' | 'p99'} */ part) => [quiet, busy, told].map((it) => it[part].toFixed(2)).join(' / ');
    console.log(`  told quiet / while another broker is attacked / under attack: p50 ${three('p50')} ms, p99 ${three('p99')} ms (${(told.p99 / quiet.p99).toFixed(1)} ×, ${(told.p99 / busy.p99).toFixed(1)} ×)`);
    console.log(`  newcomers: served in ${slowest.toFixed(0)} ms at the most${took ? `; attackers gone after ${(took / 1_000).toFixed(1)} s` : ''}`);
    return [
      each > MOST_BYTES_EACH + (name === 'answers' ? MOST_BYTES_OF_ANSWER : 0) && 'memory for each connection',
      after - before.bytes > MOST_BYTES_AFTER && 'memory afterwards',
      did.bare > 0 && 'ends without a Close frame',
      took > BORNE_MS + 1_500 && 'attackers stay',
      slowest > 1_000 && 'newcomers wait',
      honest.lines.some(({ closed }) => closed !== null) && 'those who behave are closed',
    ].filter(Boolean).map((what) => `${name}: ${what}`);
  } finally {
    await broker.stop('SIGKILL');
  }
}

const wanted = process.argv.slice(2);
const failed = [];
for (const name of NAMES.filter((each) => !wanted.length || wanted.includes(each))) failed.push(...await besiege(name));
for (const line of failed) console.log(`FAILED ${line}`);
process.exitCode = failed.length ? 1 : 0;
