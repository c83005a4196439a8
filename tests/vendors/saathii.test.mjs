/**
 * Saathii's status API: the document's own `curl` lines and TypeScript class, as they stand in the
 * document, and what goes wrong.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startBroker } from '../../clients/javascript/test/rig.js';
import { client, sleep, until } from '../../clients/javascript/test/broker.js';
import { SECRET, token } from './token.mjs';

const { transformSync } = createRequire(new URL('../../clients/javascript/package.json', import.meta.url))('esbuild');
const DOCUMENT = readFileSync(new URL('documents/saathii.md', import.meta.url), 'utf8');
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let open;
/** @type {Awaited<ReturnType<typeof startBroker>>} */
let keyed;
/** @type {Awaited<ReturnType<typeof startBroker>>} */
let off;
before(async () => {
  [open, keyed, off] = await Promise.all([
    startBroker({ flags: ['--vendors', 'saathii', '--allow-origin', 'https://app.example'] }),
    startBroker({ flags: ['--vendors', 'all'], env: { HERENOW_JWT_SECRET: SECRET } }),
    startBroker({ flags: ['--vendors', 'saathii', '--disable-presence'] }),
  ]);
});
after(() => Promise.all([open, keyed, off].map((broker) => broker.stop())));

/** All blocks of the document in that language. @param {string} language */
function blocks(language) {
  const found = DOCUMENT.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'));
  return [...found].map(([, text]) => text);
}

/**
 * The document's class, with an `ApiService` as an app writes one.
 * @param {string} base @param {string} bearer
 */
function service(base, bearer) {
  /** @param {string} method */
  const asking = (method) => async (/** @type {string} */ path, /** @type {unknown} */ data) => {
    const answer = await fetch(`${base}${path}`, {
      method,
      headers: { Authorization: `Bearer ${bearer}`, ...(data !== undefined && { 'Content-Type': 'application/json' }) },
      ...(data !== undefined && { body: JSON.stringify(data) }),
    });
    const body = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(JSON.stringify(body.detail)), { status: answer.status, ...body });
    return body;
  };
  const ApiService = { get: asking('GET'), put: asking('PUT'), post: asking('POST') };
  const [source] = blocks('typescript');
  const { code } = transformSync(source, { loader: 'ts', format: 'cjs' });
  const module = { exports: {} };
  const required = (/** @type {string} */ name) => {
    assert.equal(name, './ApiService');
    return { __esModule: true, default: ApiService };
  };
  new Function('module', 'require', code)(module, required);
  return /** @type {any} */ (module.exports).default;
}

/**
 * One request, as any client makes it.
 * @param {string} method @param {string} path @param {{as?: string, body?: string, type?: string, on?: {http: string}, headers?: Record<string, string>}} [options]
 */
async function ask(method, path, { as, body, type, on = open, headers = {} } = {}) {
  const answer = await fetch(`${on.http}/saathii${path}`, {
    method,
    headers: { ...(as !== undefined && { authorization: `Bearer ${as}` }), ...(type !== undefined && { 'content-type': type }), ...headers },
    body,
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? null : JSON.parse(text) };
}

/** @param {{status: number, body: unknown}} answer @param {number} status @param {unknown} body */
function assertIs(answer, status, body) {
  assert.deepEqual({ status: answer.status, body: answer.body }, { status, body });
}

test("the document's curl lines, as they stand there", async () => {
  const lines = blocks('bash').join('\n').replaceAll(/ \\\n/g, ' ').split('\n').filter((line) => line.startsWith('curl'));
  assert.equal(lines.length, 5);
  await ask('POST', '/users/me/heartbeat', { as: '456' });
  /** @type {any[]} */
  const answers = [];
  for (const line of lines) {
    const here = line.replaceAll('https://saathiiapp.com', `${open.http}/saathii`).replaceAll('<access_token>', '123');
    const { stdout } = await promisify(execFile)('sh', ['-c', `${here} --silent --show-error --write-out '\n%{http_code}'`]);
    const [body, status] = stdout.split('\n');
    assert.equal(status, '200', `${line}: ${body}`);
    answers.push(JSON.parse(body));
  }
  const [before, updated, heartbeat, one, several] = answers;
  const [shape] = blocks('json').map((text) => JSON.parse(text));
  assert.deepEqual(Object.keys(before), Object.keys(shape), 'the keys of the document, in its order');
  assert.deepEqual({ ...before, last_seen: 0, created_at: 0, updated_at: 0 }, { user_id: 123, is_online: false, is_busy: false, wait_time: null, last_seen: 0, created_at: 0, updated_at: 0 });
  assert.deepEqual([updated.is_online, updated.is_busy], [true, false]);
  for (const time of [updated.last_seen, updated.created_at, updated.updated_at]) assert.match(time, RFC3339);
  assert.deepEqual(heartbeat, { message: 'Heartbeat received' });
  const presence = (/** @type {number} */ id) => ({ user_id: id, username: String(id), is_online: true, is_busy: false, wait_time: null });
  const { last_seen: seen, ...rest } = one;
  assert.match(seen, RFC3339);
  assert.deepEqual(rest, presence(456));
  assert.deepEqual(several.map((/** @type {any} */ { last_seen: _, ...each }) => each), [presence(123), presence(456)], '789 was never there');
});

test("the document's class, as it stands there", async () => {
  const ada = service(`${open.http}/saathii`, '1001');
  const bob = service(`${open.http}/saathii`, '1002');
  assert.equal((await ada.getMyStatus()).is_online, false);
  await assert.rejects(bob.getUserPresence(1001), { status: 404, detail: 'User status not found' });
  assert.deepEqual(await ada.sendHeartbeat(), { message: 'Heartbeat received' });
  assert.equal((await bob.getUserPresence(1001)).is_online, true);
  const busy = await ada.updateMyStatus({ is_busy: true, wait_time: 15 });
  assert.deepEqual([busy.user_id, busy.is_online, busy.is_busy, busy.wait_time], [1001, true, true, 15]);
  assert.deepEqual(await ada.getMyStatus(), busy);
  const [seen] = await bob.getMultipleUsersPresence([1001]);
  assert.deepEqual([seen.is_busy, seen.wait_time], [true, 15]);
  const free = await ada.updateMyStatus({ is_busy: false, wait_time: null });
  assert.deepEqual([free.is_busy, free.wait_time], [false, null]);
  // What is read only may come along, as in a status that was read.
  assert.deepEqual((await ada.updateMyStatus({ ...free, user_id: 5, is_busy: true })).user_id, 1001);
  await assert.rejects(ada.updateMyStatus({}), { status: 400, detail: 'No status fields to update' });
  await assert.rejects(ada.updateMyStatus({ user_id: 7, last_seen: 'now' }), { status: 400, detail: 'No status fields to update' });
  await assert.rejects(ada.getMultipleUsersPresence(Array.from({ length: 51 }, (_, n) => n)), { status: 400, detail: 'Too many user IDs requested' });
  assert.deepEqual(await ada.getMultipleUsersPresence(Array.from({ length: 50 }, (_, n) => 5000 + n)), []);
  assert.deepEqual(await ada.getMultipleUsersPresence([]), []);
});

test('both families of paths are one', async () => {
  const as = '21';
  assertIs(await ask('POST', '/both/status/heartbeat', { as }), 200, { message: 'Heartbeat received' });
  const set = await ask('PUT', '/both/status/me', { as, body: '{"is_busy":true}' });
  assert.deepEqual(set.body, (await ask('GET', '/users/me/status', { as })).body);
  assert.deepEqual(set.body, (await ask('GET', '/both/status/me', { as })).body);
  assert.equal(set.body.is_busy, true);
});

test('who switches off is offline for everybody until it switches on, whatever a timer sends', async () => {
  const as = '31';
  const states = async () => {
    const [mine, seen] = await Promise.all([ask('GET', '/users/me/status', { as }), ask('GET', '/users/31/presence', { as: '32' })]);
    return [mine.body.is_online, seen.body.is_online];
  };
  await ask('POST', '/users/me/heartbeat', { as });
  assert.deepEqual(await states(), [true, true]);
  const gone = await ask('PUT', '/users/me/status', { as, body: '{"is_online":false}' });
  assert.equal(gone.body.is_online, false);
  assert.deepEqual(await states(), [false, false]);
  assert.equal((await ask('GET', '/users/31/presence', { as })).body.is_online, false, 'to itself too');
  await ask('POST', '/users/me/heartbeat', { as });
  assert.deepEqual(await states(), [false, false], 'a heartbeat alone lifts nothing');
  await ask('PUT', '/users/me/status', { as, body: '{"is_busy":true}' });
  assert.deepEqual(await states(), [false, false]);
  assert.equal((await ask('PUT', '/users/me/status', { as, body: '{"is_online":true}' })).body.is_online, true);
  assert.deepEqual(await states(), [true, true]);
  // Its heartbeat ended with it: there is no other, so lifting it elsewhere shows nobody.
  await ask('PUT', '/users/me/status', { as, body: '{"is_online":false}' });
  await fetch(`${open.http}/v1/users/31/status?user=31`, { method: 'PUT', body: '{"invisible":false}' });
  assert.deepEqual(await states(), [false, false]);
});

test('a heartbeat moves last_seen alone, and a change updated_at', async () => {
  const as = '41';
  await ask('POST', '/users/me/heartbeat', { as });
  const first = (await ask('GET', '/users/me/status', { as })).body;
  await sleep(1_100);
  await ask('POST', '/users/me/heartbeat', { as });
  const beaten = (await ask('GET', '/users/me/status', { as })).body;
  assert.ok(beaten.last_seen > first.last_seen);
  assert.deepEqual({ ...beaten, last_seen: 0 }, { ...first, last_seen: 0 });
  const set = (await ask('PUT', '/users/me/status', { as, body: '{"is_busy":true}' })).body;
  assert.ok(set.updated_at > first.updated_at);
  assert.deepEqual([set.last_seen, set.created_at], [beaten.last_seen, first.created_at]);
});

test('ids are whole numbers, and a token for anybody else is none', async () => {
  const bad = { detail: 'Invalid or expired token' };
  for (const as of [undefined, '', 'ada', '-1', '1.5', '+1', '1e3', '9007199254740992', '１', 'null']) {
    for (const [method, path] of [['GET', '/users/me/status'], ['PUT', '/both/status/me'], ['POST', '/users/me/heartbeat'], ['GET', '/users/1/presence'], ['GET', '/nowhere']]) {
      const answer = await ask(method, path, { as: as === undefined ? as : encodeURI(as) });
      assertIs(answer, 401, bad);
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer');
    }
  }
  await ask('POST', '/users/me/heartbeat', { as: '007' });
  for (const path of ['/users/7/presence', '/users/007/presence']) {
    assert.equal((await ask('GET', path, { as: '1' })).body.user_id, 7);
  }
  assert.equal((await ask('GET', '/users/me/status', { as: '9007199254740991' })).body.user_id, 9007199254740991);
  for (const id of ['me', 'ada', '-1', '1.0', '9007199254740992', '%20']) {
    const { status, body } = await ask('GET', `/users/${id}/presence`, { as: '1' });
    assert.equal(status, 422, id);
    assert.deepEqual(body.detail[0].loc, ['path', 'user_id']);
  }
});

test('lists are by id, each once, and say what is wrong with them', async () => {
  for (const as of ['52', '51', '53']) await ask('POST', '/users/me/heartbeat', { as });
  const list = (/** @type {string} */ query) => ask('GET', `/users/presence${query}`, { as: '51' });
  const found = await list('?user_ids=53,51,%2052%20,51,,054,');
  assert.deepEqual(found.body.map((/** @type {any} */ one) => one.user_id), [51, 52, 53]);
  assertIs(await list('?user_ids='), 200, []);
  for (const ids of ['x', '1,x', '1;2', '1.5', '-1', '9007199254740992', '1%202']) {
    assertIs(await list(`?user_ids=${ids}`), 400, { detail: 'Invalid user IDs format' });
  }
  assertIs(await list(`?user_ids=${'1,'.repeat(51)}`), 400, { detail: 'Too many user IDs requested' });
  const missing = await list('');
  assert.equal(missing.status, 422);
  assert.deepEqual(missing.body.detail[0].loc, ['query', 'user_ids']);
});

test('what is of the wrong kind is refused, and nothing of it is done', async () => {
  const as = '61';
  const { body: before } = await ask('PUT', '/users/me/status', { as, body: '{"is_busy":false,"wait_time":3}' });
  const wrong = [
    ['{"is_busy":"yes"}', ['is_busy']],
    ['{"is_busy":1,"is_online":null}', ['is_online', 'is_busy']],
    ['{"is_busy":true,"wait_time":"5"}', ['wait_time']],
    ['{"is_busy":true,"wait_time":-1}', ['wait_time']],
    ['{"is_busy":true,"wait_time":1.5}', ['wait_time']],
    ['{"is_busy":true,"wait_time":10081}', ['wait_time']],
    ['[]', []], ['null', []], ['5', []],
    ['{"is_busy":', null],
  ];
  for (const [body, fields] of /** @type {Array<[string, string[] | null]>} */ (wrong)) {
    const answer = await ask('PUT', '/users/me/status', { as, body });
    assert.equal(answer.status, 422, body);
    assert.ok(Array.isArray(answer.body.detail));
    const places = answer.body.detail.map((/** @type {any} */ each) => each.loc);
    if (fields !== null) assert.deepEqual(places, fields.length === 0 ? [['body']] : fields.map((field) => ['body', field]), body);
  }
  assertIs(await ask('PUT', '/users/me/status', { as, body: '' }), 400, { detail: 'No status fields to update' });
  assert.equal((await ask('PUT', '/users/me/status', { as, body: `{"x":"${'x'.repeat(100_000)}"}` })).status, 413);
  assert.deepEqual((await ask('GET', '/users/me/status', { as })).body, before);
  // Whatever type it says it is, or none.
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', undefined]) {
    assert.equal((await ask('PUT', '/users/me/status', { as, type, body: '{"is_busy":true}' })).status, 200);
    assert.equal((await ask('POST', '/users/me/heartbeat', { as, type, body: 'x' })).status, 200);
  }
});

test('other paths and methods are answered in its shape', async () => {
  for (const path of ['/users', '/users/me', '/both/status', '/users/5/presence/x', '/v1']) {
    assertIs(await ask('GET', path, { as: '1' }), 404, { detail: 'Not Found' });
  }
  const { status, body, headers } = await ask('DELETE', '/users/me/status', { as: '1' });
  assert.deepEqual([status, body], [405, { detail: 'Method Not Allowed' }]);
  assert.match(headers.get('allow') ?? '', /PUT/);
  assertIs(await ask('GET', '/users/%ff/presence', { as: '1' }), 400, { detail: 'path must be percent-encoded UTF-8' });
});

test('with keys the token says who it is, and what it may', async () => {
  const ada = token({ sub: '71', info: { name: 'Ada' } });
  const on = keyed;
  assert.equal((await ask('POST', '/users/me/heartbeat', { as: ada, on })).status, 200);
  const { body } = await ask('GET', '/users/71/presence', { as: token({ sub: '72' }), on });
  assert.deepEqual([body.username, body.is_online], ['Ada', true]);
  await ask('POST', '/users/me/heartbeat', { as: token({ sub: '73', info: { displayName: 'Cy' } }), on });
  const all = await ask('GET', '/users/presence?user_ids=73,71', { as: ada, on });
  assert.deepEqual(all.body.map((/** @type {any} */ one) => one.username), ['Ada', 'Cy']);
  const bad = { detail: 'Invalid or expired token' };
  for (const as of ['71', `${ada}x`, token({ sub: '71', exp: 1 }), token({ sub: 'ada' }), token({ sub: '071' })]) {
    assertIs(await ask('GET', '/users/me/status', { as, on }), 401, bad);
  }
  const narrow = token({ sub: '74', watch: ['7*'] });
  assert.equal((await ask('GET', '/users/71/presence', { as: narrow, on })).status, 200);
  const there = await ask('GET', '/users/80/presence', { as: narrow, on });
  assert.equal(there.status, 403);
  assert.equal(typeof there.body.detail, 'string');
});

test('it is the same user who is online by it and by our own client', async () => {
  const here = client(open.url, { user: '81' });
  try {
    await until('it is online', async () => (await ask('GET', '/users/81/presence', { as: '82' })).body.is_online === true);
    /** @type {any} */
    let told;
    here.user('82').watch((/** @type {any} */ status) => { told = status; });
    await ask('PUT', '/users/me/status', { as: '82', body: '{"is_online":true,"is_busy":true,"wait_time":9}' });
    await until('our client is told', () => told?.busy === true && told.online && told.waitTime === 9);
  } finally {
    here.close();
  }
});

test('switched off, everything says so', async () => {
  for (const [method, path] of [['GET', '/both/status/me'], ['PUT', '/users/me/status'], ['POST', '/users/me/heartbeat'], ['GET', '/users/1/presence'], ['GET', '/users/presence?user_ids=1']]) {
    const { status, body } = await ask(method, path, { as: '1', on: off });
    assert.equal(status, 403);
    assert.deepEqual(Object.keys(body), ['detail']);
    assert.match(body.detail, /presence/);
  }
});

test('pages may ask, and read what they are refused', async () => {
  const page = { origin: 'https://app.example' };
  const wanted = { 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization,content-type' };
  for (const path of ['/users/me/status', '/nowhere']) {
    const { status, headers } = await ask('OPTIONS', path, { headers: { ...page, ...wanted } });
    assert.equal(status, 204);
    assert.equal(headers.get('access-control-allow-origin'), page.origin);
    assert.match(headers.get('access-control-allow-methods') ?? '', /PUT/);
    assert.match(headers.get('access-control-allow-headers') ?? '', /authorization, content-type/);
    assert.ok(headers.get('access-control-max-age'));
    assert.match(headers.get('vary') ?? '', /Origin/);
  }
  const refused = await ask('GET', '/users/me/status', { headers: page });
  assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [401, page.origin]);
  const foreign = await ask('GET', '/users/me/status', { as: '1', headers: { origin: 'https://evil.example' } });
  assert.deepEqual([foreign.status, foreign.headers.get('access-control-allow-origin'), Object.keys(foreign.body)], [403, null, ['detail']]);
});

test('without the flag there are no such paths', async () => {
  const broker = await startBroker();
  try {
    const { status, body } = await ask('GET', '/users/me/status', { as: '1', on: broker });
    assert.deepEqual([status, body.code], [404, 'not_found']);
  } finally {
    await broker.stop();
  }
});
