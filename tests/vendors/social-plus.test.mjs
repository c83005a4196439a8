/** social.plus' room presence by its own client library, and what has no library: users' presence. */

import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { freePort, startBroker } from '../../clients/javascript/test/rig.js';
import { client, until } from '../../clients/javascript/test/broker.js';
import { loggedIn } from './amity.mjs';
import { SECRET, token } from './token.mjs';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let open;
/** @type {Awaited<ReturnType<typeof startBroker>>} */
let keyed;
/** @type {Awaited<ReturnType<typeof startBroker>>} */
let off;
before(async () => {
  [open, keyed, off] = await Promise.all([
    startBroker({ flags: ['--vendors', 'social-plus', '--allow-origin', 'https://app.example', '--max-requests-burst', '10000'] }),
    startBroker({ flags: ['--vendors', 'all'], env: { HERENOW_JWT_SECRET: SECRET } }),
    startBroker({ flags: ['--vendors', 'social-plus', '--disable-presence'] }),
  ]);
});
after(() => Promise.all([open, keyed, off].map((broker) => broker.stop())));

/**
 * One request, as any client makes it.
 * @param {string} method @param {string} path @param {{as?: string, body?: unknown, on?: {http: string}, headers?: Record<string, string>}} [options]
 */
async function ask(method, path, { as, body, on = open, headers = {} } = {}) {
  const answer = await fetch(`${on.http}/social-plus${path}`, {
    method,
    headers: { ...(as !== undefined && { authorization: `Bearer ${as}` }), ...headers },
    body: typeof body === 'string' || body === undefined ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? null : JSON.parse(text) };
}

/** The token of a session. @param {string} userId @param {{displayName?: string, on?: {http: string}}} [options] */
async function session(userId, { displayName, on } = {}) {
  const { status, body } = await ask('POST', '/api/v5/sessions', { body: { userId, displayName, deviceId: 'x' }, on });
  assert.equal(status, 200, JSON.stringify(body));
  return body.accessToken;
}

/** @param {{status: number, body: any}} answer @param {number} status @param {number} code @param {RegExp} [message] */
function assertRefused(answer, status, code, message = /./) {
  assert.deepEqual([answer.status, Object.keys(answer.body)], [status, ['status', 'code', 'message', 'data']], JSON.stringify(answer.body));
  assert.deepEqual([answer.body.status, answer.body.code, answer.body.data], ['error', code, {}]);
  assert.match(answer.body.message, message);
}

/** Says on our own API that somebody is in a room. @param {string} room @param {string} user @param {object} [lease] */
async function lease(room, user, lease = {}, on = open) {
  const { status } = await fetch(`${on.http}/v1/channels/${encodeURIComponent(room)}/members/${encodeURIComponent(user)}?user=${encodeURIComponent(user)}`, { method: 'PUT', body: JSON.stringify(lease), headers: { 'content-type': 'application/json' } });
  assert.ok(status < 300);
}

/** @param {any} sdk @param {string} room */
async function ids(sdk, room) {
  const { data } = await sdk.rooms.getRoomOnlineUsers(room);
  return data.map((/** @type {{userId: string}} */ user) => user.userId);
}

test('who watches: heartbeat, count, list', async () => {
  const [ada, bob] = await Promise.all([
    loggedIn(open.http, { userId: 'ada', displayName: 'Ada L.' }),
    loggedIn(open.http, { userId: 'bob' }),
  ]);
  assert.equal(ada.client.sessionState, 'established');
  assert.deepEqual(await bob.rooms.getRoomUserCount('live'), { count: 0 });
  assert.deepEqual((await bob.rooms.getRoomOnlineUsers('live')).data, []);
  assert.equal(ada.rooms.startHeartbeat('live'), undefined);
  await until('ada is there', async () => (await bob.rooms.getRoomUserCount('live')).count === 1);
  bob.rooms.startHeartbeat('live');
  await until('both are there', async () => (await ids(ada, 'live')).length === 2);
  const { data, cachedAt } = await ada.rooms.getRoomOnlineUsers('live');
  assert.deepEqual(data.map((/** @type {any} */ user) => [user.userId, user.displayName]), [['bob', 'bob'], ['ada', 'Ada L.']], 'newest first');
  assert.equal(typeof cachedAt, 'number');
  // The library is silent when it stops; the room empties when a minute is over.
  ada.rooms.stopHeartbeat('live');
  bob.rooms.stopHeartbeat('live');
  assert.deepEqual(await bob.rooms.getRoomUserCount('live'), { count: 2 });
});

test('a viewer, a page with our client and a room of any name see each other', async () => {
  const ada = await loggedIn(open.http, { userId: 'ada', displayName: 'Ada' });
  const here = client(open.url, { user: 'page' });
  try {
    for (const room of ['live/1', 'live/2/users', 'two words', 'Straße+1', 'users/count']) {
      const channel = here.channel(room);
      await channel.subscribe();
      await channel.join();
      ada.rooms.startHeartbeat(room);
      await until(`ada is seen in ${room}`, () => channel.get('ada'));
      assert.deepEqual(channel.get('ada')?.info, { displayName: 'Ada' });
      assert.deepEqual(await ids(ada, room), ['ada', 'page']);
      assert.deepEqual(await ada.rooms.getRoomUserCount(room), { count: 2 });
      ada.rooms.stopHeartbeat(room);
      // What social.plus keeps present stays when our own lease ends.
      await lease(room, 'ada');
      await fetch(`${open.http}/v1/channels/${encodeURIComponent(room)}/members/ada?user=ada`, { method: 'DELETE' });
      assert.ok(channel.get('ada'));
    }
  } finally {
    here.close();
  }
});

test('the list has the 200 newest, whatever they are called and carry; the count has all', async () => {
  const odd = ['a b', 'a+b', '100%', 'ü/ö?#&=', '😀', 'a,b', '%41', 'x]['];
  const many = Array.from({ length: 202 }, (_, n) => `viewer-${n}`);
  const attributes = { text: 'x'.repeat(2_000) };
  for (const user of [...many, ...odd]) await lease('full', user, { attributes });
  const ada = await loggedIn(open.http, { userId: 'ada' });
  assert.deepEqual(await ada.rooms.getRoomUserCount('full'), { count: 210 });
  assert.deepEqual(await ids(ada, 'full'), [...many, ...odd].reverse().slice(0, 200));
});

test('a hundred ids of the greatest length fit into one request', async () => {
  const long = Array.from({ length: 100 }, (_, n) => `${n}-`.padEnd(200, 'x'));
  for (const user of long) await lease('long', user);
  const ada = await loggedIn(open.http, { userId: 'ada' });
  assert.deepEqual(await ids(ada, 'long'), long.reverse());
});

test('a session outlives a restart, name and all', async () => {
  const flags = ['--vendors', 'social-plus'];
  let broker = await startBroker({ port: await freePort(), flags });
  const ada = await loggedIn(broker.http, { userId: 'ada', displayName: 'Ada & Söhne 😀' });
  await broker.stop();
  broker = await startBroker({ port: broker.port, flags });
  try {
    ada.rooms.startHeartbeat('live');
    await until('ada is back', async () => (await ada.rooms.getRoomUserCount('live')).count === 1);
    const { data: [user] } = await ada.rooms.getRoomOnlineUsers('live');
    assert.deepEqual([user.userId, user.displayName], ['ada', 'Ada & Söhne 😀']);
    ada.rooms.stopHeartbeat('live');
  } finally {
    await broker.stop();
  }
});

test('with keys the token says who it is, what shows, and what it may', async () => {
  const info = { displayName: 'Ada', avatarCustomUrl: 'https://app.example/ada.png' };
  const authToken = token({ sub: 'ada', info });
  const ada = await loggedIn(keyed.http, { userId: 'ada', displayName: 'ignored', authToken });
  ada.rooms.startHeartbeat('live');
  const cy = await loggedIn(keyed.http, { userId: 'cy', authToken: token({ sub: 'cy', channels: { 'live*': ['list'] } }) });
  await until('ada is there', async () => (await cy.rooms.getRoomUserCount('live')).count === 1);
  const { data: [user] } = await cy.rooms.getRoomOnlineUsers('live');
  assert.deepEqual([user.userId, user.displayName, user.avatarCustomUrl], ['ada', info.displayName, info.avatarCustomUrl]);
  await assert.rejects(cy.rooms.getRoomUserCount('other'), { name: /ASCApiError|Error/, code: 400300, level: 'error' });
  const errors = mock.method(console, 'error', () => {});
  cy.rooms.startHeartbeat('live');
  await until('the library told it', () => errors.mock.callCount() > 0);
  cy.rooms.stopHeartbeat('live');
  ada.rooms.stopHeartbeat('live');
  errors.mock.restore();
  assert.deepEqual(await cy.rooms.getRoomUserCount('live'), { count: 1 }, 'cy may not be there');
  // A name that came by another way shows, too.
  const fi = token({ sub: 'fi', info: { name: 'Fi', avatar: 'fi.png' } });
  await fetch(`${keyed.http}/v1/channels/live/members/fi`, { method: 'PUT', headers: { authorization: `Bearer ${fi}` } });
  const { data: [other] } = await cy.rooms.getRoomOnlineUsers('live');
  assert.deepEqual([other.userId, other.displayName, other.avatarCustomUrl], ['fi', 'Fi', 'fi.png']);
  // Who may not watch a user's status sees that it is there, and no more.
  const narrow = token({ sub: 'dan', watch: [] });
  const { body } = await ask('GET', '/api/v3/users/list?userIds[]=ada', { as: narrow, on: keyed });
  assert.deepEqual([body.users[0].userId, body.users[0].displayName], ['ada', 'ada']);
});

test('whom not everyone may see is absent for the others', async () => {
  const put = (/** @type {string} */ user, /** @type {object} */ body) => fetch(`${keyed.http}/v1/channels/hidden/members/${user}`, { method: 'PUT', body: JSON.stringify(body), headers: { authorization: `Bearer ${token({ sub: user })}`, 'content-type': 'application/json' } });
  await put('seen', {});
  await put('shy', { visibleTo: ['staff'] });
  const read = async (/** @type {string[]} */ roles) => {
    const as = token({ sub: 'eve', roles });
    const [count, list] = await Promise.all(['/count', ''].map((end) => ask('GET', `/api/v1/presence/rooms/hidden/users${end}`, { as, on: keyed })));
    return [count.body.count, list.body.viewers.map((/** @type {any} */ one) => one.userId)];
  };
  assert.deepEqual(await read([]), [1, ['seen']]);
  assert.deepEqual(await read(['staff']), [1, ['shy', 'seen']]);
});

test('a login that proves nothing is refused by the error of the library', async () => {
  /** @type {Array<[any, {userId: string, authToken?: string}, number]>} */
  const cases = [
    [keyed, { userId: 'ada' }, 400100],
    [keyed, { userId: 'ada', authToken: 'x' }, 400100],
    [keyed, { userId: 'ada', authToken: token({ sub: 'ada', exp: 1 }) }, 400100],
    [keyed, { userId: 'ada', authToken: token({ sub: 'bob' }) }, 400300],
    [open, { userId: '$x' }, 400000],
    [open, { userId: '' }, 400000],
  ];
  for (const [on, who, code] of cases) {
    await assert.rejects(loggedIn(on.http, who), { code }, JSON.stringify(who));
  }
  await assert.rejects(loggedIn(keyed.http, { userId: 'ada' }), /Amity SDK \(400100\): authToken is required/);
});

test('a token that is good no longer ends the session', async () => {
  const ada = await loggedIn(keyed.http, { userId: 'ada', authToken: token({ sub: 'ada' }) });
  ada.client.http.defaults.headers.common.Authorization = 'Bearer nonsense';
  await assert.rejects(ada.rooms.getRoomUserCount('live'), { code: 400100 });
  await until('the session is over', () => ada.client.sessionState === 'terminated');
  // In open mode the tokens that the broker wrote must come whole.
  const good = await session('ada', { displayName: 'Ada' });
  assert.equal((await ask('GET', '/api/v1/presence/settings', { as: good })).status, 200);
  for (const as of [good.slice(0, -1), good.replace('ada', 'bob'), `${good}0`, '', '$x']) {
    assertRefused(await ask('GET', '/api/v1/presence/settings', { as }), 401, 400100);
  }
  assertRefused(await ask('GET', '/api/v1/presence/settings'), 401, 400100);
  assert.equal((await ask('GET', '/api/v1/presence/settings', { as: 'ada' })).status, 200, 'a name alone is a credential, too');
});

test('switched off, reads reject, and starting only logs', async () => {
  const ada = await loggedIn(off.http, { userId: 'ada' });
  const errors = mock.method(console, 'error', () => {});
  const wanted = { code: 400300, level: 'error', message: /^Amity SDK \(400300\): .*presence/ };
  await assert.rejects(ada.rooms.getRoomUserCount('live'), wanted);
  await assert.rejects(ada.rooms.getRoomOnlineUsers('live'), wanted);
  ada.rooms.startHeartbeat('live');
  await until('the library told it', () => errors.mock.callCount() > 0);
  assert.equal(errors.mock.calls[0].arguments[1].code, 400300);
  ada.rooms.stopHeartbeat('live');
  errors.mock.restore();
  const settings = await ask('GET', '/api/v1/presence/settings', { as: 'ada', on: off });
  assert.deepEqual([settings.status, settings.body.user.enabled], [200, false]);
  for (const [method, path] of [['GET', '/user'], ['PUT', '/user'], ['POST', '/user/heartbeat'], ['DELETE', '/user/heartbeat'], ['POST', '/rooms/live/heartbeat']]) {
    assertRefused(await ask(method, `/api/v1/presence${path}`, { as: 'ada', on: off }), 403, 400300);
  }
  assertRefused(await ask('GET', '/api/v3/users/list?userIds[]=ada', { as: 'ada', on: off }), 403, 400300);
});

test('the settings tell the cadence in minutes', async () => {
  const { body } = await ask('GET', '/api/v1/presence/settings', { as: await session('ada') });
  assert.equal(body.network.heartbeatInterval, 0.5);
  assert.equal(body.user.enabled, true);
  for (const time of [body.user.enabledAt, body.network.updatedAt]) assert.equal(new Date(time).toISOString(), time);
});

test("a user's presence: on, heartbeat, stop, off", async () => {
  const as = await session('una', { displayName: 'Una' });
  const seen = async () => (await (await fetch(`${open.http}/v1/users/una/status?user=bob`)).json());
  assert.deepEqual((await ask('GET', '/api/v1/presence/user', { as })).body, { enabled: true });
  assert.equal((await ask('POST', '/api/v1/presence/user/heartbeat', { as })).status, 200);
  assert.deepEqual([(await seen()).online, (await seen()).info], [true, { displayName: 'Una' }]);
  assert.equal((await ask('DELETE', '/api/v1/presence/user/heartbeat', { as })).status, 200);
  assert.equal((await seen()).online, false);
  assert.deepEqual((await ask('PUT', '/api/v1/presence/user', { as, body: { enabled: false } })).body, { enabled: false });
  assert.deepEqual((await ask('GET', '/api/v1/presence/user', { as })).body, { enabled: false });
  assert.equal((await ask('GET', '/api/v1/presence/settings', { as })).body.user.enabled, false);
  assertRefused(await ask('POST', '/api/v1/presence/user/heartbeat', { as }), 403, 400300, /switched off/);
  await ask('PUT', '/api/v1/presence/user', { as, body: { enabled: true } });
  await ask('POST', '/api/v1/presence/user/heartbeat', { as });
  assert.equal((await seen()).online, true);
  for (const body of ['', '[]', '{', '{}', { enabled: 'yes' }, { enabled: null }]) {
    assertRefused(await ask('PUT', '/api/v1/presence/user', { as, body }), 400, 400000);
  }
  assert.deepEqual((await ask('GET', '/api/v1/presence/user', { as })).body, { enabled: true });
});

test('bad input is named, in the shape of the library', async () => {
  const as = await session('ada');
  for (const [path, code, message] of /** @type {Array<[string, number, RegExp]>} */ ([
    ['/api/v3/users/list', 400000, /userIds/],
    ['/api/v3/users/list?userIds[]=', 400000, /userIds/],
    [`/api/v3/users/list?${'userIds[]=a&'.repeat(101)}`, 400000, /100/],
    ['/api/v1/presence/rooms/$x/users', 400000, /roomId/],
    [`/api/v1/presence/rooms/${'x'.repeat(201)}/users/count`, 400000, /roomId/],
    ['/api/v1/presence/rooms/100%/users', 400000, /path/],
  ])) {
    assertRefused(await ask('GET', path, { as }), 400, code, message);
  }
  for (const path of ['/api/v1/presence/rooms/live', '/api/v1/presence/rooms/live/heartbeat', '/api/v1/presence/rooms/', '/api/v4/users', '/x']) {
    assertRefused(await ask('GET', path, { as }), 404, 400400);
  }
  assertRefused(await ask('DELETE', '/api/v1/presence/rooms/live/heartbeat', { as }), 404, 400400);
  assertRefused(await ask('POST', '/api/v1/presence/rooms/live/users', { as }), 404, 400400);
  for (const body of ['', '{', '[]', {}, { userId: 7 }, { userId: 'ada', displayName: 7 }, { userId: 'ada', displayName: 'x'.repeat(10_000) }]) {
    assertRefused(await ask('POST', '/api/v5/sessions', { body }), 400, 400000);
  }
  assertRefused(await ask('POST', '/api/v5/sessions', { body: { userId: 'ada', x: 'x'.repeat(100_000) } }), 413, 400000);
  // A heartbeat is an empty form, whatever it says of itself.
  const { status } = await ask('POST', '/api/v1/presence/rooms/live/heartbeat', { as, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  assert.equal(status, 200);
});

test('who asks too often is told so, each user by itself, and a login waits', async () => {
  const broker = await startBroker({ flags: ['--vendors', 'social-plus', '--max-requests-per-second', '5', '--max-requests-burst', '2'] });
  try {
    const on = broker;
    const tokens = await Promise.all(['ada', 'bob', 'cy', 'dan'].map((user) => session(user, { on })));
    const settings = (/** @type {string} */ as) => ask('GET', '/api/v1/presence/settings', { as, on });
    const answers = await Promise.all(Array.from({ length: 4 }, () => settings(tokens[0])));
    const limited = answers.filter(({ status }) => status !== 200);
    assert.ok(limited.length > 0);
    for (const answer of limited) {
      assertRefused(answer, 429, 500000);
      assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    }
    assert.equal((await settings(tokens[1])).status, 200);
  } finally {
    await broker.stop();
  }
});

test('a kick ends the session', async () => {
  const key = 'a-secret-of-the-back-end';
  const keys = `[[key]]\nname = "back end"\nsecret = "${key}"\nrights = ["kick"]\n`;
  const broker = await startBroker({ flags: ['--vendors', 'social-plus'], env: { HERENOW_JWT_SECRET: SECRET, HERENOW_API_KEYS: keys } });
  try {
    const ada = await loggedIn(broker.http, { userId: 'ada', authToken: token({ sub: 'ada' }) });
    ada.rooms.startHeartbeat('live');
    await until('ada is there', async () => (await ada.rooms.getRoomUserCount('live')).count === 1);
    const kicked = await fetch(`${broker.http}/v1/users/ada/connections`, { method: 'DELETE', headers: { authorization: `Bearer ${key}` } });
    assert.equal(kicked.status, 200);
    const as = token({ sub: 'bob' });
    assert.equal((await ask('GET', '/api/v1/presence/rooms/live/users/count', { as, on: broker })).body.count, 0);
    await assert.rejects(ada.rooms.getRoomUserCount('live'), { code: 400100 });
    await until('the session is over', () => ada.client.sessionState === 'terminated');
    ada.rooms.stopHeartbeat('live');
  } finally {
    await broker.stop();
  }
});

test('pages may ask, and read what they are refused', async () => {
  const page = { origin: 'https://app.example' };
  for (const path of ['/api/v5/sessions', '/api/v1/presence/rooms/a/b/heartbeat', '/nowhere']) {
    const { status, headers } = await ask('OPTIONS', path, { headers: { ...page, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-api-key,content-type,authorization,set-access-token-cookie' } });
    assert.deepEqual([status, headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials')], [204, page.origin, null]);
    for (const name of ['x-api-key', 'content-type', 'authorization', 'set-access-token-cookie']) assert.match(headers.get('access-control-allow-headers') ?? '', new RegExp(name));
  }
  const refused = await ask('GET', '/api/v1/presence/settings', { headers: page });
  assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [401, page.origin]);
  assertRefused(await ask('POST', '/api/v5/sessions', { body: { userId: 'ada' }, headers: { origin: 'https://evil.example' } }), 403, 400300);
});
