/**
 * The system has no file left for the broker: whoever is here is served as ever, whoever comes waits
 * outside, the log says so in few lines, nothing turns in circles; and once there is room newcomers come
 * in within a second.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../clients/javascript/test/broker.js';
import { owned } from '../../clients/javascript/test/owned.js';
import { BROKER } from '../../clients/javascript/test/rig.js';
import { Line } from '../nodes/line.mjs';

/** A broker whose log we read. */
async function start() {
  const child = owned(spawn(BROKER, ['--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HERENOW_LOG: 'info' },
  }));
  /** @type {string[]} */
  const log = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const http = /(http:\S+)/.exec(line)[1];
  after(() => { child.kill('SIGKILL'); });
  return { pid: child.pid, log, http, port: Number(new URL(http).port), url: `${http.replace('http', 'ws')}/ws` };
}

/** @param {number} pid */
const openFiles = (pid) => readdirSync(`/proc/${pid}/fd`).length;

/** Seconds of processors that it took so far. @param {number} pid */
function worked(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** @param {number} pid @param {number} files */
function allow(pid, files) {
  // The hard limit stays, so that it can be raised again.
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:`]);
}

test('without files left those who are here are served, and others once there is room', async () => {
  const broker = await start();
  const [writer, reader] = [await Line.open(broker, 'ada'), await Line.open(broker, 'bob')];
  let seen = 0;
  reader.onframe = (frame) => { if (frame.type === 'presence') seen = frame.events.at(-1).attributes.n; };
  await writer.request({ type: 'join', channel: 'room' });
  await reader.request({ type: 'subscribe', channel: 'room', level: 'events' });
  /** @param {number} n */
  const tells = async (n) => {
    await writer.request({ type: 'setAttributes', channel: 'room', attributes: { n } });
    await until(`change ${n} is told`, () => seen === n);
  };
  await tells(1);

  const [before, files] = [broker.log.length, Number(/Max open files\s+(\d+)/.exec(readFileSync(`/proc/${broker.pid}/limits`, 'utf8'))?.[1])];
  allow(broker.pid, openFiles(broker.pid) + 2);
  const crowd = Array.from({ length: 60 }, () => net.connect(broker.port, '127.0.0.1').on('error', () => {}));
  await until('it has no file left', () => broker.log.slice(before).some((line) => /Too many open files/.test(line)));
  const began = worked(broker.pid);
  for (let n = 2; n < 30; n++) {
    await tells(n);
    await sleep(100);
  }
  const took = worked(broker.pid) - began;
  assert.ok(took < 1, `it took ${took} s of a processor to wait for 3 s`);
  const lines = broker.log.slice(before).filter((line) => /open files/.test(line));
  assert.ok(lines.length < 10, `${lines.length} lines:\n${lines.join('\n')}`);

  for (const socket of crowd) socket.destroy();
  allow(broker.pid, files);
  const newcomer = await Promise.race([Line.open(broker, 'cleo'), sleep(10_000, null, { ref: false })]);
  assert.ok(newcomer, 'nobody comes in');
  await newcomer.request({ type: 'join', channel: 'room' });
  await tells(30);
  assert.deepEqual([writer.closed, reader.closed], [null, null]);
});
