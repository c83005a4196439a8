/** What the package's types are to whoever compiles against it, however their compiler looks for them. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ENTRIES } from '../../scripts/entries.js';
import { client, modules, peers, project, run } from './install.js';
import { unnamed } from './named.js';

const TSC = [join(modules, 'typescript/bin/tsc')];
/** The last line of compilers that know `node10`; attw brings it. */
const old = createRequire(join(modules, '@arethetypeswrong/core/package.json'));
const TSC5 = [old.resolve('typescript/bin/tsc')];

/** The compiler, how the project looks for packages, and what a `.ts` file of it is. */
const WAYS = [
  ['node, from CommonJS', TSC5, ['--module', 'commonjs', '--moduleResolution', 'node10'], 'commonjs'],
  ['node, for a bundler', TSC5, ['--module', 'esnext', '--moduleResolution', 'node10'], 'module'],
  ['node16, from CommonJS', TSC5, ['--module', 'node16'], 'commonjs'],
  ['node16, from ES modules', TSC5, ['--module', 'node16'], 'module'],
  ['node16, from CommonJS, by the newest compiler', TSC, ['--module', 'node16'], 'commonjs'],
  ['nodenext, from CommonJS', TSC, ['--module', 'nodenext'], 'commonjs'],
  ['nodenext, from ES modules', TSC, ['--module', 'nodenext'], 'module'],
  ['bundler', TSC, ['--module', 'esnext', '--moduleResolution', 'bundler'], 'module'],
];
const STRICT = ['--strict', '--jsx', 'react-jsx', '--target', 'es2022', '--lib', 'es2023,dom', '--types', 'react'];

/** @param {() => string} tarball */
export function typeTests(tarball) {
  for (const [name, compiler, flags, type] of WAYS) {
    test(`types: what a page says of its own is checked, and can be exported: ${name}`, async () => {
      const typed = await readFile(new URL('typed.tsx', import.meta.url), 'utf8');
      const files = { 'typed.tsx': typed, 'package.json': JSON.stringify({ type }) };
      const { folder, remove } = await project(tarball(), files, peers());
      try {
        await run(process.execPath, [...compiler, '--declaration', '--outDir', 'out', ...flags, ...STRICT, 'typed.tsx'], { cwd: folder })
          .catch(({ stdout, stderr }) => assert.fail(`${stdout}${stderr}`));
        const declared = await readFile(join(folder, 'out/typed.d.ts'), 'utf8');
        for (const line of ['here: Client<Ours>', 'room: Channel<Mine, Info>', 'bob: User<Info>', 'said: Welcome | null']) {
          assert(declared.includes(`export declare const ${line};`), `${line}\n${declared}`);
        }
      } finally {
        await remove();
      }
    });
  }

  test('types: whatever a type names can be named by those who import it', async () => {
    const { folder, remove } = await project(tarball(), {}, peers());
    try {
      assert.deepEqual(unnamed(old('typescript'), folder, Object.keys(ENTRIES)), []);
    } finally {
      await remove();
    }
  });

  test('types: what the README shows compiles', async () => {
    const readme = await readFile(join(client, 'README.md'), 'utf8');
    const shown = [...readme.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code]) => code);
    assert(shown.length > 0);
    const files = Object.fromEntries(shown.map((code, at) => [`shown${at}.ts`, `declare const fetchToken: () => Promise<string>;\n${code}`]));
    const { folder, remove } = await project(tarball(), { 'package.json': '{"type":"module"}', ...files });
    const flags = ['--noEmit', '--module', 'nodenext', '--strict', '--target', 'es2022', '--lib', 'es2023,dom', '--types', ''];
    await run(process.execPath, [...TSC, ...flags, ...Object.keys(files)], { cwd: folder })
      .catch(({ stdout, stderr }) => assert.fail(`${stdout}${stderr}`)).finally(remove);
  });

  test('types: codes, reasons and the welcome are those of the protocol', async () => {
    const { $defs, oneOf } = JSON.parse(await readFile(join(client, '../../protocol/schema/server.schema.json'), 'utf8'));
    const texts = (name) => $defs[name].oneOf.map(({ const: text }) => text);
    const [error, shapes, replica] = await Promise.all(['error', 'shapes', 'replica'].map((name) => (
      readFile(join(client, `src/${name}.js`), 'utf8')
    )));
    const named = (source, type) => {
      const [, union] = new RegExp(`@typedef \\{([^@]*?)\\} ${type}\\n`).exec(source);
      return [...union.matchAll(/'(\w+)'/g)].map(([, text]) => text);
    };
    const codes = named(error, 'ErrorCode');
    for (const code of texts('ErrorCode')) assert(codes.includes(code), code);
    for (const [, own] of error.matchAll(/^ \* - `(\w+)`:/gm)) assert(codes.includes(own), own);
    const reasons = ['LeaveReason', 'LossReason', 'UpdateReason'].flatMap(texts);
    assert.deepEqual(named(replica, 'Reason').sort(), reasons.sort());

    const fields = (type) => {
      const [, body] = new RegExp(`@typedef \\{object\\} ${type}\\n([^]*?)\\*/`).exec(shapes);
      return [...body.matchAll(/@property \{[^]*?\} (\w+)/g)].map(([, field]) => field).sort();
    };
    const welcome = oneOf.find(({ properties }) => properties.type.const === 'welcome');
    assert.deepEqual(fields('Welcome'), Object.keys(welcome.properties).filter((field) => field !== 'type').sort());
    assert.deepEqual(fields('Limits'), Object.keys($defs.LimitsInfo.properties).sort());
  });
}
