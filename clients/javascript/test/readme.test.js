/** Whatever the README shows is run, against a broker instead of example.com. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { startBroker } from './broker.js';
import { SECRET, token } from './facade-helpers.js';
import { owned } from './owned.js';

const client = fileURLToPath(new URL('..', import.meta.url));
const readme = await readFile(join(client, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, language, code]) => ({ language, code }));

let project;
let strict;
let open;

before(async () => {
  project = await mkdtemp(join(tmpdir(), 'herenow-readme-'));
  await mkdir(join(project, 'node_modules'));
  await symlink(client, join(project, 'node_modules/herenow'));
  await symlink(join(client, 'node_modules/ws'), join(project, 'node_modules/ws'));
  strict = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
  open = await startBroker();
});
after(async () => {
  await strict.stop();
  await open.stop();
  await rm(project, { recursive: true });
});

const EXAMPLES = [
  { name: 'the ten lines', marker: 'fetchToken', prints: /^ada is here$/m },
  { name: 'Node.js', marker: "'ws'", prints: /^0$/m },
  { name: 'testing', marker: 'fakeBroker', prints: /^1 forbidden$/m },
  { name: 'LiveLike', marker: 'joinPresenceChannel', prints: /^join ada \{\}\nupdateAttributes ada \{ mood: 'happy' \}$/m },
  { name: 'social.plus', marker: 'startHeartbeat', behind: 'console.log(count, users[0].userId);', prints: /^1 ada$/m },
];

for (const { name, marker, behind = '', prints } of EXAMPLES) {
  test(`${name}: prints ${prints}`, async () => {
    const code = blocks.find((block) => block.language === 'js' && block.code.includes(marker))?.code;
    assert(code, 'the README has it');
    const given = `
      import { WebSocket as Given } from 'ws';
      globalThis.WebSocket ??= Given;
      const token = ${JSON.stringify(token({ sub: 'ada' }))}, fetchToken = async () => token, roomId = 'room-1';
    `;
    const file = join(project, 'example.mjs');
    await writeFile(file, [given, code, behind].join('\n')
      .replaceAll('wss://example.com/ws', strict.url)
      .replaceAll('ws://127.0.0.1:8080/ws', open.url));
    const child = owned(spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] }));
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        printed += data;
        if (prints.test(printed)) child.kill();
      });
    }
    const tooLate = setTimeout(() => child.kill(), 10_000);
    await once(child, 'close');
    clearTimeout(tooLate);
    assert.match(printed, prints);
  });
}

test('React: what it imports is there', async () => {
  const { code } = blocks.find(({ language }) => language === 'jsx');
  await build({
    stdin: { contents: code, loader: 'jsx', resolveDir: client }, bundle: true, write: false, format: 'esm', external: ['react'], logLevel: 'silent',
  });
});

test('every function and hook is in the README', async () => {
  for (const entry of ['index', 'livelike', 'rooms', 'react', 'svelte', 'testing', 'vue']) {
    for (const name of Object.keys(await import(`../src/${entry}.js`))) {
      assert.match(readme, new RegExp(`\\b${name}\\b`), `${entry}: ${name}`);
    }
  }
});

test('every code of the library’s own is in the README', async () => {
  const source = await readFile(join(client, 'src/error.js'), 'utf8');
  const codes = [...source.matchAll(/^ \* - `(\w+)`/gm)].map(([, code]) => code);
  assert(codes.length > 5);
  for (const code of codes) assert(readme.includes(`| \`${code}\` |`), code);
});
