/**
 * Programs that a test file starts end with it: when a test fails before it stops them, and when the file
 * is cut off because it takes too long. One that is left keeps the file's process from ending, and holds
 * the pipes that the test runner reads to their end: the run would wait for ever.
 */

import { constants } from 'node:os';
import { after } from 'node:test';

/** Time for what a file does at its own end, which may begin later than ours. */
const GRACE_MS = 15_000;

/** @type {Set<import('node:child_process').ChildProcess>} */
const living = new Set();

/** @template {import('node:child_process').ChildProcess} Child @param {Child} child @returns {Child} the same */
export function owned(child) {
  living.add(child);
  child.once('exit', () => living.delete(child));
  return child;
}

function endAll() {
  for (const child of living) child.kill('SIGKILL');
}

// Benchmarks and scripts start programs as well, and are no tests.
if (process.env.NODE_TEST_CONTEXT) after(() => { setTimeout(endAll, GRACE_MS).unref(); });
process.once('exit', endAll);
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]));
}
