/** React Native's own `URL`, out of its package: made for Metro and typed with Flow, it runs nowhere else as it is. */

import { execFile } from 'node:child_process';
import { access, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import flowRemoveTypes from 'flow-remove-types';

const run = promisify(execFile);
/** Kept, since only two files are wanted of a package with hundreds of others behind it. */
const KEPT = fileURLToPath(new URL('../node_modules/.cache/react-native/', import.meta.url));

/** @param {string} version @returns {Promise<typeof URL>} */
export async function nativeURL(version) {
  const folder = join(KEPT, version);
  const file = join(folder, 'package/Libraries/Blob/URL.js');
  if (!await access(file).then(() => true, () => false)) {
    await mkdir(folder, { recursive: true });
    await run('npm', ['pack', '--silent', `react-native@${version}`, '--pack-destination', folder]);
    await run('tar', ['-xzf', join(folder, `react-native-${version}.tgz`), '-C', folder, 'package/Libraries/Blob']);
  }
  const { outputFiles } = await build({
    entryPoints: [file], bundle: true, format: 'esm', write: false,
    plugins: [{
      name: 'flow',
      setup({ onResolve, onLoad }) {
        // The part that is no JavaScript: what it knows of blobs, which is nothing here.
        onResolve({ filter: /NativeBlobModule$/ }, () => ({ path: 'none', namespace: 'none' }));
        onLoad({ filter: /./, namespace: 'none' }, () => ({ contents: 'export default null;' }));
        onLoad({ filter: /\.js$/ }, async ({ path }) => ({
          contents: flowRemoveTypes(await readFile(path, 'utf8'), { all: true }).toString(),
        }));
      },
    }],
  });
  return (await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`)).URL;
}
