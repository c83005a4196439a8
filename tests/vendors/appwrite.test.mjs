/** Appwrite's own libraries, unmodified, over HTTP: every call of their document, and every refusal. */

import strict from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Account, AppwriteException, Client, ID, Permission, Presences, Query, Role } from 'appwrite';
import * as server from 'node-appwrite';
import { startBroker } from '../../clients/javascript/test/rig.js';
import { client as ours, tellings, until } from '../../clients/javascript/test/broker.js';
import { SECRET, token } from './token.mjs';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {typeof broker} */
let keyed;
const API_KEYS = `
[[key]]
name = "back"
secret = "a-secret-of-a-back-end"
rights = ["read", "write"]
`;
before(async () => {
  [broker, keyed] = await Promise.all([
    startBroker({ flags: ['--vendors', 'appwrite', '--max-requests-burst', '5000', '--max-lease', '1s'] }),
    startBroker({
      flags: ['--vendors', 'appwrite', '--max-requests-burst', '5000'],
      env: { HERENOW_JWT_SECRET: SECRET, HERENOW_API_KEYS: API_KEYS },
    }),
  ]);
});
after(() => Promise.all([broker.stop(), keyed.stop()]));

const endpoint = (/** @type {{http: string}} */ { http }) => `${http}/appwrite/v1`;

/** The library makes objects without a prototype. @param {unknown} value */
const plain = (value) => JSON.parse(JSON.stringify(value));
/** @type {typeof strict} */
const assert = Object.assign(strict.ok.bind(null), strict, {
  deepEqual: (/** @type {unknown} */ actual, /** @type {unknown} */ expected, /** @type {string | undefined} */ message) => (
    strict.deepEqual(plain(actual), expected, message)
  ),
});

/** @param {string | undefined} session @param {typeof broker} [at] */
function app(session, at = broker) {
  const client = new Client().setEndpoint(endpoint(at)).setProject('shop');
  if (session !== undefined) client.setSession(session);
  return { client, presences: new Presences(client), account: new Account(client) };
}

/** @param {string} key @param {typeof broker} [at] */
function backEnd(key, at = broker) {
  const client = new server.Client().setEndpoint(endpoint(at)).setProject('shop').setKey(key);
  return new server.Presences(client);
}

/** @param {Promise<unknown>} call @param {number} code @param {string} type @param {RegExp} [message] */
async function refused(call, code, type, message = /./) {
  const error = await call.then(() => assert.fail('it was not refused'), (error) => error);
  assert.deepEqual({ code: error.code, type: error.type }, { code, type }, error.message);
  assert.match(error.message, message);
  assert.equal(error.constructor.name, 'AppwriteException');
  const body = JSON.parse(error.response);
  assert.deepEqual(Object.keys(body), ['message', 'code', 'type', 'version']);
  return error;
}

const forAll = [Permission.read(Role.users())];
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/;
const user = (() => {
  let n = 0;
  return (/** @type {string} */ name) => `${name}-${(n += 1)}`;
})();

test("the document's calls: set, update, show, clear", async () => {
  const name = user('ada');
  const { presences, account, client } = app(name);
  const asked = Date.now();
  const presence = await presences.upsert({
    presenceId: ID.unique(), status: 'online', metadata: { page: '/dashboard' }, permissions: forAll,
  });
  assert.deepEqual(Object.keys(presence), [
    '$id', '$createdAt', '$updatedAt', '$permissions', 'userId', 'status', 'source', 'expiresAt', 'metadata',
  ]);
  assert.match(presence.$createdAt, TIME);
  assert.equal(presence.$createdAt, presence.$updatedAt);
  assert.deepEqual(
    { ...presence, $id: '', $createdAt: '', $updatedAt: '', expiresAt: '' },
    {
      $id: '', $createdAt: '', $updatedAt: '', $permissions: ['read("users")'], userId: name,
      status: 'online', source: 'rest', expiresAt: '', metadata: { page: '/dashboard' },
    },
  );
  const lasts = Date.parse(presence.expiresAt ?? '') - asked;
  assert.ok(Math.abs(lasts - 15 * 60_000) < 10_000, `15 minutes, and not ${lasts} ms`);

  const presenceId = presence.$id;
  const away = await presences.upsert({ presenceId, status: 'away', permissions: forAll });
  assert.deepEqual([away.$id, away.status, away.metadata], [presenceId, 'away', {}]);
  assert.equal(away.$createdAt, presence.$createdAt);
  assert.ok(away.$updatedAt > presence.$updatedAt);

  const typing = plain(await presences.update({ presenceId, status: 'typing', metadata: { in: 'room' }, purge: true }));
  assert.deepEqual([typing.status, typing.metadata, typing.$permissions], ['typing', { in: 'room' }, forAll]);
  assert.equal(typing.expiresAt, away.expiresAt, 'the end stays');

  assert.deepEqual(await presences.get({ presenceId }), typing);
  const seen = await app(user('bob')).presences.list();
  assert.deepEqual(seen.presences.find(({ userId }) => userId === name), typing);
  assert.equal(seen.total, seen.presences.length);

  assert.deepEqual(await presences.delete({ presenceId }), { message: '' });
  assert.deepEqual(await account.deleteSession({ sessionId: 'current' }), { message: '' });
  await refused(presences.get({ presenceId }), 404, 'presence_not_found');
  assert.deepEqual(await client.ping(), { message: 'Pong!' });
});

test('one record a user, also when six first upserts come at once', async () => {
  const { presences } = app(user('ada'));
  const all = await Promise.all(Array.from({ length: 6 }, () => presences.upsert({
    presenceId: ID.unique(), status: 'online',
  })));
  assert.equal(new Set(all.map(({ $id }) => $id)).size, 1);
  assert.deepEqual(all[0]?.$permissions, ['read', 'update', 'delete'].map((action) => `${action}("user:${all[0]?.userId}")`));
  const { total } = await presences.list({ queries: [Query.equal('userId', all[0]?.userId ?? '')] });
  assert.equal(total, 1);
  const fresh = await app(user('ada')).presences.upsert({ presenceId: 'unique()', status: 'x' });
  assert.match(fresh.$id, /^[0-9a-f]{20}$/);
});

test("another user's id is refused, and nothing is overwritten", async () => {
  const [one, two] = [app(user('ada')), app(user('bob'))];
  const mine = plain(await one.presences.upsert({ presenceId: 'taken-1', status: 'mine' }));
  await refused(two.presences.upsert({ presenceId: 'taken-1', status: 'x' }), 409, 'presence_already_exists');
  assert.deepEqual(await one.presences.get({ presenceId: 'taken-1' }), mine);
  await one.presences.delete({ presenceId: 'taken-1' });
  assert.equal((await two.presences.upsert({ presenceId: 'taken-1', status: 'x' })).$id, 'taken-1');
});

test('who may see what, change what, and what hidden is: absent, byte for byte', async () => {
  const [owner, other] = [user('ada'), user('bob')];
  const [ada, bob, guest] = [app(owner), app(other), app(undefined)];
  const id = 'scoped-1';
  const write = (/** @type {string[]} */ permissions) => ada.presences.upsert({ presenceId: id, status: 'x', permissions });
  const bytes = async (/** @type {string} */ path, session = other) => {
    const answer = await fetch(`${endpoint(broker)}/${path}`, { headers: session ? { 'x-appwrite-session': session } : {} });
    return [answer.status, answer.headers.get('content-type'), await answer.text()];
  };
  for (const { permissions, toBob, toGuest } of [
    { permissions: [Permission.read(Role.any())], toBob: true, toGuest: true },
    { permissions: forAll, toBob: true, toGuest: false },
    { permissions: [Permission.read(Role.guests())], toBob: false, toGuest: true },
    { permissions: [Permission.read(Role.user(other))], toBob: true, toGuest: false },
    { permissions: [Permission.read(Role.team('blue')), Permission.update(Role.any())], toBob: false, toGuest: false },
    { permissions: [], toBob: false, toGuest: false },
  ]) {
    const { $permissions } = await write(permissions);
    assert.deepEqual($permissions, permissions);
    for (const [who, sees, session] of /** @type {const} */ ([[bob, toBob, other], [guest, toGuest, '']])) {
      const label = `${permissions} to ${session || 'a guest'}`;
      const { presences, total } = await who.presences.list({ queries: [Query.equal('$id', id)] });
      assert.deepEqual([presences.length, total], sees ? [1, 1] : [0, 0], label);
      assert.equal((await who.presences.list({ queries: [Query.equal('$id', id)], total: false })).total, 0);
      const after = `presences?queries[0]=${encodeURIComponent(Query.cursorAfter(id))}`;
      const never = `presences?queries[0]=${encodeURIComponent(Query.cursorAfter('never-1'))}`;
      if (sees) {
        assert.equal((await who.presences.get({ presenceId: id })).$id, id, label);
      } else {
        assert.deepEqual(await bytes(`presences/${id}`, session), await bytes('presences/never-1', session), label);
        assert.deepEqual(await bytes(after, session), await bytes(never, session), label);
        await refused(who.presences.list({ queries: [Query.cursorAfter(id)] }), 400, 'general_cursor_not_found');
      }
    }
    const code = toBob ? /** @type {const} */ ([401, 'user_unauthorized']) : /** @type {const} */ ([404, 'presence_not_found']);
    await refused(bob.presences.update({ presenceId: id, status: 'y' }), ...code);
    await refused(bob.presences.delete({ presenceId: id }), ...code);
    assert.equal((await ada.presences.get({ presenceId: id })).status, 'x', 'the owner always may');
  }
  await refused(guest.presences.upsert({ presenceId: id, status: 'x' }), 401, 'general_unauthorized_scope');
  await refused(guest.presences.delete({ presenceId: id }), 401, 'general_unauthorized_scope');
});

test('queries', async () => {
  const mark = user('q');
  for (let n = 0; n < 5; n += 1) {
    await app(`${mark}-${n}`).presences.upsert({
      presenceId: `${mark}-${n}`, status: n % 2 ? 'typing' : 'online', permissions: forAll,
    });
  }
  const { presences } = app(user('eve'));
  const only = Query.startsWith('userId', `${mark}-`);
  const ids = async (/** @type {string[]} */ ...queries) => (
    (await presences.list({ queries: [only, ...queries] })).presences.map(({ $id }) => $id.slice(-1)).join('')
  );
  assert.equal(await ids(), '01234');
  assert.equal(await ids(Query.equal('status', ['online', 'away'])), '024');
  assert.equal(await ids(Query.notEqual('status', 'online')), '13');
  assert.equal(await ids(Query.limit(2), Query.offset(1)), '12');
  assert.equal(await ids(Query.orderDesc('$updatedAt'), Query.limit(2)), '43');
  assert.equal(await ids(Query.orderAsc('status'), Query.orderDesc('userId')), '42031');
  assert.equal(await ids(Query.cursorAfter(`${mark}-1`), Query.limit(2)), '23');
  assert.equal(await ids(Query.cursorBefore(`${mark}-3`), Query.limit(2)), '12');
  assert.equal(await ids(Query.isNull('status')), '');
  assert.equal(await ids(Query.isNotNull('status')), '01234');
  assert.equal(await ids(Query.greaterThan('expiresAt', new Date().toISOString())), '01234');
  assert.equal(await ids(Query.lessThanEqual('$createdAt', '2020-01-01T00:00:00.000Z')), '');
  assert.equal(await ids(Query.or([Query.equal('status', 'typing'), Query.equal('$id', `${mark}-0`)])), '013');
  assert.equal(await ids(Query.equal('source', 'realtime')), '');
  const some = await presences.list({ queries: [only, Query.select(['$id', 'status']), Query.limit(1)] });
  assert.deepEqual(some, { total: 5, presences: [{ $id: `${mark}-0`, status: 'online' }] });
  const cached = await presences.list({ queries: [only], total: false, ttl: 3 });
  assert.deepEqual([cached.total, cached.presences.length], [0, 5]);
  for (const bad of [
    'nonsense', Query.equal('metadata', 'x'), Query.limit(0), Query.limit(5001), Query.equal('status', []),
    Query.lessThan('$createdAt', 'soon'), '{"method":"drop","attribute":"status"}',
  ]) {
    await refused(presences.list({ queries: [bad] }), 400, 'general_query_invalid');
  }
  await refused(presences.list({ queries: [Query.cursorAfter('none')] }), 400, 'general_cursor_not_found');
  await refused(presences.list({ ttl: 86_401 }), 400, 'general_argument_invalid', /ttl/);
});

test('what breaks a rule is refused, and nothing is half applied', async () => {
  const { presences } = app(user('ada'));
  const id = user('rules');
  const good = plain(await presences.upsert({
    presenceId: id, status: 'good', metadata: { a: 1 }, permissions: forAll,
  }));
  const day = 24 * 60 * 60_000;
  const at = (/** @type {number} */ ms) => new Date(Date.now() + ms).toISOString();
  for (const [field, value] of /** @type {[string, any][]} */ ([
    ['status', ''], ['status', 'x'.repeat(257)], ['status', 7], ['metadata', 'x'], ['metadata', []],
    ['metadata', { text: 'x'.repeat(4096) }], ['permissions', ['read("everyone")']], ['permissions', 'read("any")'],
    ['permissions', ['peek("any")']], ['permissions', Array(33).fill(0).map((_, n) => Permission.read(Role.label(`l${n}`)))],
    ['expiresAt', 'soon'], ['expiresAt', at(-1)], ['expiresAt', at(30 * day + 60_000)],
  ])) {
    const fields = { presenceId: id, status: 'bad', metadata: { b: 2 }, [field]: value };
    await refused(presences.upsert(fields), 400, 'general_argument_invalid', new RegExp(field));
    await refused(presences.update(fields), 400, 'general_argument_invalid', new RegExp(field));
  }
  assert.deepEqual(await presences.get({ presenceId: id }), good);
  const most = { text: 'x'.repeat(4096 - '{"text":""}'.length) };
  const long = 'x'.repeat(256);
  const large = await presences.upsert({ presenceId: id, status: long, metadata: most, expiresAt: at(30 * day - 60_000) });
  assert.deepEqual([large.metadata, large.status], [most, long], 'as much as may be');
  for (const bad of ['_a', '.a', 'a b', 'x'.repeat(37)]) {
    await refused(presences.upsert({ presenceId: bad, status: 'x' }), 400, 'general_argument_invalid', /presenceId/);
    await refused(presences.get({ presenceId: bad }), 400, 'general_argument_invalid', /presenceId/);
  }
  await refused(presences.update({ presenceId: 'never-2', status: 'x' }), 404, 'presence_not_found');
  await refused(presences.delete({ presenceId: 'never-2' }), 404, 'presence_not_found');
  await refused(app(user('ada')).account.get(), 404, 'general_route_not_found');
});

test('a record ends when it says', async () => {
  const { presences } = app(user('ada'));
  const expiresAt = new Date(Date.now() + 1_500).toISOString();
  const { $id } = await presences.upsert({ presenceId: ID.unique(), status: 'x', expiresAt });
  // Neither a change nor its life before keeps it longer.
  await presences.update({ presenceId: $id, status: 'y' });
  await until('it is gone', () => presences.get({ presenceId: $id }).then(() => false, ({ code }) => code === 404));
  assert.ok(Date.now() >= Date.parse(expiresAt) - 100);
});

test('a back end, by a key, for any user', async () => {
  const key = backEnd('whatever');
  const name = user('ada');
  const made = await key.upsert({ presenceId: server.ID.unique(), userId: name, status: 'online' });
  assert.equal(made.userId, name);
  const changed = await key.update({ presenceId: made.$id, userId: name, status: 'busy' });
  assert.equal(changed.status, 'busy');
  assert.equal((await key.get({ presenceId: made.$id })).status, 'busy', 'a key sees all');
  assert.equal((await key.list({ queries: [server.Query.equal('userId', name)] })).total, 1);
  await refused(app(user('bob')).presences.get({ presenceId: made.$id }), 404, 'presence_not_found');
  await key.delete({ presenceId: made.$id });
  const bare = await fetch(`${endpoint(broker)}/presences/none-1`, {
    method: 'PUT', headers: { 'x-appwrite-key': 'whatever' }, body: '{"status":"x"}',
  });
  assert.deepEqual([bare.status, (await bare.json()).type], [400, 'general_argument_invalid'], 'a key without userId');
  const { client } = app(user('bob'));
  const forged = client.call('PUT', new URL(`${endpoint(broker)}/presences/forged`), { 'content-type': 'application/json' }, { status: 'x', userId: name });
  await refused(forged, 401, 'general_unauthorized_scope', /userId/);
});

test('our own clients read the records, and nobody joins them', async () => {
  const [seen, hidden] = [user('ada'), user('bob')];
  await app(seen).presences.upsert({ presenceId: user('p'), status: 'online', metadata: { page: 1 }, permissions: forAll });
  await app(hidden).presences.upsert({ presenceId: user('p'), status: 'online' });
  const channel = `${broker.http}/v1/channels/$presences/members`;
  const { members } = await (await fetch(channel)).json();
  const one = members.find((/** @type {{user: string}} */ member) => member.user === seen);
  assert.deepEqual([one.attributes.status, one.attributes.metadata], ['online', { page: 1 }]);
  assert.ok(!members.some((/** @type {{user: string}} */ member) => member.user === hidden));
  const put = await fetch(`${channel}/eve`, {
    method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{}',
  });
  assert.deepEqual([put.status, (await put.json()).code], [403, 'forbidden']);

  const here = ours(broker.url, { user: 'eve' });
  try {
    const channel = here.channel('$presences');
    const told = tellings(channel);
    await channel.subscribe();
    await until('the records are shown', () => channel.members.some((member) => member.user === seen));
    const later = user('carol');
    await app(later).presences.upsert({ presenceId: user('p'), status: 'typing', permissions: forAll });
    await until('a new one is told', () => told.some((line) => line.startsWith(`join ${later} `)));
    await strict.rejects(channel.join(), { code: 'forbidden' });
  } finally {
    here.close();
  }
});

test("with keys a credential is one of our tokens, and its roles and rights are the token's", async () => {
  const as = (/** @type {Record<string, unknown>} */ claims) => app(token(claims), keyed);
  const [ada, bob, eve] = [as({ sub: 'ada' }), as({ sub: 'bob', roles: ['team:blue', 'label:vip'] }), as({ sub: 'eve' })];
  const team = [Permission.read(Role.team('blue'))];
  const mine = await ada.presences.upsert({ presenceId: 'keyed-1', status: 'x', permissions: team });
  assert.equal(mine.userId, 'ada');
  assert.equal((await bob.presences.list()).total, 1);
  assert.equal((await eve.presences.list()).total, 0);
  for (const set of /** @type {const} */ (['setSession', 'setJWT'])) {
    const client = new Client().setEndpoint(endpoint(keyed)).setProject('shop')[set](token({ sub: 'bob', roles: ['team:blue'] }));
    assert.equal((await new Presences(client).get({ presenceId: 'keyed-1' })).status, 'x', set);
  }
  await refused(app(undefined, keyed).presences.list(), 401, 'general_unauthorized_scope');
  await refused(app('ada', keyed).presences.list(), 401, 'user_jwt_invalid');
  await refused(as({ sub: 'ada', exp: 1 }).presences.list(), 401, 'user_jwt_invalid');
  await refused(backEnd('another-secret-of-one', keyed).list(), 401, 'user_jwt_invalid');
  assert.equal((await backEnd('a-secret-of-a-back-end', keyed).list()).total, 1);

  const reader = as({ sub: 'fay', roles: ['team:blue'], channels: { $presences: ['list'] } });
  assert.equal((await reader.presences.list()).total, 1);
  await refused(reader.presences.upsert({ presenceId: 'keyed-2', status: 'x' }), 401, 'user_unauthorized', /join/);
  const writer = as({ sub: 'gil', roles: ['team:blue'], channels: { $presences: ['join'] } });
  const own = plain(await writer.presences.upsert({ presenceId: 'keyed-3', status: 'x' }));
  assert.deepEqual(await writer.presences.get({ presenceId: 'keyed-3' }), own, "one's own");
  await refused(writer.presences.list(), 401, 'user_unauthorized', /list/);
  for (const presenceId of ['keyed-1', 'never']) {
    await refused(writer.presences.get({ presenceId }), 401, 'user_unauthorized', /list/);
    await refused(writer.presences.update({ presenceId, status: 'y' }), 404, 'presence_not_found');
  }
});

test('presence switched off is said so, in its own shape', async () => {
  const off = await startBroker({ flags: ['--vendors', 'appwrite', '--disable-presence'] });
  try {
    const { presences, client } = app('ada', off);
    await refused(presences.list(), 403, 'general_service_disabled');
    await refused(presences.upsert({ presenceId: 'x', status: 'x' }), 403, 'general_service_disabled');
    assert.deepEqual(await client.ping(), { message: 'Pong!' });
  } finally {
    await off.stop();
  }
});

test('without the flag there is nothing there', async () => {
  const plain = await startBroker();
  try {
    const error = await app('ada', plain).presences.list().catch((error) => error);
    assert.ok(error instanceof AppwriteException && error.code === 404);
  } finally {
    await plain.stop();
  }
});
