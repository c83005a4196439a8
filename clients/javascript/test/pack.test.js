/** What `npm pack` makes: its contents, and that it works for those who install it. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ENTRIES, SUBPATHS, withEntries } from '../scripts/entries.js';
import { client, modules, pack, project as install, run } from './pack/install.js';
import { toolTests } from './pack/tools.js';
import { typeTests } from './pack/types.js';

const PEERS = ['react', '@types/react', 'csstype', 'ws'];
const manifest = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8'));

/** What `npm pack` made. */
let packed;
/** A project that has installed the package, and React. */
let project;
let remove;

before(async () => {
  packed = await pack();
  ({ folder: project, remove } = await install(packed.tarball, { 'package.json': '{"type":"module"}' }, PEERS));
});
after(async () => {
  await remove();
  await packed.remove();
});

test('it has the sources, what is built from them, a README and the licences, and nothing else', async () => {
  const sources = await readdir(join(client, 'src'));
  const types = sources.map((name) => name.replace('.js', '.d.ts'));
  assert.deepEqual(packed.paths, [
    'LICENSE-APACHE',
    'LICENSE-MIT',
    'README.md',
    'package.json',
    'cjs/package.json',
    'dist/herenow.js',
    ...SUBPATHS.map((name) => `${name}/package.json`),
    ...sources.flatMap((name) => [`src/${name}`, `cjs/${name}`]),
    ...types.flatMap((name) => [`types/${name}`, `cjs/${name}`]),
  ].sort());
});

test('package.json names the entries of the list', () => {
  assert.deepEqual(manifest, withEntries(manifest), 'npm --prefix clients/javascript run entries');
  for (const name of Object.keys(ENTRIES)) assert(existsSync(join(client, `src/${name}.js`)), name);
});

test('it depends on nothing', async () => {
  const { dependencies, peerDependencies, peerDependenciesMeta } = manifest;
  assert.equal(dependencies, undefined);
  assert('react' in peerDependencies);
  for (const name of Object.keys(peerDependencies)) assert.deepEqual(peerDependenciesMeta[name], { optional: true }, name);
});

test('whoever finds it in a registry finds its home', () => {
  const { repository, homepage, keywords } = manifest;
  const home = repository.url.replace(/^git\+(.*)\.git$/, '$1');
  assert.match(home, /^https:\/\/\S+$/);
  assert.equal(repository.directory, 'clients/javascript');
  assert(homepage.startsWith(home));
  assert(keywords.includes('presence'));
});

test('the links of its README hold outside of the repository', async () => {
  const text = readFileSync(join(project, 'node_modules/herenow/README.md'), 'utf8');
  const targets = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target);
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) => anchor(title));
  const source = manifest.homepage.replace(/\/tree\/.*$/, '/blob/main/');
  assert(targets.length > 10);
  for (const target of targets) {
    if (target.startsWith('#')) assert(headings.includes(target.slice(1)), target);
    else if (target.startsWith(source)) {
      const [path, place] = target.slice(source.length).split('#');
      const there = readFileSync(join(client, '../..', path), 'utf8');
      const places = [...there.matchAll(/^#+ (.*)$/gm)].map(([, title]) => anchor(title));
      if (place) assert(places.includes(place), target);
    } else assert.match(target, /^https:\/\//);
  }
});

/** As the forge names a heading. @param {string} title */
function anchor(title) {
  return title.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
}

test('every entry can be imported', async () => {
  await writeFile(join(project, 'entries.js'), `
    import { connect, HerenowError } from 'herenow';
    import { joinPresenceChannel } from 'herenow/livelike';
    import { RoomPresenceRepository } from 'herenow/rooms';
    import { useChannel } from 'herenow/react';
    console.log(typeof connect, typeof HerenowError, typeof joinPresenceChannel, typeof RoomPresenceRepository, typeof useChannel);
  `);
  const { stdout } = await run(process.execPath, ['entries.js'], { cwd: project });
  assert.equal(stdout, 'function function function object function\n');
});

test('every entry has types that a strict consumer can use', async () => {
  await writeFile(join(project, 'consumer.ts'), CONSUMER);
  const flags = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2023,dom', '--types', '', 'consumer.ts'];
  for (const way of [['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
    await run(join(modules, '.bin/tsc'), ['--module', way[0], '--moduleResolution', way[1], ...flags], { cwd: project })
      .catch(({ stdout, stderr }) => assert.fail(`${way}:\n${stdout}${stderr}`));
  }
});

toolTests(() => packed.tarball);
typeTests(() => packed.tarball);

const CONSUMER = `
import { connect, HerenowError } from 'herenow';
import type { Channel, Client, Member, Options, PresenceEvent, State, Status } from 'herenow';
import * as livelike from 'herenow/livelike';
import * as rooms from 'herenow/rooms';
import * as hooks from 'herenow/react';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : never;
const same = <A, B>(is: Same<A, B>) => is;

export async function core() {
  const options: Options = { token: async () => 'x', graceMs: 1000 };
  const here: Client = connect('wss://example.com/ws', options);
  const room: Channel = here.channel('room');
  const off: () => void = room.on('join', (event: PresenceEvent) => event.attributes);
  room.on('error', (error) => same<typeof error, HerenowError>(true));
  // @ts-expect-error no such event
  room.on('joined', () => {});
  await room.subscribe({ level: 'count', recent: 20, recentAttributes: true });
  // @ts-expect-error a number
  await room.subscribe({ recent: true });
  // @ts-expect-error no such level
  await room.subscribe({ level: 'all' });
  await room.join({ mood: 'happy' }, { whenHidden: { away: true } });
  const members: readonly Member[] = room.members;
  const stop: () => void = here.user('bob').watch((status: Status) => status.online);
  const state: State = here.state;
  if (state.phase === 'waiting') same<typeof state.retryAt, number>(true);
  try { await room.leave(); } catch (error) { if (error instanceof HerenowError) error.code.length; }
  return { off, members, stop };
}

type Of<F extends (...args: any) => any> = Awaited<ReturnType<F>>;
type Arg<F extends (...args: any) => any> = Parameters<F>[0];

export function livelikeTypes() {
  same<Arg<typeof livelike.joinPresenceChannel>, { channel: string }>(true);
  same<Of<typeof livelike.joinPresenceChannel>, void>(true);
  same<Of<typeof livelike.leavePresenceChannel>, void>(true);
  same<Of<typeof livelike.addPresenceListener>, void>(true);
  same<Of<typeof livelike.removePresenceListener>, void>(true);
  same<Of<typeof livelike.getPresenceUserChannels>, { channels: string[] }>(true);
  const users: { channelUsers: { userProfileId: string, attributes?: Record<string, string> }[] }
    = null! as Of<typeof livelike.getPresenceChannelUsers>;
  same<Of<typeof livelike.setPresenceUserAttributes>, Record<string, string>>(true);
  same<Arg<typeof livelike.setPresenceUserAttributes>, { channel: string, attributes: Record<string, string> }>(true);
  same<Of<typeof livelike.getPresenceUserAttributes>, Record<string, string>>(true);
  livelike.init({ endpoint: 'wss://example.com/ws', accessToken: 'x', graceMs: 0 });
  // @ts-expect-error an endpoint is needed
  livelike.init({ accessToken: 'x' });
  // @ts-expect-error attributes are strings
  livelike.setPresenceUserAttributes({ channel: 'a', attributes: { score: 1 } });
  livelike.addPresenceListener({ channel: 'a' }, ({ event, message }) => {
    same<typeof event, 'join' | 'leave' | 'timeout' | 'updateAttributes'>(true);
    same<typeof message.attributes, Record<string, string> | undefined>(true);
    const named: livelike.PresenceActionEvent = event;
    return named === livelike.PresenceActionEvent.ATTRIBUTES_UPDATE;
  });
  return users;
}

export async function roomTypes() {
  rooms.init({ endpoint: new URL('wss://example.com/ws'), userId: 'ada' });
  const { RoomPresenceRepository } = rooms;
  const started: Promise<void> = RoomPresenceRepository.startHeartbeat('room');
  const { count } = await RoomPresenceRepository.getRoomUserCount('room');
  const { data } = await RoomPresenceRepository.getRoomOnlineUsers('room');
  const roomPresence = new rooms.AmityRoomPresenceRepository({ roomId: 'room' });
  const same_: number = await roomPresence.getRoomUserCount();
  const users: rooms.RoomUser[] = await roomPresence.getRoomOnlineUsers();
  return [started, count.toFixed(), data[0]?.displayName, same_, users];
}

export function Component({ here }: { here: Client }) {
  const room: Channel = hooks.useChannel(here, 'room', { join: { mood: 'happy' }, level: 'auto' });
  // @ts-expect-error no such level
  hooks.useChannel(here, 'room', { level: 'all' });
  const members: readonly Member[] = hooks.useMembers(room);
  const count: number = hooks.useCount(room);
  const status: Status | null = hooks.useStatus(here, 'bob');
  const state: State = hooks.useConnection(here);
  hooks.useEvent(room, 'leave', (event) => same<typeof event, PresenceEvent>(true));
  hooks.useEvent(here, 'state', (state) => same<typeof state, State>(true));
  // @ts-expect-error no such event
  hooks.useEvent(here, 'leave', () => {});
  return [members, count, status, state, hooks.useLive(room), hooks.useJoined(room)];
}
`;
