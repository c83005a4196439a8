/**
 * Starts the broker's echo, has Autobahn's fuzzing client at it, and says what came of it: 0 if no case
 * failed, its close included. HERENOW_BIN is the broker, HERENOW_AUTOBAHN the folder in which the suite
 * stands (`venv`) and its report goes (`report`); HERENOW_CASES are cases, with commas, instead of all.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const home = process.env.HERENOW_AUTOBAHN;

/** The suite's messages have up to 128 KiB, and come as fast as it can. */
const FLAGS = [
  '--listen', '127.0.0.1:0', '--max-message-bytes', '262144',
  '--max-frames-per-second', '1000000', '--max-frames-burst', '1000000',
];

const CASES = process.env.HERENOW_CASES?.split(',')
  ?? ['1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '10.*', '12.*', '13.*'];

/** Binary messages, which are refused with 1003: that they are stands in the broker's own tests. */
const BINARY = ['1.2.*', '12.2.*', '12.3.*', '12.5.*'];

/** What the suite says of a case that is as it should be. NON-STRICT: as the RFC lets a server be. */
const GOOD = new Set(['OK', 'INFORMATIONAL', 'NON-STRICT']);

/** Clients that offer a smaller window of compression, which we decline: those get plain frames. */
const DECLINED = /^13\.[35]\./;

async function startEcho() {
  const broker = spawn(process.env.HERENOW_BIN, ['echo', ...FLAGS], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: broker.stdout })) {
    const address = /^listening on http:\/\/(\S+)/.exec(line)?.[1];
    if (address) return { broker, url: `ws://${address}/echo` };
  }
  throw new Error('the broker did not start');
}

/** @param {string} url */
async function fuzz(url) {
  const spec = join(home, 'spec.json');
  const report = join(home, 'report');
  const servers = [{ agent: 'herenow', url }];
  writeFileSync(spec, JSON.stringify({ outdir: report, servers, cases: CASES, 'exclude-cases': BINARY, 'exclude-agent-cases': {} }));
  const run = 'from autobahntestsuite.wstest import run; run()';
  const suite = spawn(join(home, 'venv/bin/python'), ['-c', run, '-m', 'fuzzingclient', '-s', spec], { cwd: home, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(suite, 'exit');
  if (code !== 0) throw new Error(`the suite ended with ${code}`);
  return JSON.parse(readFileSync(join(report, 'index.json'), 'utf8')).herenow;
}

const { broker, url } = await startEcho();
try {
  const results = Object.entries(await fuzz(url));
  const counts = {};
  for (const [name, { behavior, behaviorClose, remoteCloseCode }] of results) {
    counts[behavior] = (counts[behavior] ?? 0) + 1;
    if (behavior === 'UNIMPLEMENTED' && DECLINED.test(name)) continue;
    if (behavior !== 'OK' || !GOOD.has(behaviorClose)) {
      console.log(`${name}: ${behavior}, its close ${behaviorClose} (${remoteCloseCode})`);
    }
    if (!GOOD.has(behavior) || !GOOD.has(behaviorClose)) process.exitCode = 1;
  }
  console.log(`${results.length} cases:`, counts);
  if (results.length === 0) process.exitCode = 1;
} finally {
  broker.kill('SIGTERM');
  await once(broker, 'exit');
}
