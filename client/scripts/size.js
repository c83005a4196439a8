/**
 * How many bytes each entry costs a page: bundled, minified, gzipped. The facades and the hooks are
 * measured without the core, which the page has once. Fails when an entry has outgrown its bound.
 *
 *   npm run size
 */

import { fileURLToPath } from 'node:url';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';
import { ENTRIES } from './entries.js';

const SRC = fileURLToPath(new URL('../src/', import.meta.url));

const core = await coreFiles();
let failed = false;
for (const [entry, bound] of Object.entries(ENTRIES)) {
  const bytes = await measure(entry, entry === 'index' ? new Set() : core);
  const over = bytes > bound;
  failed ||= over;
  console.log(`${entry.padEnd(9)} ${String(bytes).padStart(5)} of ${bound} bytes${over ? '  TOO LARGE' : ''}`);
}
process.exitCode = failed ? 1 : 0;

/** The files behind `herenow` alone. */
async function coreFiles() {
  const { metafile } = await bundle('index', new Set());
  return new Set(Object.keys(metafile.inputs).map((path) => basename(path)));
}

/** @param {string} entry @param {Set<string>} external names of files that count as there already */
async function measure(entry, external) {
  const { outputFiles } = await bundle(entry, external);
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    compress: { passes: 3, ecma: 2022, unsafe_arrows: true, keep_fargs: false },
    mangle: true,
  });
  return gzipSync(code, { level: 9 }).length;
}

/** @param {string} entry @param {Set<string>} external */
function bundle(entry, external) {
  return build({
    entryPoints: [join(SRC, `${entry}.js`)],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none',
    write: false,
    metafile: true,
    plugins: [{
      name: 'there-already',
      setup({ onResolve }) {
        onResolve({ filter: /./ }, ({ path, kind }) => {
          const isThere = external.has(basename(path)) || !path.startsWith('.');
          return kind !== 'entry-point' && isThere ? { path, external: true } : undefined;
        });
      },
    }],
  });
}
