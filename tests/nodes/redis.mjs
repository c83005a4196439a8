/** A Redis of our own, which can stop, die, and come back empty or as it was a while ago. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { owned } from '../../clients/javascript/test/owned.js';
import { freePort } from '../../clients/javascript/test/rig.js';

const run = promisify(execFile);

/** @param {string[]} [flags] */
export async function startRedis(flags = []) {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'herenow-redis-'));
  const [dump, kept] = [join(folder, 'dump.rdb'), join(folder, 'kept')];
  /** @type {import('node:child_process').ChildProcess} */
  let child;

  /** What `redis-cli` prints. @param {string[]} words */
  const ask = async (...words) => (await run('redis-cli', ['-p', String(port), ...words], { maxBuffer: 1 << 28 })).stdout;

  async function begin() {
    child = owned(spawn('redis-server', [
      '--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no', ...flags,
    ], { stdio: 'ignore' }));
    child.once('error', (error) => { throw error; });
    for (let tries = 0; !(await ask('ping').catch(() => '')).startsWith('PONG'); tries++) {
      if (tries > 200) throw new Error('Redis does not answer');
      await sleep(25);
    }
  }

  async function end() {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  await begin();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    ask,
    get pid() { return /** @type {number} */ (child.pid); },
    /** It stands still: connections stay, and nothing comes. */
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    /** Keeps a copy of all that it has now. */
    async keep() {
      await ask('save');
      await copyFile(dump, kept);
    },
    kill: end,
    /** After `kill`: it is there again, with nothing, or with what was kept. @param {'empty' | 'kept'} how */
    async comeBack(how) {
      await rm(dump, { force: true });
      if (how === 'kept') await copyFile(kept, dump);
      await begin();
    },
    /** All keys in order. @param {string} [pattern] */
    async keys(pattern = '*') {
      return (await ask('--scan', '--pattern', pattern)).split('\n').filter(Boolean).sort();
    },
    /** How often each command was done since it began. @returns {Promise<Record<string, number>>} */
    async commands() {
      const lines = (await ask('info', 'commandstats')).matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm);
      return Object.fromEntries([...lines].map(([, name, calls]) => [name, Number(calls)]));
    },
    async stop() {
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startRedis>>} Redis */

const SLOTS = 16_384;

/** A Redis Cluster: masters without replicas, each with its part of the slots. @param {number} count */
export async function startMasters(count) {
  /** @type {Array<Redis & { bus: number }>} */
  const masters = [];
  const stop = async () => { await Promise.all(masters.map((master) => master.stop())); };
  const first = (/** @type {number} */ n) => Math.floor((SLOTS * n) / count);

  /** All know all, and each slot has its master. */
  async function whole() {
    for (let tries = 0; ; tries++) {
      const said = await Promise.all(masters.map(({ ask }) => ask('cluster', 'info')));
      const isWhole = (/** @type {string} */ info) => ['cluster_state:ok', `cluster_known_nodes:${count}\r`, `cluster_slots_ok:${SLOTS}\r`].every((line) => info.includes(line));
      if (said.every(isWhole)) return;
      if (tries > 400) throw new Error(`the masters do not come together:\n${said.join('\n')}`);
      await sleep(25);
    }
  }

  try {
    for (let n = 0; n < count; n++) {
      const bus = await freePort();
      // While one is gone, the others go on.
      const flags = ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '2000', '--cluster-require-full-coverage', 'no'];
      masters.push({ ...await startRedis(flags), bus });
    }
    const [{ ask }, ...others] = masters;
    await Promise.all(masters.map((master, n) => master.ask('cluster', 'addslotsrange', String(first(n)), String(first(n + 1) - 1))));
    await Promise.all(masters.map((master, n) => master.ask('cluster', 'set-config-epoch', String(n + 1))));
    for (const { port, bus } of others) await ask('cluster', 'meet', '127.0.0.1', String(port), String(bus));
    await whole();
  } catch (error) {
    await stop();
    throw error;
  }
  return { masters, url: `redis://127.0.0.1:${masters[0].port}?cluster=true`, whole, stop };
}

/** @typedef {Awaited<ReturnType<typeof startMasters>>} Masters */
