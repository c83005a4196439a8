/** PubNub's wire beneath LiveLike, request by request: polls that lose nothing, and every refusal. */

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBroker } from '../../clients/javascript/test/rig.js';
import { until } from '../../clients/javascript/test/broker.js';
import { SECRET, token } from './token.mjs';

const FLAGS = ['--vendors', 'livelike', '--max-requests-per-second', '100000', '--max-requests-burst', '100000'];

/** @typedef {Awaited<ReturnType<typeof startBroker>>} Broker */
/** @typedef {{action: string, uuid: string, occupancy: number, timestamp: number, data?: object, join?: string[], leave?: string[], timeout?: string[], here_now_refresh?: boolean}} Data */

/** @param {Broker} broker @param {string} path @param {Record<string, string>} [query] @param {RequestInit} [init] */
async function get(broker, path, query = {}, init = {}) {
  const address = new URL(`${broker.http}/${path}`);
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
  const answer = await fetch(address, init);
  const text = await answer.text();
  const type = answer.headers.get('content-type') ?? '';
  const body = type.includes('json') ? JSON.parse(text) : text;
  return { status: answer.status, headers: answer.headers, body };
}

const presence = (/** @type {string} */ rest) => `v2/presence/sub-key/key/${rest}`;

/** Somebody who polls, as PubNub's library does. */
class Poller {
  /** @type {Record<string, string>} */
  at = {};

  /** @param {Broker} broker @param {string} name @param {string} channels */
  constructor(broker, name, channels) {
    this.broker = broker;
    this.name = name;
    this.channels = channels;
  }

  /** One poll. @param {Record<string, string>} [query] @param {AbortSignal} [signal] @returns {Promise<Data[]>} */
  async poll(query = {}, signal = undefined) {
    const asked = { uuid: this.name, ...this.at, ...query };
    const path = `v2/subscribe/key/${this.channels}/0`;
    const { status, body } = await get(this.broker, path, asked, { signal });
    assert.equal(status, 200, JSON.stringify(body));
    assert.match(body.t.t, /^\d{17}$/);
    this.at = { tt: body.t.t, tr: String(body.t.r) };
    for (const message of body.m) {
      assert.deepEqual(Object.keys(message), ['a', 'f', 'p', 'k', 'c', 'b', 'd']);
      assert.match(message.p.t, /^\d{17}$/);
      assert.deepEqual([message.a, message.f, message.k, message.b], ['1', 0, 'key', message.c]);
    }
    return body.m.map((/** @type {{d: Data}} */ { d }) => d);
  }

  /** All there is, for somebody for whom it is a while. */
  async all() {
    const heard = [];
    for (;;) {
      const now = await this.poll({}, AbortSignal.timeout(400)).catch((error) => {
        if (error.name !== 'TimeoutError') throw error;
      });
      if (!now) return heard;
      heard.push(...now);
    }
  }
}

/** @param {Data[]} heard */
const said = (heard) => heard.map(({ action, uuid }) => `${action} ${uuid}`);

describe('in open mode', { concurrency: true }, () => {
  /** @type {Broker} */
  let broker;
  before(async () => {
    broker = await startBroker({ flags: [...FLAGS, '--roster-limit', '5'] });
  });
  after(() => broker.stop());

  /** @param {string} user @param {string} channel @param {string} what @param {Record<string, string>} [query] */
  const as = (user, channel, what, query) => get(broker, presence(`channel/${channel}${what}`), { uuid: user, ...query });

  /** @param {string} name @param {string} channels */
  async function poller(name, channels) {
    const one = new Poller(broker, name, channels);
    assert.deepEqual(await one.poll(), [], 'the first poll is answered at once');
    return one;
  }

  test('a poll tells joins, attributes and leaves, each once and in order', async () => {
    const eve = await poller('eve', 'order-pnpres');
    const { body } = await as('ada', 'order', '/heartbeat', { heartbeat: '60' });
    assert.deepEqual(body, { status: 200, message: 'OK', service: 'Presence' });
    const set = await as('ada', 'order', '/uuid/ada/data', { state: '{"mood":"happy"}' });
    assert.deepEqual(set.body, { status: 200, message: 'OK', payload: { mood: 'happy' }, service: 'Presence' });
    const got = await as('bob', 'order', '/uuid/ada');
    assert.deepEqual(got.body, {
      status: 200, message: 'OK', payload: { mood: 'happy' }, uuid: 'ada', channel: 'order', service: 'Presence',
    });
    await as('bob', 'order', '/heartbeat');
    const left = await as('ada', 'order,order', '/leave');
    assert.deepEqual(left.body, { status: 200, message: 'OK', action: 'leave', service: 'Presence' });
    const heard = await eve.all();
    assert.deepEqual(said(heard), ['join ada', 'state-change ada', 'join bob', 'leave ada']);
    const [join, change] = heard;
    assert.ok(Math.abs(join.timestamp - Date.now() / 1000) < 60, 'seconds');
    assert.deepEqual([join.occupancy, 'data' in join, change.data], [1, false, { mood: 'happy' }]);
    // Whoever joins with attributes is told with them.
    await as('kim', 'order', '/heartbeat', { state: '{"order":{"mood":"new"}}' });
    assert.deepEqual((await eve.all())[0].data, { mood: 'new' });
  });

  test('polls consume nothing: two with one timetoken are told the same', async () => {
    const eve = await poller('eve', 'twice-pnpres');
    await as('ada', 'twice', '/heartbeat');
    const again = new Poller(broker, 'eve', 'twice-pnpres');
    again.at = eve.at;
    assert.deepEqual(await eve.poll(), await again.poll());
  });

  test('a poll of many channels loses nothing, a hundred events at a time', async () => {
    const channels = Array.from({ length: 30 }, (_, n) => `many-${n}`);
    const eve = await poller('eve', channels.map((channel) => `${channel}-pnpres`).join(','));
    const users = channels.flatMap((channel) => [0, 1, 2, 3, 4].map((n) => [channel, `${channel}-${n}`]));
    await Promise.all(users.map(([channel, user]) => as(user, channel, '/heartbeat')));
    // So that all of it is there.
    const last = await poller('last', 'many-29-pnpres');
    await as('many-29-0', 'many-29', '/leave');
    await last.poll();
    const first = await eve.poll();
    assert.equal(first.length, 100);
    const heard = [...first, ...(await eve.all())];
    const joins = heard.filter(({ action }) => action === 'join').map(({ uuid }) => uuid);
    assert.deepEqual(joins.sort(), users.map(([, user]) => user).sort(), 'each once');
    assert.deepEqual(said(heard).filter((line) => !line.startsWith('join')), ['leave many-29-0']);
    assert.deepEqual(said(heard).filter((line) => line.endsWith(' many-29-0')), ['join many-29-0', 'leave many-29-0']);
  });

  test('whoever polls a channel joins it, and hears of that', async () => {
    const ada = await poller('ada', 'self,self-pnpres');
    assert.deepEqual(said(await ada.poll()), ['join ada']);
    const { body } = await as('bob', 'self', '');
    assert.deepEqual(body, { status: 200, message: 'OK', occupancy: 1, uuids: ['ada'], service: 'Presence' });
    await poller('carol', 'self-pnpres');
    assert.equal((await as('bob', 'self', '')).body.occupancy, 1, 'whoever only listens is no member');
  });

  test('a timetoken too old, or of another broker, is told who came and who went', async () => {
    await as('stays', 'old', '/heartbeat');
    const eve = await poller('eve', 'old-pnpres');
    await as('goes', 'old', '/heartbeat');
    await eve.all();
    const before = eve.at;
    await as('comes', 'old', '/heartbeat');
    await as('goes', 'old', '/leave');
    await as('passes', 'old', '/heartbeat');
    await as('passes', 'old', '/leave');
    assert.equal(said(await eve.all()).at(-1), 'leave passes');
    eve.at = { tt: before.tt, tr: '1' };
    const [interval, ...more] = await eve.poll();
    assert.deepEqual(more, []);
    assert.equal(interval.action, 'interval');
    assert.deepEqual([interval.join, interval.leave?.sort(), interval.timeout], [['comes'], ['goes', 'passes'], undefined]);
    assert.deepEqual([interval.occupancy, interval.here_now_refresh], [2, true]);
    assert.deepEqual(await eve.all(), [], 'once');
    // From before the channel was listened to, and from the future.
    eve.at = { tt: '16000000000000000' };
    const [past] = await eve.poll();
    assert.deepEqual(past.join?.sort(), ['comes', 'stays']);
    eve.at = { tt: '99999999999999999' };
    assert.equal((await eve.poll())[0].action, 'interval');
    assert.ok(BigInt(eve.at.tt) < 99999999999999999n);
  });

  test('a channel too large to tell each member tells how many there are', async () => {
    const eve = await poller('eve', 'large-pnpres');
    for (let n = 0; n < 7; n += 1) await as(`u${n}`, 'large', '/heartbeat');
    let heard = await eve.all();
    const interval = heard.find(({ action }) => action === 'interval');
    assert.ok(interval, said(heard).join());
    assert.deepEqual([interval.uuid, interval.join], [undefined, undefined]);
    const began = Date.now();
    heard = await eve.poll();
    assert.deepEqual(heard.map(({ action, occupancy }) => [action, occupancy]), [['interval', 7]]);
    assert.ok(Date.now() - began > 5_000, 'not more often than every ten seconds');
    // Small again: what became of each meanwhile is told.
    for (let n = 0; n < 6; n += 1) await as(`u${n}`, 'large', '/leave');
    await until('the leaves of a small channel', async () => said(heard = [...heard, ...(await eve.all())]).includes('leave u0'));
    assert.ok(!said(heard).includes('leave u6'));
  });

  test('a held poll is answered after 50 seconds, empty, and goes on from there', { timeout: 90_000 }, async () => {
    const eve = await poller('eve', 'idle-pnpres');
    const began = Date.now();
    assert.deepEqual(await eve.poll(), []);
    assert.ok(Date.now() - began >= 49_000 && Date.now() - began < 60_000);
    await as('ada', 'idle', '/heartbeat');
    assert.deepEqual(said(await eve.poll()), ['join ada']);
  });

  test('attributes that overtake the join are written, and without a join refused', async () => {
    const setting = as('ada', 'overtaken', '/uuid/ada/data', { state: '{"a":"1"}' });
    await sleep(300);
    await as('ada', 'overtaken', '/heartbeat');
    assert.equal((await setting).status, 200);
    const { status, body } = await as('bob', 'overtaken', '/uuid/bob/data', { state: '{}' });
    assert.equal(status, 403);
    assert.deepEqual(Object.keys(body), ['status', 'error', 'message', 'service']);
    assert.match(body.message, /must join/);
  });

  test('state beside a heartbeat is for whoever was not there', async () => {
    await as('ada', 'beside', '/heartbeat', { state: '{"beside":{"from":"first"},"other":{"a":1}}' });
    await as('ada', 'beside', '/heartbeat', { state: '{"beside":{"from":"second"}}' });
    await get(broker, 'v2/subscribe/key/beside/0', { uuid: 'ada', state: '{"beside":{"from":"third"}}' });
    assert.deepEqual((await as('ada', 'beside', '/uuid/ada')).body.payload, { from: 'first' });
    assert.deepEqual((await as('ada', 'other', '/uuid/ada')).body.payload, {}, 'no member there');
  });

  test('who is where: of one channel, of several, without names, with attributes, so many', async () => {
    await as('dora', 'h1,h2', '/heartbeat', { state: '{"h1":{"m":"x"}}' });
    await as('bob', 'h1', '/heartbeat');
    const { body: one } = await as('eve', 'h1', '', { state: '1' });
    assert.deepEqual(one.uuids, [{ uuid: 'bob' }, { uuid: 'dora', state: { m: 'x' } }]);
    const { body: several } = await as('eve', 'h1,h2,h3', '');
    assert.deepEqual(several, {
      status: 200,
      message: 'OK',
      payload: {
        total_channels: 3,
        total_occupancy: 3,
        channels: {
          h1: { occupancy: 2, uuids: ['bob', 'dora'] },
          h2: { occupancy: 1, uuids: ['dora'] },
          h3: { occupancy: 0, uuids: [] },
        },
      },
      service: 'Presence',
    });
    const { body: counted } = await as('eve', 'h1', '', { disable_uuids: '1' });
    assert.deepEqual(counted, { status: 200, message: 'OK', occupancy: 2, service: 'Presence' });
    const limited = async (/** @type {string} */ limit) => (await as('eve', 'h1', '', { limit })).body.uuids;
    assert.deepEqual([await limited('1'), await limited('0')], [['bob'], []]);
    const where = await get(broker, presence('uuid/dora'), { uuid: 'eve' });
    assert.deepEqual(where.body, { status: 200, message: 'OK', payload: { channels: ['h1', 'h2'] }, service: 'Presence' });
    const states = await as('eve', 'h1,h2', '/uuid/dora');
    assert.deepEqual(states.body.payload, { h1: { m: 'x' }, h2: {} });
  });

  test('names with slashes, and others that have to be encoded', async () => {
    const [channel, user] = ['live/1 ü', 'a/b'];
    await as(user, encodeURIComponent(channel), '/heartbeat');
    await as(user, encodeURIComponent(channel), `/uuid/${encodeURIComponent(user)}/data`, { state: '{"a":"b"}' });
    // PubNub's library encodes the name where it sets, and not where it asks.
    const { body } = await as('eve', encodeURIComponent(channel), `/uuid/${user}`);
    assert.deepEqual([body.payload, body.uuid, body.channel], [{ a: 'b' }, user, channel]);
  });

  test('what is malformed is refused in PubNub’s shape, and does nothing', async () => {
    const poll = (/** @type {Record<string, string>} */ query) => get(broker, 'v2/subscribe/key/bad/0', { uuid: 'ada', ...query });
    const deep = `{"bad":{"a":${'['.repeat(40)}${']'.repeat(40)}}}`;
    const large = JSON.stringify({ bad: { text: 'x'.repeat(5_000) } });
    const wrong = [
      [400, poll({ tt: 'soon' })], [400, poll({ tt: '-1' })], [400, poll({ tr: 'x' })],
      [400, poll({ heartbeat: 'x' })], [400, poll({ state: 'x' })], [400, poll({ state: '[]' })],
      [400, poll({ state: '{"bad":7}' })], [400, poll({ state: deep })], [400, poll({ state: large })],
      [400, poll({ 'channel-group': 'g' })], [400, poll({ uuid: '' })], [400, poll({ uuid: '$x' })],
      [400, get(broker, 'v2/subscribe/key/,/0', { uuid: 'ada' })],
      [400, get(broker, 'v2/subscribe/key/bad,$own/0', { uuid: 'ada' })],
      [400, get(broker, 'v2/subscribe/key/bad,-pnpres/0', { uuid: 'ada' })],
      [400, get(broker, `v2/subscribe/key/${Array.from({ length: 129 }, (_, n) => `c${n}`).join(',')}/0`, { uuid: 'ada' })],
      [400, get(broker, 'v2/subscribe/key/%zz/0', { uuid: 'ada' })],
      [400, as('ada', 'bad', '', { limit: '1001' })], [400, as('ada', 'bad', '', { limit: 'x' })],
      [400, as('ada', 'bad-pnpres', '')],
      [400, as('ada', 'bad', '/uuid/ada/data')], [400, as('ada', 'bad', '/uuid/ada/data', { state: '7' })],
      [403, as('ada', 'bad', '/uuid/bob/data', { state: '{}' })],
      [403, poll({ auth: 'bob' })], [403, poll({ auth: '$bob' })],
      [402, get(broker, 'v2/presence/sub-key/key', { uuid: 'ada' })],
      [404, get(broker, 'v2/presence/nothing', { uuid: 'ada' })], [404, get(broker, 'v2/subscribe/key', { uuid: 'ada' })],
      [405, get(broker, presence('uuid/ada'), { uuid: 'ada' }, { method: 'POST' })],
    ];
    for (const [n, [expected, answer]] of /** @type {[number, Promise<any>][]} */ (wrong).entries()) {
      const { status, body } = await answer;
      assert.equal(status, expected, `${n}: ${JSON.stringify(body)}`);
      assert.deepEqual(Object.keys(body), ['status', 'error', 'message', 'service']);
      assert.deepEqual([body.status, body.error, body.service], [status === 402 ? 403 : status, 1, 'Presence']);
      assert.ok(body.message.length > 5);
    }
    assert.equal((await as('eve', 'bad', '')).body.occupancy, 0);
  });

  test('what time it is has seventeen digits', async () => {
    const answer = await fetch(`${broker.http}/time/0`);
    assert.match(await answer.text(), /^\[\d{17}\]$/);
  });

  test('pages of other sites: their origin is told and refused, and without one nothing is done', async () => {
    const forged = async (/** @type {string} */ site, /** @type {Record<string, string>} */ more = {}) => new Promise((resolve, reject) => {
      const headers = { 'sec-fetch-site': site, ...more };
      http.get(`${broker.http}/${presence('channel/forged/heartbeat')}?uuid=ada`, { headers }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).on('error', reject);
    });
    assert.deepEqual([await forged('cross-site'), await forged('same-site')], [403, 403]);
    assert.equal(await forged('cross-site', { origin: 'https://evil.example' }), 403);
    assert.equal((await as('eve', 'forged', '')).body.occupancy, 0);
    assert.deepEqual([await forged('same-origin'), await forged('none')], [200, 200]);
  });
});

test('with keys the token is whose name it says, and its rights hold', async () => {
  const broker = await startBroker({ flags: FLAGS, env: { HERENOW_JWT_SECRET: SECRET } });
  const ada = token({ sub: 'ada', channels: { room: ['join', 'subscribe'] } });
  const ask = (/** @type {string} */ path, /** @type {Record<string, string>} */ query) => get(broker, path, query);
  const all = { uuid: 'ada', auth: ada };
  const statuses = async (/** @type {[string, Record<string, string>][]} */ asked) => Promise.all(asked.map(async ([path, query]) => (await ask(path, query)).status));
  assert.deepEqual(await statuses([
    [presence('channel/room/heartbeat'), { uuid: 'ada' }],
    [presence('channel/room/heartbeat'), { uuid: 'ada', auth: 'ada' }],
    [presence('channel/room/heartbeat'), { uuid: 'bob', auth: ada }],
    [presence('channel/room/heartbeat'), { uuid: 'ada', auth: token({ sub: 'ada', exp: 1 }) }],
    [presence('channel/room,other/heartbeat'), all],
    ['v2/subscribe/key/other-pnpres/0', all],
    ['v2/subscribe/key/room,other/0', all],
    [presence('channel/other'), all],
  ]), [403, 403, 403, 403, 403, 403, 403, 403]);
  assert.equal((await ask(presence('channel/room'), all)).body.occupancy, 0, 'nothing half done');
  assert.deepEqual(await statuses([
    [presence('channel/room/heartbeat'), all], ['v2/subscribe/key/room-pnpres/0', all], ['time/0', {}],
  ]), [200, 200, 200]);
  await broker.stop();
});

test('where presence is switched off, all but LiveLike’s start is refused', async () => {
  const broker = await startBroker({ flags: [...FLAGS, '--disable-presence'] });
  for (const path of [presence('channel/c/heartbeat'), presence('channel/c'), 'v2/subscribe/key/c/0', presence('uuid/ada'), 'time/0']) {
    const { status, body } = await get(broker, path, { uuid: 'ada' });
    assert.deepEqual([status, body.status, body.error], [403, 403, 1], path);
  }
  assert.equal((await get(broker, 'livelike/api/v1/applications/x/')).status, 200);
  assert.equal((await get(broker, 'livelike/api/v1/profile/', {}, { headers: { authorization: 'Bearer ada' } })).status, 200);
  await broker.stop();
});

test('a poll is never refused for its rate: it waits', async () => {
  const flags = ['--vendors', 'livelike', '--max-requests-per-second', '5', '--max-requests-burst', '5'];
  const broker = await startBroker({ flags });
  const polls = Array.from({ length: 12 }, () => get(broker, 'v2/subscribe/key/c-pnpres/0', { uuid: 'ada' }));
  assert.ok((await Promise.all(polls)).every(({ status }) => status === 200));
  const others = await Promise.all(Array.from({ length: 12 }, () => get(broker, presence('uuid/ada'), { uuid: 'ada' })));
  assert.ok(others.some(({ status, body }) => status === 429 && body.error === 1));
  await broker.stop();
});

test('at a shutdown held polls break, unanswered', async () => {
  const broker = await startBroker({ flags: FLAGS });
  const eve = new Poller(broker, 'eve', 'c-pnpres');
  await eve.poll();
  const held = eve.poll().then(() => 'answered', (error) => error.cause?.code ?? error.message);
  await sleep(300);
  const began = Date.now();
  await broker.stop();
  assert.equal(await held, 'UND_ERR_SOCKET');
  assert.ok(Date.now() - began < 4_000, 'nor are they waited for');
});

test('pages of an allowed origin read answers and refusals', async () => {
  const origin = 'https://app.example';
  const broker = await startBroker({ flags: [...FLAGS, '--allow-origin', origin] });
  const asked = await get(broker, presence('channel/c'), {}, { headers: { origin } });
  assert.deepEqual([asked.status, asked.headers.get('access-control-allow-origin')], [400, origin]);
  const preflight = await fetch(`${broker.http}/livelike/api/v1/profile/`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get('access-control-allow-headers'), 'authorization, content-type');
  assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /GET, POST/);
  assert.equal(preflight.headers.get('access-control-max-age'), '600');
  assert.match(preflight.headers.get('vary') ?? '', /Origin/);
  await broker.stop();
});

test('a poll ends when its client goes', async () => {
  const broker = await startBroker({ flags: FLAGS });
  const polls = async () => Number(/^herenow_polls (\d+)$/m.exec(await (await fetch(`${broker.http}/metrics`)).text())?.[1]);
  const eve = new Poller(broker, 'eve', 'gone-pnpres');
  await eve.poll();
  const { at } = eve;
  const sockets = Array.from({ length: 20 }, () => {
    const socket = net.connect(broker.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`GET /v2/subscribe/key/gone-pnpres/0?uuid=eve&tt=${at.tt}&tr=${at.tr} HTTP/1.1\r\nhost: 127.0.0.1:${broker.port}\r\n\r\n`);
    return socket;
  });
  await until('the polls', async () => (await polls()) === 20);
  sockets.forEach((socket, n) => (n % 2 ? socket.end() : socket.resetAndDestroy()));
  await until('the end of the polls', async () => (await polls()) === 0);
  await broker.stop();
});
