/** Every file of the cookbook is run, and docs/cookbook.md shows each as it is. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { HerenowProvider } from '../src/react.js';
import { fakeBroker } from '../src/testing.js';
import { freePort, startBroker } from './broker.js';
import { window } from './dom.js';
import { SECRET, token, until } from './facade-helpers.js';
import { owned } from './owned.js';
// Its tests are tests of ours.
import '../cookbook/livestream.test.js';

const { createElement: h } = await import('react');
const { createRoot } = await import('react-dom/client');
const { document } = window;
const client = fileURLToPath(new URL('..', import.meta.url));
const cookbook = join(client, 'cookbook');
const fetchReally = globalThis.fetch;

let folder;
let broker;
let here;
let main;
let root;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'herenow-cookbook-'));
  await mkdir(join(folder, 'node_modules'));
  await symlink(client, join(folder, 'node_modules/herenow'));
  for (const name of ['react', 'react-dom']) await symlink(join(client, 'node_modules', name), join(folder, 'node_modules', name));
});
after(async () => {
  await rm(folder, { recursive: true });
  window.close();
});
beforeEach(() => {
  broker = fakeBroker();
  here = broker.connect({ user: 'ada' });
  main = document.body.appendChild(document.createElement('div'));
});
afterEach(() => {
  root?.unmount();
  root = undefined;
  // The app's own tests may run before there is any.
  here?.close();
  main?.remove();
});

const element = (tag) => main.appendChild(document.createElement(tag));

/** Renders a component of a file of JSX. @param {string} file @param {string} name @param {object} props */
async function render(file, name, props) {
  const outfile = join(folder, file.replace('.jsx', '.mjs'));
  await build({ entryPoints: [join(cookbook, file)], outfile, bundle: true, packages: 'external', format: 'esm', jsx: 'automatic', logLevel: 'error' });
  const component = (await import(pathToFileURL(outfile).href))[name];
  root ??= createRoot(main);
  root.render(h(HerenowProvider, { client: here }, h(component, props)));
}

test('a livestream’s badge and avatars, in React', async () => {
  await render('livestream.jsx', 'Livestream', { stream: 'stream' });
  await until(() => main.textContent === '1 watching');
  for (const user of ['b', 'c', 'd', 'e', 'f', 'g']) broker.join('stream', user, {}, { info: { name: `Name of ${user}`, avatar: `/${user}.png` } });
  await until(() => main.textContent === '7 watching');
  const shown = [...main.querySelectorAll('img')].map(({ alt }) => alt.at(-1)).join('');
  assert.equal(shown, 'gfedc', 'the newest five');
  broker.stop();
  await until(() => here.state.phase === 'waiting');
  broker.start();
  const asked = () => broker.received.filter(({ frame }) => frame.type === 'subscribe').map(({ frame }) => [frame.level, frame.recent]);
  await until(() => asked().length === 2);
  assert.deepEqual(asked(), [['count', 5], ['count', 5]], 'and no more, whenever it comes back');
});

test('a chat with typing, in JavaScript', async () => {
  const { typing } = await import('../cookbook/typing.js');
  const [input, line] = [element('input'), element('p')];
  const sent = await typing(here, 'chat', { input, line });
  broker.join('chat', 'bob', { typing: true });
  await until(() => line.textContent === 'bob typing …');
  const type = () => input.dispatchEvent(new window.Event('input'));
  type();
  type();
  await until(() => broker.members('chat').find(({ user }) => user === 'ada').attributes.typing);
  assert.equal(broker.received.filter(({ frame }) => frame.type === 'setAttributes').length, 1, 'not for each letter');
  assert.equal(line.textContent, 'bob typing …', 'not ourselves');
  await sent();
  assert.deepEqual(broker.members('chat').find(({ user }) => user === 'ada').attributes, {});
  type();
  await until(() => broker.members('chat').find(({ user }) => user === 'ada').attributes.typing);
});

test('a chat with typing, in React', async () => {
  const sent = [];
  await render('typing.jsx', 'Chat', { name: 'chat', send: (text) => sent.push(text) });
  await until(() => broker.members('chat').length === 1 && main.querySelector('input'));
  broker.join('chat', 'bob', { typing: true });
  await until(() => main.textContent === 'bob typing …');
  main.querySelector('input').value = 'hello';
  main.querySelector('input').dispatchEvent(new window.Event('input', { bubbles: true }));
  const ada = () => broker.members('chat').find(({ user }) => user === 'ada').attributes;
  await until(() => ada().typing);
  main.querySelector('form').dispatchEvent(new window.Event('submit', { bubbles: true, cancelable: true }));
  await until(() => !ada().typing);
  assert.deepEqual(sent, ['hello']);
});

test('who is on this page, in JavaScript', async () => {
  const { onThisPage } = await import('../cookbook/page.js');
  const list = element('ul');
  broker.join('page:/doc/7', 'bob');
  await onThisPage(here, list);
  await until(() => list.textContent === 'youbob');
  window.history.pushState({}, '', '/doc/8');
  await onThisPage(here, list);
  await until(() => list.textContent === 'you');
  assert.deepEqual(broker.members('page:/doc/7').map(({ user }) => user), ['bob']);
});

test('who is on this page, in React', async () => {
  broker.join('page:/a', 'bob');
  await render('page.jsx', 'OnThisPage', { path: '/a' });
  await until(() => main.textContent === 'youbob');
  await render('page.jsx', 'OnThisPage', { path: '/b' });
  await until(() => main.textContent === 'you');
  await until(() => broker.members('page:/a').length === 1);
});

test('a friends list, in JavaScript', async () => {
  const { friends } = await import('../cookbook/friends.js');
  const list = element('ul');
  const end = friends(here, ['bob', 'cy'], list);
  broker.status('bob', { online: true, busy: true, text: 'at lunch' });
  await until(() => list.textContent === 'bob: busy, at lunchcy: offline');
  broker.status('bob', { online: false });
  await until(() => list.textContent.startsWith('bob: last seen '));
  end();
});

test('a friends list, in React', async () => {
  broker.status('bob', { online: true });
  await render('friends.jsx', 'Friends', { ids: ['bob', 'cy'] });
  await until(() => main.textContent === 'bob: onlinecy: offline');
});

test('a hot reload keeps the client: nobody sees us go', async () => {
  let dialled = 0;
  globalThis.WebSocket = class extends broker.WebSocket {
    constructor(...all) {
      super(...all);
      dialled += 1;
    }
  };
  globalThis.fetch = async () => new Response(token({ sub: 'hot' }));
  const again = async (time) => (await import(`../cookbook/here.js?${time}`)).here;
  const first = await again(1);
  await first.channel('room').join();
  const second = await again(2);
  assert.equal(second, first);
  assert.equal(first.me, 'hot');
  assert.equal(dialled, 1);
  first.close();
});

for (const [name, command, file] of [['Node', process.execPath, 'token-server.mjs'], ['Python', 'python3', 'token_server.py']]) {
  test(`a token end point in ${name}: the broker takes what it signs`, async () => {
    const port = await freePort();
    const strict = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
    const server = owned(spawn(command, [join(cookbook, file)], {
      env: { ...process.env, PORT: String(port), HERENOW_JWT_SECRET: SECRET }, stdio: ['ignore', 'inherit', 'pipe'],
    }));
    const ask = (user) => fetchReally(`http://127.0.0.1:${port}/token`, { headers: user ? { cookie: `user=${user}` } : {} });
    const ada = connect(strict.url, { token: async () => (await ask('ada')).text(), WebSocket });
    try {
      await until(() => ask().then(() => true, () => false));
      assert.equal((await ask()).status, 401);
      await ada.channel('room-1').join();
      await ada.channel('room-1').subscribe();
      assert.deepEqual(ada.channel('room-1').self.info, { name: 'ada' });
      await assert.rejects(ada.channel('elsewhere').join(), { code: 'forbidden' });
    } finally {
      ada.close();
      server.kill();
      await strict.stop();
    }
  });
}

test('the document shows every file as it is', async () => {
  const text = await readFile(join(client, '../../docs/cookbook.md'), 'utf8');
  const shown = [...text.matchAll(/^`([\w./-]+)`:\n\n```\w+\n([^]*?)^```$/gm)];
  const all = (await readdir(cookbook, { recursive: true, withFileTypes: true })).filter((each) => each.isFile());
  const files = all.map(({ parentPath, path, name }) => join(parentPath ?? path, name).slice(cookbook.length + 1).replaceAll('\\', '/'));
  assert.deepEqual(shown.map(([, name]) => name).sort(), files.sort());
  for (const [, name, code] of shown) assert.equal(code, await readFile(join(cookbook, name), 'utf8'), name);
});
