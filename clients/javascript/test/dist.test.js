/** The one file for pages without a bundler, as it is committed. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { oneFile } from '../scripts/bundle.js';

const read = (name) => readFile(new URL(`../dist/${name}`, import.meta.url));

test('the committed file is what the sources make', async () => {
  const committed = String(await read('herenow.js'));
  assert(committed === await oneFile(), 'the sources have changed: npm --prefix clients/javascript run bundle');
  assert(String(gunzipSync(await read('herenow.js.gz'))) === committed, 'gzipped it is another: npm --prefix clients/javascript run bundle');
});
