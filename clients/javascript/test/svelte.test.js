/** The stores, in components of real Svelte: 5, with and without runes, and the contract in 4. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { compile } from 'svelte/compiler';
import { get, writable } from 'svelte/store';
import { get as get4, derived as derived4 } from 'svelte4/store';
import { channel, connection, status, statuses } from '../src/svelte.js';
import { fakeBroker } from '../src/testing.js';
import { sleep } from './broker.js';
import { window } from './dom.js';
import { until } from './facade-helpers.js';

const client = fileURLToPath(new URL('..', import.meta.url));
let folder;
let broker;
let here;
let main;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'herenow-svelte-'));
  await symlink(join(client, 'node_modules'), join(folder, 'node_modules'));
});
after(async () => {
  await rm(folder, { recursive: true });
  window.close();
});
beforeEach(() => {
  broker = fakeBroker();
  here = broker.connect({ user: 'ada' });
  main = window.document.createElement('div');
});
afterEach(() => here.close());

const types = () => broker.received.map(({ frame: { type, channel } }) => `${type} ${channel}`);

let files = 0;
/** A component, compiled and bundled with Svelte. @param {string} source @param {'client' | 'server'} generate */
async function load(source, generate = 'client') {
  const { js } = compile(source.replace('herenow/svelte', join(client, 'src/svelte.js')), { generate, filename: 'App.svelte' });
  const [entry, out] = [join(folder, `app-${++files}.js`), join(folder, `out-${files}.mjs`)];
  await writeFile(entry, `${js.code}\nexport { ${generate === 'client' ? 'mount, unmount } from \'svelte\'' : 'render } from \'svelte/server\''};`);
  await build({
    entryPoints: [entry], outfile: out, bundle: true, format: 'esm', platform: 'node', logLevel: 'error',
    conditions: generate === 'client' ? ['browser'] : [],
  });
  return import(pathToFileURL(out).href);
}

const SHOWS = '<p>{$room.live} {$room.joined} {$room.count} {$room.members.map(({ user }) => user).join(\'+\')} {$room.others.length} {$room.self?.user}</p>';

test('a component with runes shows who is here, follows its props, and leaves when it goes', async () => {
  broker.join('room', 'bob');
  const { default: App, mount, unmount } = await load(`
    <script>
      import { channel } from 'herenow/svelte';
      const { here, wish } = $props();
      const room = $derived(channel(here, $wish.name, { join: { mood: $wish.mood } }));
    </script>
    ${SHOWS}
  `);
  const wish = writable({ name: 'room', mood: 'happy' });
  const app = mount(App, { target: main, props: { here, wish } });
  await until(() => main.textContent === 'true in 2 ada+bob 1 ada');
  assert.deepEqual(types(), ['join room', 'subscribe room']);
  wish.set({ name: 'room', mood: 'sad' });
  await until(() => broker.members('room')[0].attributes.mood === 'sad');
  assert.deepEqual(types().slice(2), ['join room'], 'nobody left');
  wish.set({ name: 'hall', mood: 'sad' });
  await until(() => main.textContent === 'true in 1 ada 0 ada');
  assert.deepEqual(broker.members('room').map(({ user }) => user), ['bob']);
  await unmount(app);
  await until(() => broker.members('hall').length === 0);
});

test('a component without runes does the same', async () => {
  const { default: App, mount, unmount } = await load(`
    <script>
      import { channel } from 'herenow/svelte';
      export let here;
      const room = channel(here, 'room', { join: true });
    </script>
    ${SHOWS}
  `);
  const app = mount(App, { target: main, props: { here } });
  await until(() => main.textContent === 'true in 1 ada 0 ada');
  await unmount(app);
  await until(() => broker.members('room').length === 0);
});

test('on a server nobody becomes present', async () => {
  const { default: App, render } = await load(`
    <script>
      import { channel } from 'herenow/svelte';
      let { here } = $props();
      const room = channel(here, 'room', { join: true });
    </script>
    ${SHOWS}
  `, 'server');
  assert.match(render(App, { props: { here } }).body, /false out 0/);
  assert.match(render(App, { props: { here: null } }).body, /false out 0/);
  await sleep(50);
  assert.deepEqual(types(), []);
});

test('stores share, and what nobody reads is not watched', async () => {
  const [one, two] = [channel(here, 'room', { join: true }), channel(here, 'room')];
  await sleep(50);
  assert.deepEqual(types(), []);
  const ends = [one.subscribe(() => {}), two.subscribe(() => {})];
  await until(() => get(two).count === 1);
  ends[0]();
  await until(() => broker.members('room').length === 0);
  assert.equal(here.channel('room').live, true);
  ends[1]();
  await until(() => types().length === 4);
  assert.deepEqual(types(), ['join room', 'subscribe room', 'leave room', 'unsubscribe room']);
});

test('statuses, the connection, and what is wrong', async () => {
  broker.status('bob', { online: true });
  const seen = {};
  const ends = [
    status(here, 'bob').subscribe((now) => { seen.bob = now?.online; }),
    statuses(here, ['cy', 'bob']).subscribe((now) => { seen.all = now.map((each) => each?.online); }),
    connection(here).subscribe(({ state, error }) => { seen.state = `${state.phase} ${error?.code ?? '-'}`; }),
  ];
  await until(() => seen.bob && seen.all[1] && seen.state === 'open -');
  assert.deepEqual(seen.all, [false, true]);
  broker.refuse('subscribe', { code: 'forbidden' });
  const room = channel(here, 'room');
  ends.push(room.subscribe(({ error }) => { seen.error = error?.code; }));
  await until(() => seen.error === 'forbidden');
  broker.stop();
  await until(() => seen.state.endsWith('unreachable'));
  ends.forEach((end) => end());
});

test('Svelte 4 reads them, and derives from them', async () => {
  const names = derived4(channel(here, 'room', { join: true }), ({ members }) => members.map(({ user }) => user));
  const end = names.subscribe(() => {});
  await until(() => get4(names)[0] === 'ada');
  end();
});
