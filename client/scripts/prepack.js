/**
 * What a package has and the repository does not: the types, from the sources, and the licences, which
 * lie one level up. npm packs no symbolic links, and copies that are kept would grow apart.
 */

import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

rmSync(here('../types'), { recursive: true, force: true });
execFileSync('npx', ['--no-install', 'tsc', '--project', 'tsconfig.pack.json'], {
  cwd: here('..'), stdio: ['ignore', 2, 2], shell: process.platform === 'win32',
});
for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(here(`../../${licence}`), here(`../${licence}`));
