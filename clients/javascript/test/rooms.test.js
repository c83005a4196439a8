import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, mock, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { AmityRoomPresenceRepository, close, init, RoomPresenceRepository } from '../src/rooms.js';
import { sleep, startBroker } from './broker.js';
import { examples, runExample, SECRET, token, until } from './facade-helpers.js';

let broker;
let client;
/** Somebody else, who looks on. */
let host;
let roomId;
let rooms = 0;
/** What the host is told. */
let heard;

before(async () => {
  broker = await startBroker({ flags: ['--max-requests-per-second', '10000', '--max-requests-burst', '10000'] });
});
after(() => broker.stop());

beforeEach(async () => {
  roomId = `room-${++rooms}`;
  client = init({ endpoint: broker.url, userId: 'ada', WebSocket });
  host = connect(broker.url, { user: 'host', WebSocket });
  heard = [];
  const room = host.channel(roomId);
  for (const event of ['join', 'leave', 'timeout']) room.on(event, ({ user }) => heard.push(`${event} ${user}`));
  await room.subscribe();
});
afterEach(() => {
  mock.restoreAll();
  close();
  host.close();
});

test('example: the heartbeat of a room (TypeScript)', async () => {
  const [heartbeat] = await examples('social-plus-heartbeat-sync.md');
  await runExample(heartbeat, {
    from: '@amityco/ts-sdk', to: 'herenow/rooms', setUp: `const roomId = ${JSON.stringify(roomId)};`,
  });
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ['join ada', 'leave ada']);
});

test('examples: room presence (Swift), call by call', async () => {
  const roomPresence = new AmityRoomPresenceRepository({ roomId });
  await roomPresence.startHeartbeat();
  assert.equal(await roomPresence.getRoomUserCount(), 1);

  const polled = [];
  const timer = setInterval(async () => polled.push(await roomPresence.getRoomUserCount()), 20);
  await until(() => polled.length > 1);
  clearInterval(timer);
  assert.deepEqual(new Set(polled), new Set([1]));

  const users = await roomPresence.getRoomOnlineUsers();
  assert.deepEqual(users, [{ userId: 'ada', displayName: 'ada', avatarCustomUrl: undefined, metadata: {} }]);
  roomPresence.stopHeartbeat();
  assert.equal(await roomPresence.getRoomUserCount(), 0);
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ['join ada', 'leave ada']);
});

test('the first heartbeat is sent at once, and presence lasts until it is stopped', async () => {
  await RoomPresenceRepository.startHeartbeat(roomId);
  await RoomPresenceRepository.startHeartbeat(roomId);
  assert.deepEqual(await RoomPresenceRepository.getRoomUserCount(roomId), { count: 1 });
  await RoomPresenceRepository.stopHeartbeat(roomId);
  assert.deepEqual(await RoomPresenceRepository.getRoomUserCount(roomId), { count: 0 });
  await RoomPresenceRepository.stopHeartbeat(roomId);
  assert.deepEqual(heard, ['join ada', 'leave ada']);
});

test('a heartbeat goes on for longer than the broker waits for one', async () => {
  const hasty = await startBroker({ flags: ['--presence-timeout', '1s', '--heartbeat-interval', '400ms'] });
  try {
    init({ endpoint: hasty.url, userId: 'ada', WebSocket });
    await RoomPresenceRepository.startHeartbeat(roomId);
    await sleep(2_500);
    assert.deepEqual(await RoomPresenceRepository.getRoomUserCount(roomId), { count: 1 });
  } finally {
    close();
    await hasty.stop();
  }
});

test('whoever closes is no longer present', async () => {
  await RoomPresenceRepository.startHeartbeat(roomId);
  close();
  await until(() => heard.includes('leave ada'));
});

test('whoever only looks is not counted', async () => {
  await host.channel(roomId).join();
  assert.deepEqual(await RoomPresenceRepository.getRoomUserCount(roomId), { count: 1 });
  const { data, cachedAt } = await RoomPresenceRepository.getRoomOnlineUsers(roomId);
  assert.deepEqual(data.map(({ userId }) => userId), ['host']);
  assert(Math.abs(cachedAt - Date.now()) < 1_000);
});

test('the list is capped at 200, those who came last; the count is not', async () => {
  const names = Array.from({ length: 240 }, (_, at) => `viewer-${at}`);
  for (const name of names) await fetch(`${broker.http}/v1/channels/${roomId}/members/${name}`, { method: 'PUT' });
  const { data } = await RoomPresenceRepository.getRoomOnlineUsers(roomId);
  assert.deepEqual(data.map(({ userId }) => userId), names.reverse().slice(0, 200));
  assert.deepEqual(await RoomPresenceRepository.getRoomUserCount(roomId), { count: 240 });
});

test('a user is as full as the token says', async () => {
  const strict = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
  try {
    const info = { name: 'Ada', avatar: 'https://example.com/ada.png', team: 'blue' };
    init({ endpoint: strict.url, accessToken: token({ sub: 'ada', info }), WebSocket });
    await RoomPresenceRepository.startHeartbeat(roomId);
    const { data } = await RoomPresenceRepository.getRoomOnlineUsers(roomId);
    assert.deepEqual(data, [{ userId: 'ada', displayName: 'Ada', avatarCustomUrl: info.avatar, metadata: info }]);
  } finally {
    close();
    await strict.stop();
  }
});

test('presence switched off is told as what it is, and without end of the process', async () => {
  const off = await startBroker({ flags: ['--disable-presence'] });
  try {
    const told = [];
    init({ endpoint: off.url, userId: 'ada', WebSocket }).on('error', ({ code }) => told.push(code));
    RoomPresenceRepository.startHeartbeat(roomId); // as callers of the SDK do: nobody catches
    await until(() => told.length === 1);
    assert.deepEqual(told, ['presence_disabled']);
    const disabled = { name: 'HerenowError', code: 'presence_disabled' };
    await assert.rejects(RoomPresenceRepository.startHeartbeat(roomId), disabled);
    await assert.rejects(RoomPresenceRepository.getRoomUserCount(roomId), disabled);
    await assert.rejects(RoomPresenceRepository.getRoomOnlineUsers(roomId), disabled);
  } finally {
    close();
    await off.stop();
  }
});

test('before init, and after close, every call rejects and says what is missing', async () => {
  close();
  const missing = { name: 'HerenowError', code: 'not_initialized', message: /init/ };
  for (const call of Object.values(RoomPresenceRepository)) await assert.rejects(call(roomId), missing);
  const roomPresence = new AmityRoomPresenceRepository({ roomId });
  await assert.rejects(roomPresence.startHeartbeat(), missing);
  await assert.rejects(roomPresence.getRoomUserCount(), missing);
});

test('what waits when the connection is closed rejects, and ends no process', async () => {
  const told = [];
  client.on('error', ({ code }) => told.push(code));
  const started = RoomPresenceRepository.startHeartbeat(roomId);
  close();
  await assert.rejects(started, { code: 'closed' });
  assert.deepEqual(told, []);
});
