/**
 * Writes `dist/herenow.js`, the library as one file for pages without a bundler, and the same gzipped.
 * Both are committed, since the broker that serves them is built without npm: after a change of the
 * sources, `npm run bundle`.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { minified } from './minify.js';

/** What the file is to hold. */
export async function oneFile() {
  return `/*! herenow: MIT OR Apache-2.0 */\n${await minified('index')}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const dist = fileURLToPath(new URL('../dist/', import.meta.url));
  const text = await oneFile();
  const packed = gzipSync(text, { level: 9 });
  mkdirSync(dist, { recursive: true });
  writeFileSync(`${dist}herenow.js`, text);
  writeFileSync(`${dist}herenow.js.gz`, packed);
  console.log(`dist/herenow.js: ${text.length} bytes, gzipped ${packed.length}`);
}
