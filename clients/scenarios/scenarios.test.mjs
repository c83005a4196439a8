/** Our clients pass all scenarios, and the scenarios find what is wrong with a client. */

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FAULTS } from './faults.mjs';
import { playAll, scenarios } from './run.mjs';

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const JAVASCRIPT = ['node', here('adapter.mjs')];
/** With every warning an error. The package is that of the sources, unless it stands in another folder. */
const python = (folder = here('../python/src')) => ['env', `PYTHONPATH=${folder}`, process.env.HERENOW_PYTHON ?? 'python3', '-W', 'error', here('adapter.py')];

/** @param {Map<string, string>} faults */
function told(faults) {
  return [...faults].map(([name, wrong]) => `${name}: ${wrong.slice(0, 1_000)}`).join('\n');
}

test('scenarios have names of their own, and say why', () => {
  assert.equal(new Set(scenarios.map(({ name }) => name)).size, scenarios.length);
  assert.ok(scenarios.every(({ why }) => why.length > 20));
});

test('the JavaScript client passes', async () => {
  assert.equal(told(await playAll(JAVASCRIPT)), '');
});

test('the Python client passes', async () => {
  assert.equal(told(await playAll(python())), '');
});

describe('a fault of the Python client is found', { concurrency: 4 }, () => {
  for (const { file, what, instead, found } of FAULTS) {
    test(`${file}: ${found}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'herenow-fault-'));
      try {
        await cp(here('../python/src/herenow'), join(folder, 'herenow'), { recursive: true });
        const path = join(folder, 'herenow', file);
        const source = await readFile(path, 'utf8');
        assert.equal(source.split(what).length, 2, `${file} has it once: ${what}`);
        await writeFile(path, source.replace(what, () => instead));
        const faults = await playAll(python(folder), [found]);
        assert.ok(faults.has(found), 'it is found');
        assert.doesNotMatch(faults.get(found) ?? '', /the adapter ended|SyntaxError|NameError/, 'it is not found for want of a program');
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
});
