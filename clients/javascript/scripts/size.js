/**
 * How many bytes each entry costs a page: bundled, minified, gzipped. The facades and the hooks are
 * measured without the core, which the page has once. Fails when an entry has outgrown its bound.
 *
 *   npm run size
 */

import { gzipSync } from 'node:zlib';
import { ENTRIES } from './entries.js';
import { filesOf, minified } from './minify.js';

const core = await filesOf('index');
let failed = false;
for (const [entry, bound] of Object.entries(ENTRIES)) {
  const text = await minified(entry, entry === 'index' ? undefined : core);
  const bytes = gzipSync(text, { level: 9 }).length;
  const over = bytes > bound;
  failed ||= over;
  console.log(`${entry.padEnd(9)} ${String(bytes).padStart(5)} of ${bound} bytes${over ? '  TOO LARGE' : ''}`);
}
process.exitCode = failed ? 1 : 0;
