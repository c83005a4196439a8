/**
 * What a package has and the repository does not: the types, from the sources; the same as CommonJS; the
 * folders for tools that know no `exports`; and the licences, which lie at the top of the repository. npm packs no
 * symbolic links, and copies that are kept would grow apart.
 */

import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { SUBPATHS, folder } from './entries.js';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const writeJson = (path, value) => writeFileSync(here(path), `${JSON.stringify(value, null, 2)}\n`);

for (const built of ['types', 'cjs', ...SUBPATHS]) rmSync(here(built), { recursive: true, force: true });

execFileSync('npx', ['--no-install', 'tsc', '--project', 'tsconfig.pack.json'], {
  cwd: here('.'), stdio: ['ignore', 2, 2], shell: process.platform === 'win32',
});

// JSDoc has a word for another name of a type, and none for handing the type itself on. Only the latter
// lets the compiler of a project that exports what it made say what that is.
const ALIAS = /^export type (\w+)(?:<.*>)? = import\('(\.\/\w+\.js)'\)\.(\w+)(?:<.*>)?;$/gm;
for (const name of readdirSync(here('types'))) {
  const text = readFileSync(here(`types/${name}`), 'utf8');
  writeFileSync(here(`types/${name}`), text.replace(ALIAS, (_, as, from, type) => (
    `import type { ${type} as ${as} } from '${from}';\nexport type { ${as} };`
  )));
}

// File by file, not bundled, so that the entries share one core here too.
await build({
  entryPoints: readdirSync(here('src')).map((name) => here(`src/${name}`)),
  outdir: here('cjs'),
  format: 'cjs',
  platform: 'node', // says to `import` what each file exports
  target: 'es2022',
  logLevel: 'warning',
});
cpSync(here('types'), here('cjs'), { recursive: true });
writeJson('cjs/package.json', { type: 'commonjs' });

for (const name of SUBPATHS) {
  mkdirSync(here(name));
  writeJson(`${name}/package.json`, folder(name));
}

for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(here(`../../${licence}`), here(licence));
