/** Read by the compiler alone: what a page may say of its own types, and what is told when it is wrong. */

import { connect, HerenowError } from 'herenow';
import type {
  Attributes, AttributesOf, Channel, ChannelEvents, Client, ClientEvents, Emitter, ErrorCode, InfoOf, JoinOptions, Limits, SubscribeOptions,
  Member, Options, Patch, PresenceEvent, Reason, Shape, State, Status, User, Watcher, Welcome,
} from 'herenow';
import {
  useChannel, useConnection, useCount, useEvent, useHerenow, useMember, useMembers, useOthers, useSelf, useStatus, useStatuses,
} from 'herenow/react';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : never;
const same = <A, B>(is: Same<A, B>) => is;

// An interface has no index signature, and is taken all the same.
interface Mine { mood: string; typing?: boolean }
interface Info { name: string; avatar?: string }
interface Seat { row: number }
interface Ours { attributes: Mine; info: Info }

const options: Options = { token: async () => 'x' };

export async function onceForAll() {
  const here = connect<Ours>('wss://example.com/ws', options);
  const room = here.channel('room');
  same<typeof room, Channel<Mine, Info>>(true);
  same<typeof here, Client<Ours>>(true);

  await room.join({ mood: 'happy' });
  await room.join();
  await room.join({ mood: 'happy' }, { whenHidden: { typing: null } });
  await room.join(undefined, { whenHidden: 'away' });
  // @ts-expect-error a number is no mood
  await room.join({ mood: 1 });
  // @ts-expect-error a mood is missing
  await room.join({ typing: true });
  await room.setAttributes({ typing: true }, { ttl: 3_000 });
  await room.setAttributes({ typing: null });
  // @ts-expect-error a misspelt key
  await room.setAttributes({ typping: true });

  const [first] = room.members;
  same<typeof first.attributes, Mine>(true);
  same<typeof first.info, Info | undefined>(true);
  const mood: string = (await room.getAttributes('bob')).mood;
  const page = await room.getMembers({ limit: 10 });
  same<typeof page.members, Member<Mine, Info>[]>(true);
  room.on('updateAttributes', ({ attributes, before, info }) => {
    same<typeof attributes, Mine>(true);
    return [before?.attributes.mood, info?.name];
  });
  room.on('change', (same_) => same<typeof same_, Channel<Mine, Info>>(true));
  here.user('bob').watch(({ info }) => info?.avatar);
  return mood;
}

export async function forOneChannel() {
  const here = connect('wss://example.com/ws', options);
  const seats = here.channel<Seat>('seats');
  same<typeof seats, Channel<Seat, Attributes>>(true);
  await seats.join({ row: 1 });
  // @ts-expect-error rows are numbers
  await seats.setAttributes({ row: 'a' });
  const typed = connect<Ours>('wss://example.com/ws').channel<Seat>('seats');
  same<typeof typed, Channel<Seat, Info>>(true);

  // Without types, as before: any JSON.
  const room: Channel = here.channel('room');
  await room.join({ mood: 'happy', deep: { er: [1] } });
  const given: Mine = { mood: 'happy' };
  await room.join(given);
  await room.setAttributes(given);
  room.members.map(({ attributes }) => attributes.mood.length);
}

export function onlyAttributesOrOnlyInfo() {
  const a = connect<{ attributes: Mine }>('/').channel('room');
  same<typeof a, Channel<Mine, Attributes>>(true);
  const b = connect<{ info: Info }>('/').channel('room');
  same<typeof b, Channel<Attributes, Info>>(true);
  // @ts-expect-error attributes are an object
  connect<{ attributes: string }>('/');
}

export function whoTakesAny(client: Client, room: Channel) {
  return [client.me, room.count];
}

export function areTaken() {
  const here = connect<Ours>('/');
  whoTakesAny(here, here.channel('room'));
  whoTakesAny(here, here.channel<Seat>('room'));
}

export function codesAndReasons(room: Channel, error: HerenowError) {
  const code: ErrorCode = error.code;
  switch (error.code) {
    case 'presence_disabled': case 'superseded': break;
  }
  const known: 'rate_limited' extends ErrorCode ? true : false = true;
  // Open: a newer broker may say more.
  const newer: ErrorCode = 'a_new_code';
  const text: string = error.code;
  room.on('leave', ({ reason }) => {
    same<typeof reason, Reason | undefined>(true);
    return reason === 'kicked';
  });
  // @ts-expect-error but it is a text
  const wrong: ErrorCode = 1;
  return [code, known, newer, text, wrong, new HerenowError('closed', 'x')];
}

export function welcome(here: Client) {
  same<typeof here.welcome, Welcome | null>(true);
  const limits: Limits | undefined = here.welcome?.limits;
  const bytes: number | undefined = limits?.attributeBytes;
  const version: string | undefined = here.welcome?.server.version;
  // @ts-expect-error no such limit
  limits?.bytes;
  // @ts-expect-error null until the broker was reached
  here.welcome.user;
  return [bytes, version];
}

export function Hooks({ here }: { here: Client<Ours> }) {
  const room = useChannel(here, 'room', { join: { mood: 'happy' }, whenHidden: { typing: null } });
  same<typeof room, Channel<Mine, Info>>(true);
  // @ts-expect-error a number is no mood
  useChannel(here, 'room', { join: { mood: 1 } });
  const seats: Channel<Seat, Info> = useChannel(here, 'seats', { join: { row: 1 } });
  useChannel(here, 'room', { join: true });
  const members = useMembers(room);
  same<typeof members, readonly Member<Mine, Info>[]>(true);
  const status = useStatus(here, 'bob');
  same<typeof status, Status<Info> | null>(true);
  useEvent(room, 'join', (event) => same<typeof event, PresenceEvent<Mine, Info>>(true));
  useEvent(here, 'state', (state) => same<typeof state, State>(true));
  const count: number = useCount(seats);
  return <p>{members.map(({ user, attributes, info }) => info?.name ?? user + attributes.mood)}{count}{useConnection(here).phase}</p>;
}

export function Chosen({ here, room }: { here: Client<Ours> | null; room: Channel<Mine, Info> | null }) {
  const provided = useHerenow<Ours>();
  same<typeof provided, Client<Ours> | null>(true);
  const mine = useSelf(room);
  same<typeof mine, Member<Mine, Info> | null>(true);
  const bob = useMember(room, 'bob', (member) => member?.attributes.mood ?? '');
  same<typeof bob, string>(true);
  const names = useOthers(room, (others) => others.map(({ info }) => info?.name));
  same<typeof names, (string | undefined)[]>(true);
  const all = useStatuses(here, ['bob', 'cy']);
  same<typeof all, readonly (Status<Info> | null)[]>(true);
  const online = useStatus(here, null, (status) => status?.online ?? false);
  same<typeof online, boolean>(true);
  const perhaps = useChannel(here, 'room');
  same<typeof perhaps, Channel<Mine, Info> | null>(true);
  const none = useMembers(null);
  same<typeof none, readonly Member[]>(true);
  return null;
}

export function UntypedHooks({ here }: { here: Client }) {
  const room = useChannel(here, 'room', { join: { mood: 'happy' } });
  same<typeof room, Channel>(true);
  return <p>{useMembers(room).map(({ user, attributes }) => <i key={user}>{attributes.mood}</i>)}</p>;
}

/** Whatever has a name can be named. */
export interface Named {
  attributes: AttributesOf<Ours>; info: InfoOf<Ours>; shape: Shape; patch: Patch<Mine>; join: JoinOptions<Mine>;
  user: User<Info>; watcher: Watcher<Info>; channelEvents: ChannelEvents<Mine, Info>; clientEvents: ClientEvents;
  emitter: Emitter<ClientEvents>; subscribe: SubscribeOptions;
}

// With `declaration`, whatever a project exports has to have a name.
export const here = connect<Ours>('/');
export const room = here.channel('room');
export const bob = here.user('bob');
export const { on, off, join, setAttributes, getMembers, members } = room;
export const listen = here.on;
export const said = here.welcome;
