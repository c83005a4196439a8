/** Appwrite's Realtime by its own library, unmodified: what is told to whom, and how lines end. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Channel, ID, Permission, Query, Role } from 'appwrite';
import { freePort, startBroker } from '../../clients/javascript/test/rig.js';
import { sleep, until } from '../../clients/javascript/test/broker.js';
import { app, bare, listen, plain, user } from './appwrite-host.mjs';
import { SECRET, token } from './token.mjs';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {typeof broker} */
let keyed;
const API_KEYS = '[[key]]\nname = "back"\nsecret = "a-secret-of-a-back-end"\nrights = ["kick"]\n';
const flags = ['--vendors', 'appwrite', '--max-requests-per-second', '100000', '--max-requests-burst', '100000', '--max-write-time', '60s'];
before(async () => {
  [broker, keyed] = await Promise.all([
    startBroker({ flags }),
    startBroker({ flags, env: { HERENOW_JWT_SECRET: SECRET, HERENOW_API_KEYS: API_KEYS } }),
  ]);
});
after(() => Promise.all([broker.stop(), keyed.stop()]));

const forAll = [Permission.read(Role.users())];

test('set, update, clear: each is told, as a GET shows it', async () => {
  const [ada, bob] = [app(broker, user('ada')), app(broker, user('bob'))];
  const heard = await listen(broker, bob);
  const { $id: presenceId } = await ada.presences.upsert({ presenceId: ID.unique(), status: 'online', permissions: forAll });
  await until('the upsert', () => heard.told.length === 1);
  await ada.presences.update({ presenceId, status: 'typing', metadata: { page: '/x' } });
  await until('the update', () => heard.told.length === 2);
  const last = plain(await bob.presences.get({ presenceId }));
  await ada.presences.delete({ presenceId });
  await until('the delete', () => heard.told.length === 3);
  assert.deepEqual(heard.lines(), ['upsert ada online', 'update ada typing', 'delete ada typing']);
  const [, update, gone] = heard.told;
  assert.deepEqual(update.payload, last);
  assert.deepEqual(gone.payload, last, 'the last full record');
  assert.deepEqual(gone.events, [`presences.${presenceId}.delete`, 'presences.*.delete', `presences.${presenceId}`, 'presences.*']);
  assert.deepEqual(gone.channels, ['presences', `presences.${presenceId}`, 'presences.delete', `presences.${presenceId}.delete`]);
  assert.match(gone.timestamp, /^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/);
  assert.equal(gone.subscriptions.length, 1);
  await heard.stop();
});

test("a socket's presence is told, and ends with it: one delete", async () => {
  const [ada, bob] = [app(broker, user('ada')), app(broker, user('bob'))];
  const heard = await listen(broker, bob);
  await ada.realtime.upsertPresence({ presenceId: 'ws-1', status: 'online', permissions: forAll, metadata: { a: 1 } });
  await until('the upsert', () => heard.told.length === 1);
  const { payload } = heard.told[0];
  assert.deepEqual([payload.$id, payload.source, payload.metadata], ['ws-1', 'realtime', { a: 1 }]);
  const lasts = Date.parse(payload.expiresAt) - Date.now();
  assert.ok(lasts > 29.9 * 86_400_000 && lasts < 30.1 * 86_400_000);
  // A change by request leaves it with the socket.
  await ada.presences.update({ presenceId: 'ws-1', status: 'busy' });
  await until('the update', () => heard.told.length === 2);
  assert.equal(heard.told[1].payload.source, 'realtime');
  await ada.realtime.disconnect();
  await until('the delete', () => heard.told.length === 3);
  await assert.rejects(bob.presences.get({ presenceId: 'ws-1' }), { code: 404 });

  // Deleted before: no second event.
  const carol = app(broker, user('carol'));
  await carol.realtime.upsertPresence({ presenceId: 'ws-2', status: 'online', permissions: forAll });
  await until('the upsert', () => heard.told.length === 4);
  await carol.presences.delete({ presenceId: 'ws-2' });
  await until('the delete', () => heard.told.length === 5);
  await carol.realtime.disconnect();
  // Written anew by request meanwhile: it outlives the socket.
  const dan = app(broker, user('dan'));
  await dan.realtime.upsertPresence({ presenceId: 'ws-3', status: 'online', permissions: forAll });
  await until('the upsert', () => heard.told.length === 6);
  const kept = await dan.presences.upsert({ presenceId: 'ws-3', status: 'kept', permissions: forAll });
  assert.equal(kept.source, 'rest');
  await dan.realtime.disconnect();
  await sleep(300);
  assert.equal((await bob.presences.get({ presenceId: 'ws-3' })).status, 'kept');
  assert.deepEqual(heard.lines(), [
    'upsert ada online', 'update ada busy', 'delete ada busy',
    'upsert carol online', 'delete carol online', 'upsert dan online', 'upsert dan kept',
  ]);
  await heard.stop();
});

test('an end by itself is told as a delete', async () => {
  const [ada, bob] = [app(broker, user('ada')), app(broker, user('bob'))];
  const heard = await listen(broker, bob);
  const expiresAt = new Date(Date.now() + 800).toISOString();
  await ada.presences.upsert({ presenceId: ID.unique(), status: 'brief', permissions: forAll, expiresAt });
  await until('the delete', () => heard.told.length === 2);
  assert.deepEqual(heard.lines(), ['upsert ada brief', 'delete ada brief']);
  await heard.stop();
});

test('what goes out of sight is told as it was last seen, what comes in as new', async () => {
  const [ada, bobName] = [app(broker, user('ada')), user('bob')];
  const [bob, eve, guest] = [app(broker, bobName), app(broker, user('eve')), app(broker, undefined)];
  const all = [await listen(broker, bob), await listen(broker, eve), await listen(broker, guest)];
  const write = async (/** @type {string} */ status, /** @type {string[]} */ permissions) => {
    await ada.presences.upsert({ presenceId: 'sight-1', status, permissions });
    // Each is a tick of its own.
    await sleep(50);
  };
  await write('one', forAll);
  await write('two', [Permission.read(Role.user(bobName))]);
  await write('three', [Permission.read(Role.any())]);
  await write('four', []);
  await ada.presences.delete({ presenceId: 'sight-1' });
  const expected = [
    ['upsert ada one', 'upsert ada two', 'upsert ada three', 'delete ada three'],
    ['upsert ada one', 'delete ada one', 'upsert ada three', 'delete ada three'],
    ['upsert ada three', 'delete ada three'],
  ];
  for (const [n, heard] of all.entries()) {
    await until('all was told', () => heard.told.length >= (expected[n]?.length ?? 0));
    assert.deepEqual(heard.lines(), expected[n]);
    await heard.stop();
  }
});

test('channels, queries, and several subscriptions on one socket', async () => {
  const [ada, bob] = [app(broker, user('ada')), app(broker, user('bob'))];
  const heard = await listen(broker, bob, [Channel.presences(), Channel.account()], [Query.equal('status', ['typing'])]);
  /** @type {Record<string, string[]>} */
  const told = { one: [], deletes: [], elsewhere: [], ended: [] };
  const note = (/** @type {string} */ name) => (/** @type {any} */ { events }) => told[name]?.push(events[0].split('.').at(-1));
  await bob.realtime.subscribe(Channel.presence('chan-1'), note('one'));
  const deletes = await bob.realtime.subscribe(Channel.presence('other').delete(), note('deletes'));
  await deletes.update({ channels: [Channel.presence('chan-1').delete()] });
  await bob.realtime.subscribe(Channel.account(), note('elsewhere'));
  const ended = await bob.realtime.subscribe(Channel.presences(), note('ended'));
  await ended.unsubscribe();
  await sleep(300);
  for (const status of ['online', 'typing']) {
    await ada.presences.upsert({ presenceId: 'chan-1', status, permissions: forAll });
    await sleep(50);
  }
  await ada.presences.delete({ presenceId: 'chan-1' });
  await until('all was told', () => told.deletes?.length === 1);
  assert.deepEqual(told, { one: ['upsert', 'upsert', 'delete'], deletes: ['delete'], elsewhere: [], ended: [] });
  assert.deepEqual(heard.lines(), ['upsert ada typing', 'delete ada typing'], 'queries hold for a delete too');
  const typing = heard.told[0];
  assert.equal(typing.subscriptions.length, 2, 'one event a socket, with all that match');
  await heard.stop();
});

test('answers come in the order of what was asked, without waiting', async () => {
  const line = await bare(broker);
  assert.deepEqual(line.frames, [{ type: 'connected', data: { channels: [], subscriptions: [], user: null } }]);
  const name = user('ada');
  line.send({ type: 'authentication', data: { session: name } });
  line.send({ type: 'subscribe', data: [{ subscriptionId: 'a', channels: ['presences'], queries: [] }] });
  line.send({ type: 'presence', data: { status: 'x', presenceId: 'order-1', permissions: ['read("any")'] } });
  line.send({ type: 'ping' });
  line.send({ type: 'unsubscribe', data: [{ subscriptionId: 'a' }, { subscriptionId: 'b' }] });
  await line.came(6);
  const [, auth, sub, ...rest] = line.frames;
  assert.deepEqual(auth, { type: 'response', data: { to: 'authentication', success: true, user: { $id: name, name } } });
  assert.deepEqual(sub.data, { to: 'subscribe', success: true, subscriptions: [{ subscriptionId: 'a', channels: ['presences'], queries: [] }] });
  const answers = rest.filter(({ type }) => type !== 'event');
  assert.deepEqual(answers.map(({ type, data }) => data?.to ?? type), ['presence', 'pong', 'unsubscribe']);
  assert.equal(answers[0].data.presence.userId, name);
  assert.deepEqual(answers[2].data.subscriptions, [{ subscriptionId: 'a', removed: true }, { subscriptionId: 'b', removed: false }]);
  line.socket.close();
});

test('a bad frame is an error, and the line stays', async () => {
  const line = await bare(broker);
  const query = '{"method":"limit","values":[5]}';
  const bad = [
    'nonsense', '{}', '{"type":"drop","data":{}}', '{"type":"authentication","data":{}}',
    { type: 'subscribe', data: {} }, { type: 'subscribe', data: [{ subscriptionId: '', channels: ['presences'] }] },
    { type: 'subscribe', data: [{ subscriptionId: 'a', channels: ['presences'], queries: [query] }] },
    { type: 'presence', data: [] },
  ];
  bad.forEach(line.send);
  line.send({ type: 'presence', data: { status: 'x', presenceId: 'guest-1' } });
  line.send({ type: 'authentication', data: { session: user('ada') } });
  line.send({ type: 'presence', data: { status: '', presenceId: 'bad-1' } });
  line.send({ type: 'presence', data: { status: 'x', presenceId: 'bad-1', userId: 'eve' } });
  line.send({ type: 'ping' });
  await line.came(bad.length + 6);
  const codes = line.frames.slice(1).map(({ type, data }) => (type === 'error' ? data.code : type));
  assert.deepEqual(codes, [...bad.map(() => 1003), 401, 'response', 400, 401, 'pong']);
  line.socket.close();
});

test('a bad credential ends the line with 1008, and the library stays away', async () => {
  const line = await bare(keyed);
  line.send({ type: 'authentication', data: { session: 'nonsense' } });
  assert.equal(await line.closed, 1008);
  assert.deepEqual([line.frames.at(-1).type, line.frames.at(-1).data.code], ['error', 1008]);
  const jwt = await bare(keyed, 'project=shop&jwt=nonsense');
  assert.equal(await jwt.closed, 1008);
  assert.deepEqual(jwt.frames.map(({ data }) => data.code), [1008]);

  const { realtime } = app(keyed, token({ sub: 'ada', exp: 1 }));
  let [opened, closed] = [0, 0];
  realtime.onOpen(() => { opened += 1; });
  realtime.onClose(() => { closed += 1; });
  await realtime.subscribe(Channel.presences(), () => {});
  await until('it is closed', () => closed === 1);
  await sleep(1_500);
  assert.deepEqual([opened, closed], [1, 1]);
  await realtime.disconnect();
});

test('a credential that is over ends the line with 1008', async () => {
  const exp = Math.floor(Date.now() / 1000) + 2;
  const line = await bare(keyed, `project=shop&jwt=${token({ sub: 'ada', exp })}`);
  assert.deepEqual(line.frames[0].data.user, { $id: 'ada', name: 'ada' });
  assert.equal(await line.closed, 1008);
  assert.equal(line.frames.at(-1).data.code, 1008);
});

test('with keys: roles and rights are those of the token; without one nothing is told', async () => {
  const team = [Permission.read(Role.team('blue'))];
  const lines = await Promise.all([
    bare(keyed, 'project=shop', { cookie: `a_session_shop=${token({ sub: 'bob', roles: ['team:blue'], info: { name: 'Bob' } })}` }),
    bare(keyed, `project=shop&jwt=${token({ sub: 'eve' })}`),
    bare(keyed),
    bare(keyed, `project=shop&jwt=${token({ sub: 'fay', roles: ['team:blue'], channels: { $presences: ['list'] } })}`),
  ]);
  assert.deepEqual(lines[0]?.frames[0].data.user, { $id: 'bob', name: 'Bob' });
  lines.forEach((line) => line.send({ type: 'subscribe', data: [{ subscriptionId: 'a', channels: ['presences'] }] }));
  await Promise.all(lines.map((line) => line.came(2)));
  assert.equal(lines[3]?.frames[1].data.code, 401, 'it may not subscribe');
  const { presences } = app(keyed, token({ sub: 'ada', roles: [] }));
  await presences.upsert({ presenceId: 'team-1', status: 'x', permissions: team });
  await lines[0]?.came(3);
  await presences.upsert({ presenceId: 'team-1', status: 'y', permissions: forAll });
  await lines[1]?.came(3);
  await sleep(200);
  assert.deepEqual(lines.map(({ frames }) => frames.slice(2).map(({ data }) => data.payload.status)), [['x', 'y'], ['y'], [], []]);
  lines.forEach(({ socket }) => socket.close());
});

test("signing out ends what was written on the session's sockets, and leaves the rest", async () => {
  const [name, other] = [user('ada'), user('bob')];
  const line = await bare(broker);
  line.send({ type: 'authentication', data: { session: name } });
  line.send({ type: 'presence', data: { status: 'x', presenceId: 'out-1', permissions: ['read("any")'] } });
  await line.came(3);
  const stays = app(broker, other);
  await stays.presences.upsert({ presenceId: 'out-2', status: 'x', permissions: forAll });
  await app(broker, name).account.deleteSession({ sessionId: 'current' });
  assert.equal(await line.closed, 1008);
  await until('the record is gone', () => stays.presences.get({ presenceId: 'out-1' }).then(() => false, () => true));
  await stays.account.deleteSession({ sessionId: 'current' });
  assert.equal((await stays.presences.get({ presenceId: 'out-2' })).status, 'x', 'a presence outlives its session');
});

test('two tabs of one user keep one record, and the last of them ends it', async () => {
  const [name, bob] = [user('ada'), app(broker, user('bob'))];
  const tabs = [app(broker, name), app(broker, name)];
  const heard = await listen(broker, bob);
  for (const [n, tab] of tabs.entries()) {
    await tab.realtime.upsertPresence({ presenceId: `tab-${n}`, status: `tab ${n}`, permissions: forAll });
    await until('it is told', () => heard.told.length === n + 1);
  }
  assert.deepEqual(heard.told.map(({ payload }) => payload.$id), ['tab-0', 'tab-0']);
  await tabs[0]?.realtime.disconnect();
  await sleep(300);
  assert.equal(heard.told.length, 2);
  await tabs[1]?.realtime.disconnect();
  await until('the delete', () => heard.told.length === 3);
  assert.deepEqual(heard.lines(), ['upsert ada tab 0', 'upsert ada tab 1', 'delete ada tab 1']);
  await heard.stop();
});

test('whom a back end signs out is gone, and its line is closed with 1008', async () => {
  const line = await bare(keyed, `project=shop&jwt=${token({ sub: 'kit', iat: 1_700_000_000 })}`);
  line.send({ type: 'presence', data: { status: 'x', presenceId: 'kick-1', permissions: ['read("any")'] } });
  await line.came(2);
  const kick = await fetch(`${keyed.http}/v1/users/kit/connections`, {
    method: 'DELETE', headers: { authorization: 'Bearer a-secret-of-a-back-end' },
  });
  assert.equal(kick.status, 200);
  assert.equal(await line.closed, 1008);
  const { presences } = app(keyed, token({ sub: 'ada' }));
  await until('the record is gone', () => presences.get({ presenceId: 'kick-1' }).then(() => false, ({ code }) => code === 404));
});

test("the client's older subscribe is told the same, and stays away after 1008", async () => {
  const [ada, { client }] = [app(broker, user('ada')), app(broker, user('bob'))];
  /** @type {string[]} */
  const told = [];
  const stop = client.subscribe('presences', ({ events }) => told.push(events[0]?.split('.').at(-1) ?? ''));
  const { presenceId } = { presenceId: 'older-1' };
  await until('it is told', async () => {
    await ada.presences.upsert({ presenceId, status: String(told.length), permissions: forAll });
    return told.length > 0;
  });
  stop();

  let opened = 0;
  const Socket = globalThis.WebSocket;
  globalThis.WebSocket = class extends Socket {
    /** @param {string} url */
    constructor(url) {
      super(url);
      opened += 1;
    }
  };
  const complain = console.error;
  console.error = () => {};
  try {
    app(keyed, 'nonsense').client.subscribe('presences', () => {});
    await until('it is opened', () => opened === 1);
    await sleep(2_000);
    assert.equal(opened, 1);
  } finally {
    globalThis.WebSocket = Socket;
    console.error = complain;
  }
});

test('a lost line comes back, subscribed and present as before', async () => {
  const second = await startBroker({ port: await freePort(), flags });
  const ada = app(second, user('ada'));
  const heard = await listen(second, ada);
  await ada.realtime.upsertPresence({ presenceId: 'back-1', status: 'online', permissions: forAll });
  await until('the upsert', () => heard.told.length === 1);
  await second.stop();
  const third = await startBroker({ flags, port: second.port });
  await until('it is told anew', () => heard.told.length === 2);
  assert.equal(heard.told[1].payload.source, 'realtime');
  await heard.stop();
  await third.stop();
});

test('who reads too slowly is told to come back, and slows nobody', async () => {
  const line = await bare(broker);
  line.send({ type: 'subscribe', data: [{ subscriptionId: 'a', channels: ['presences'] }] });
  await line.came(2);
  line.socket.pause();
  const ada = app(broker, user('ada'));
  const heard = await listen(broker, app(broker, user('bob')));
  for (let n = 0; n < 1_500; n += 1) {
    const metadata = { n, text: 'x'.repeat(4_000) };
    await ada.presences.upsert({ presenceId: 'flood-1', status: 'x', metadata, permissions: [Permission.read(Role.any())] });
  }
  await until('who reads has all', () => heard.told.at(-1)?.payload.metadata.n === 1_499);
  line.socket.resume();
  assert.equal(await line.closed, 1013);
  await heard.stop();
});

test('presence switched off is an error on the line', async () => {
  const off = await startBroker({ flags: [...flags, '--disable-presence'] });
  const line = await bare(off);
  line.send({ type: 'subscribe', data: [{ subscriptionId: 'a', channels: ['presences'] }] });
  line.send({ type: 'authentication', data: { session: 'ada' } });
  line.send({ type: 'presence', data: { status: 'x', presenceId: 'off-1' } });
  await line.came(4);
  assert.deepEqual(line.frames.slice(1).map(({ data }) => data.code ?? data.to), [403, 'authentication', 403]);
  line.socket.close();
  await off.stop();
});
