/** Projects that have installed the package: what `npm pack` made, unpacked into their `node_modules`. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);
export const client = fileURLToPath(new URL('../..', import.meta.url));
export const modules = join(client, 'node_modules');

/** @returns {Promise<{tarball: string, paths: string[], remove: () => Promise<void>}>} `paths`: what is in it */
export async function pack() {
  const folder = await mkdtemp(join(tmpdir(), 'herenow-pack-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: client });
  const [{ filename, files }] = JSON.parse(stdout);
  return {
    tarball: join(folder, filename),
    paths: files.map(({ path }) => path).sort(),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/**
 * A project of its own, with the package and some others that our tests have too.
 * @param {string} tarball
 * @param {Record<string, string>} files by path; `package.json` is `{}` if absent
 * @param {string[]} [others]
 */
export async function project(tarball, files, others = []) {
  const folder = await mkdtemp(join(tmpdir(), 'herenow-project-'));
  const own = join(folder, 'node_modules/herenow');
  await mkdir(own, { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', own, '--strip-components=1']);
  for (const name of others) {
    const link = join(folder, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(modules, name), link);
  }
  for (const [path, text] of Object.entries({ 'package.json': '{}', ...files })) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** What entries for frameworks import, with its types. */
export function peers() {
  return ['react', '@types/react', 'csstype', 'vue', 'svelte'].filter((name) => existsSync(join(modules, name)));
}
