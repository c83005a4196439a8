/** What `npm pack` makes: its contents, and that it works for those who install it. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const client = fileURLToPath(new URL('..', import.meta.url));
const modules = join(client, 'node_modules');
/** A project that has installed the package, and React. */
let project;
/** The paths in the package. */
let packed;

before(async () => {
  project = await mkdtemp(join(tmpdir(), 'herenow-pack-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project], { cwd: client });
  const [{ filename, files }] = JSON.parse(stdout);
  packed = files.map(({ path }) => path).sort();
  await mkdir(join(project, 'node_modules/@types'), { recursive: true });
  await run('tar', ['-xzf', join(project, filename), '-C', project]);
  await symlink(join(project, 'package'), join(project, 'node_modules/herenow'));
  for (const name of ['react', '@types/react', 'csstype', 'ws']) await symlink(join(modules, name), join(project, 'node_modules', name));
  await writeFile(join(project, 'package.json'), '{"type":"module"}');
});
after(() => rm(project, { recursive: true, force: true }));

test('it has the sources, their types, a README and the licences, and nothing else', async () => {
  const sources = await readdir(join(client, 'src'));
  assert.deepEqual(packed, [
    'LICENSE-APACHE',
    'LICENSE-MIT',
    'README.md',
    'package.json',
    ...sources.map((name) => `src/${name}`),
    ...sources.map((name) => `types/${name.replace('.js', '.d.ts')}`),
  ].sort());
});

test('it depends on nothing', async () => {
  const { default: { dependencies, peerDependencies, peerDependenciesMeta } } = await import(
    join(project, 'package/package.json'), { with: { type: 'json' } }
  );
  assert.equal(dependencies, undefined);
  assert.deepEqual(Object.keys(peerDependencies), ['react']);
  assert.deepEqual(peerDependenciesMeta, { react: { optional: true } });
});

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
  await room.subscribe({ level: 'count' });
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
