/** An entry as a page loads it: bundled and minified. */

import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const SRC = fileURLToPath(new URL('../src/', import.meta.url));

/**
 * The same text for the same sources and tools.
 * @param {string} entry
 * @param {Set<string>} [external] names of files that count as there already
 * @returns {Promise<string>}
 */
export async function minified(entry, external) {
  const { outputFiles } = await bundle(entry, external);
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    compress: { passes: 3, ecma: 2022, unsafe_arrows: true, keep_fargs: false },
    mangle: true,
  });
  return code;
}

/** The names of the files behind an entry. @param {string} entry */
export async function filesOf(entry) {
  const { metafile } = await bundle(entry);
  return new Set(Object.keys(metafile.inputs).map((path) => basename(path)));
}

/** @param {string} entry @param {Set<string>} [external] */
function bundle(entry, external = new Set()) {
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
