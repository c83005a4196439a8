/**
 * LiveLike's own library, unmodified, and PubNub's beneath it, through a proxy that speaks TLS: what the
 * vendor's document calls, what a listener hears while clients come, go, die and lose their line, and
 * every refusal.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { connect } from '../../clients/javascript/src/index.js';
import { freePort, startBroker } from '../../clients/javascript/test/rig.js';
import { until } from '../../clients/javascript/test/broker.js';
import { Remote } from './livelike/rig.mjs';
import { certificate } from '../../clients/javascript/test/certificate.js';
import { startProxy } from './livelike/tls.mjs';
import { SECRET, token } from './token.mjs';

const files = certificate();

/** @typedef {Awaited<ReturnType<typeof startProxy>>} Proxy */

/** @type {Remote[]} */
const remotes = [];
after(() => Promise.all(remotes.map((remote) => remote.kill())));

function remote() {
  const one = new Remote(files.cert);
  remotes.push(one);
  return one;
}

/** @param {Proxy} proxy @param {string} [accessToken] */
const options = (proxy, accessToken) => ({
  clientId: 'an-app',
  endpoint: `${proxy.url}/livelike/api/v1/`,
  ...(accessToken && { accessToken }),
});

/** A process with LiveLike's library, which has begun. @param {Proxy} proxy @param {string} [accessToken] */
async function livelike(proxy, accessToken) {
  const one = remote();
  const profile = await one.do('livelike', options(proxy, accessToken));
  return Object.assign(one, { profile });
}

/** @param {Proxy} proxy @param {string} uuid @param {object} [more] */
async function pubnub(proxy, uuid, more) {
  const one = remote();
  const origin = new URL(proxy.url).host;
  await one.do('pubnub', { subscribeKey: 'key', publishKey: 'key', uuid, origin, ssl: true, restore: true, ...more });
  return one;
}

/** What a listener heard, in short. @param {Remote} one */
const heard = (one) => one.events.map(({ event, message: { userProfileId, attributes } }) => (
  [event, userProfileId, attributes && JSON.stringify(attributes)].filter(Boolean).join(' ')
));

/** What is told of one user. @param {Remote} one @param {string} name */
const heardOf = (one, name) => heard(one).filter((line) => line.split(' ')[1] === name);

/** By our own API. @param {string} http @param {string} channel @param {string} user @param {RequestInit} [init] @param {string} [auth] */
async function ours(http, channel, user, init, auth) {
  const headers = { 'content-type': 'application/json', ...(auth && { authorization: `Bearer ${auth}` }) };
  const { status } = await fetch(`${http}/v1/channels/${channel}/members/${user}`, { ...init, headers });
  return status;
}

/** @param {string[]} flags @param {Record<string, string>} [env] */
async function stage(flags = [], env = {}) {
  const broker = await startBroker({ flags: ['--vendors', 'livelike', ...flags], env });
  const proxy = await startProxy(files, broker.port);
  return {
    broker,
    proxy,
    async stop() {
      await proxy.stop();
      await broker.stop();
    },
  };
}

describe('in open mode', { concurrency: true }, () => {
  /** @type {Awaited<ReturnType<typeof stage>>} */
  let here;
  before(async () => {
    here = await stage();
  });
  after(() => here.stop());

  test('every call of the vendor’s document', async () => {
    const channel = 'test-channel';
    const [ada, bob] = await Promise.all([livelike(here.proxy, 'ada'), livelike(here.proxy, 'bob')]);
    assert.equal(ada.profile.id, 'ada');
    await ada.do('listen', channel);
    await until('the listener, who is a member', async () => (await ours(here.broker.http, channel, 'ada')) === 200);
    await bob.do('joinPresenceChannel', { channel });
    // At once: it overtakes the join.
    const attributes = { mood: 'happy' };
    assert.deepEqual(await bob.do('setPresenceUserAttributes', { channel, attributes }), attributes);
    assert.deepEqual(await ada.do('getPresenceUserAttributes', { channel, userProfileId: 'bob' }), attributes);
    assert.deepEqual(await ada.do('getPresenceUserChannels', { userProfileId: 'bob' }), { channels: [channel] });
    const { channelUsers } = await ada.do('getPresenceChannelUsers', { channel });
    const users = new Map(channelUsers.map((/** @type {any} */ one) => [one.userProfileId, one.attributes ?? undefined]));
    assert.deepEqual([...users.keys()].sort(), ['ada', 'bob']);
    await bob.do('setPresenceUserAttributes', { channel, attributes: { score: '2' } });
    await bob.do('leavePresenceChannel', { channel });
    await until('the leave', () => heard(ada).includes('leave bob'));
    assert.deepEqual(heardOf(ada, 'bob'), [
      'join bob', 'attributesUpdate bob {"mood":"happy"}', 'attributesUpdate bob {"score":"2"}', 'leave bob',
    ]);
    assert.deepEqual(ada.events.at(-1)?.message.channel, channel);
    assert.deepEqual(await ada.do('getPresenceUserAttributes', { channel, userProfileId: 'bob' }), {}, 'nothing is kept');
    await ada.do('unlisten', channel);
    await bob.do('joinPresenceChannel', { channel });
    await until('bob', async () => (await ada.do('getPresenceChannelUsers', { channel })).channelUsers.length === 2);
    assert.equal(heardOf(ada, 'bob').length, 4, 'it listens no longer');
  });

  test('whoever brings no token is a guest, and the same one when it begins again', async () => {
    const guest = await livelike(here.proxy);
    assert.match(guest.profile.id, /^guest-[0-9a-f]{16}$/);
    await guest.do('joinPresenceChannel', { channel: 'guests' });
    await until('the guest', async () => (await guest.do('getPresenceChannelUsers', { channel: 'guests' })).channelUsers.length === 1);
    const again = await livelike(here.proxy, guest.profile.access_token);
    assert.equal(again.profile.id, guest.profile.id);
  });

  test('a channel is one, by LiveLike, by our client and by HTTP', async () => {
    const channel = 'one-world';
    const ada = await livelike(here.proxy, 'ada');
    const olga = connect(here.broker.url, { WebSocket, user: 'olga', lazy: false });
    const room = olga.channel(channel);
    /** @type {string[]} */
    const told = [];
    for (const event of /** @type {const} */ (['join', 'leave', 'updateAttributes'])) {
      room.on(event, ({ user, attributes }) => told.push([event, user, attributes && JSON.stringify(attributes)].filter(Boolean).join(' ')));
    }
    await room.subscribe();
    await ada.do('listen', channel);
    await until('ada, to our client', () => told.some((line) => line.startsWith('join ada')));
    await room.join({ from: 'ours' });
    await until('olga, to LiveLike', () => heard(ada).includes('join olga {"from":"ours"}'));
    const { http } = here.broker;
    await ours(http, channel, 'hans', { method: 'PUT', body: '{"attributes":{"from":"http"}}' });
    await until('hans, to LiveLike', () => heard(ada).includes('join hans {"from":"http"}'));
    await ada.do('setPresenceUserAttributes', { channel, attributes: { from: 'livelike' } });
    await until('attributes, to our client', () => told.includes('updateAttributes ada {"from":"livelike"}'));
    const { members } = await (await fetch(`${http}/v1/channels/${channel}/members`)).json();
    assert.deepEqual(members.map((/** @type {any} */ { user, attributes }) => [user, attributes.from]).sort(), [
      ['ada', 'livelike'], ['hans', 'http'], ['olga', 'ours'],
    ]);
    const { channelUsers } = await ada.do('getPresenceChannelUsers', { channel });
    assert.equal(channelUsers.length, 3);
    // What keeps somebody present by another wire stays when LiveLike's library leaves.
    await ours(http, channel, 'ada', { method: 'PUT' });
    await ada.do('unlisten', channel);
    await ada.do('leavePresenceChannel', { channel });
    await ours(http, channel, 'hans', { method: 'DELETE' });
    await until('the leave of hans', () => told.some((line) => line.startsWith('leave hans')));
    assert.ok(!told.some((line) => line.startsWith('leave ada')), 'the lease by HTTP keeps ada');
    olga.close();
  });

  test('PubNub’s library on its own', async () => {
    const ada = await pubnub(here.proxy, 'pia');
    const bob = await pubnub(here.proxy, 'paul', { presenceTimeout: 20, heartbeatInterval: 5 });
    const channels = ['p1', 'p2'];
    await bob.do('subscribe', { channels, withPresence: true });
    await until('connected', () => bob.statuses.some(({ category }) => category === 'PNConnectedCategory'));
    await ada.do('subscribe', { channels: ['p1'] });
    await until('pia', () => bob.presence.some(({ action, uuid }) => action === 'join' && uuid === 'pia'));
    const state = { a: 1 };
    assert.deepEqual((await ada.do('setState', { channels: ['p1'], state })).state, state);
    await until('the state', () => bob.presence.some(({ action, state: of }) => action === 'state-change' && of.a === 1));
    assert.deepEqual((await bob.do('getState', { uuid: 'pia', channels: ['p1'] })).channels, { p1: state });
    assert.deepEqual((await bob.do('getState', { uuid: 'pia', channels })).channels, { p1: state, p2: {} });
    const now = await bob.do('hereNow', { channels, includeState: true });
    assert.deepEqual([now.totalChannels, now.totalOccupancy], [2, 3]);
    assert.deepEqual(now.channels.p2.occupants.map((/** @type {any} */ { uuid }) => uuid), ['paul']);
    const counted = await bob.do('hereNow', { channels: ['p1'], includeUUIDs: false });
    assert.deepEqual([counted.totalOccupancy, counted.channels.p1.occupants], [2, []]);
    assert.deepEqual(await bob.do('whereNow', { uuid: 'paul' }), { channels });
    assert.equal(typeof (await bob.do('time')).timetoken, 'number');
    await ada.do('unsubscribe', { channels: ['p1'] });
    await until('the leave', () => bob.presence.some(({ action, uuid }) => action === 'leave' && uuid === 'pia'));
    const refused = await bob.rejection('hereNow', {});
    assert.equal(refused.status.statusCode, 402);
    const absent = await bob.rejection('setState', { channels: ['p3'], state });
    assert.deepEqual([absent.status.statusCode, absent.status.category], [403, 'PNAccessDeniedCategory']);
    const large = await bob.rejection('setState', { channels: ['p1'], state: { text: 'x'.repeat(5_000) } });
    assert.deepEqual([large.status.statusCode, large.status.category], [400, 'PNBadRequestCategory']);
  });
});

test('a minute of comings and goings: a listener hears each once, in order', { timeout: 180_000 }, async () => {
  const here = await stage(['--presence-timeout', '20s', '--heartbeat-interval', '5s']);
  const channel = 'room';
  const [ear, ada, bob] = await Promise.all(['ear', 'ada', 'bob'].map((name) => livelike(here.proxy, name)));
  await ear.do('listen', channel);
  /** @type {string[]} */
  const expected = [];
  /** @param {Promise<unknown>} act @param {string} event */
  const does = async (act, event) => {
    await act;
    expected.push(event);
    await sleep(Math.random() * 400);
  };
  const { http } = here.broker;
  const present = async (/** @type {string} */ user, isThere = true) => until(user, async () => (
    (await ours(http, channel, user)) === (isThere ? 200 : 404)
  ));
  await present('ear');
  const joins = async (/** @type {typeof ada} */ one) => does((async () => {
    await one.do('joinPresenceChannel', { channel });
    await present(one.profile.id);
  })(), `join ${one.profile.id}`);
  const leaves = async (/** @type {typeof ada} */ one) => does((async () => {
    await one.do('leavePresenceChannel', { channel });
    await present(one.profile.id, false);
  })(), `leave ${one.profile.id}`);
  const sets = async (/** @type {typeof ada} */ one, /** @type {object} */ attributes) => does(
    one.do('setPresenceUserAttributes', { channel, attributes }),
    `attributesUpdate ${one.profile.id} ${JSON.stringify(attributes)}`,
  );
  const began = Date.now();
  for (let round = 0; Date.now() - began < 60_000; round += 1) {
    await joins(ada);
    await sets(ada, { round: String(round) });
    // The line is cut while the listener polls: what comes before it polls again is not lost.
    if (round % 5 === 2) here.proxy.cut();
    await does(ours(http, channel, 'hans', { method: 'PUT' }), 'join hans');
    await does(ours(http, channel, 'hans', { method: 'DELETE' }), 'leave hans');
    if (round % 5 === 2) await sleep(3_500);
    await leaves(ada);
  }
  await joins(bob);
  await bob.kill();
  await does(until('the timeout', () => heard(ear).includes('timeout bob'), 40_000), 'timeout bob');
  assert.deepEqual(heard(ear).filter((line) => line !== 'join ear'), expected);
  assert.ok(here.proxy.seen.some((line) => line.includes('/time/0')), 'the line was cut');
  await here.stop();
});

describe('with keys', () => {
  /** @type {Awaited<ReturnType<typeof stage>>} */
  let here;
  before(async () => {
    here = await stage([], { HERENOW_JWT_SECRET: SECRET });
  });
  after(() => here.stop());

  test('the token is one of ours, and names the user', async () => {
    const accessToken = token({ sub: 'ada', info: { name: 'Ada L.' } });
    const ada = await livelike(here.proxy, accessToken);
    assert.deepEqual([ada.profile.id, ada.profile.nickname, ada.profile.access_token], ['ada', 'Ada L.', accessToken]);
    await ada.do('joinPresenceChannel', { channel: 'c' });
    await until('ada', async () => (await ada.do('getPresenceChannelUsers', { channel: 'c' })).channelUsers.length === 1);
  });

  test('without one, or with a bad one, the library does not begin', async () => {
    for (const accessToken of [undefined, 'ada', token({ sub: 'ada', exp: 1 })]) {
      const refused = await remote().rejection('livelike', options(here.proxy, accessToken));
      assert.equal(refused.status, 401, JSON.stringify(refused));
      assert.equal(typeof refused.errorDetail.detail, 'string');
    }
  });

  test('what the token does not grant is refused, as PubNub refuses it', async () => {
    const channels = { room: ['join', 'subscribe'] };
    const ada = await livelike(here.proxy, token({ sub: 'ada', channels }));
    for (const [call, ...args] of [
      ['getPresenceChannelUsers', { channel: 'other' }],
      ['getPresenceUserAttributes', { channel: 'other', userProfileId: 'bob' }],
      ['setPresenceUserAttributes', { channel: 'other', attributes: { a: 'b' } }],
      ['setPresenceUserAttributes', { channel: 'room', attributes: { a: 'b' } }],
      ['listen', 'other'],
    ]) {
      const { statusCode, category } = await ada.rejection(/** @type {string} */ (call), ...args);
      assert.deepEqual([statusCode, category], [403, 'PNAccessDeniedCategory'], String(call));
    }
    const { channelUsers } = await ada.do('getPresenceChannelUsers', { channel: 'room' });
    assert.deepEqual(channelUsers, []);
  });

  test('somebody hidden is absent, and is told of when it is shown', async () => {
    const [team, other] = [token({ sub: 'eve', roles: ['team:blue'] }), token({ sub: 'kim' })];
    const [eve, kim] = await Promise.all([livelike(here.proxy, team), livelike(here.proxy, other)]);
    const channel = 'hidden';
    await Promise.all([eve.do('listen', channel), kim.do('listen', channel)]);
    const { http } = here.broker;
    for (const [name, auth] of [['eve', team], ['kim', other]]) {
      await until(name, async () => (await ours(http, channel, name, {}, auth)) === 200);
    }
    const lease = (/** @type {object} */ body) => (
      ours(http, channel, 'ida', { method: 'PUT', body: JSON.stringify(body) }, token({ sub: 'ida' }))
    );
    await lease({ visibleTo: ['team:blue'], attributes: { a: 1 } });
    await lease({ attributes: { a: 2 } });
    await lease({ visibleTo: ['any'] });
    await lease({ visibleTo: [] });
    await until('the last', () => heard(eve).includes('leave ida') && heard(kim).includes('leave ida'));
    assert.deepEqual(heardOf(eve, 'ida'), ['join ida {"a":1}', 'attributesUpdate ida {"a":2}', 'leave ida']);
    assert.deepEqual(heardOf(kim, 'ida'), ['join ida {"a":2}', 'leave ida']);
    const seen = async (/** @type {Remote} */ one) => ({
      users: (await one.do('getPresenceChannelUsers', { channel })).channelUsers.map((/** @type {any} */ { userProfileId }) => userProfileId).sort(),
      where: await one.do('getPresenceUserChannels', { userProfileId: 'ida' }),
      how: await one.do('getPresenceUserAttributes', { channel, userProfileId: 'ida' }),
    });
    assert.deepEqual(await seen(kim), { users: ['eve', 'kim'], where: { channels: [] }, how: {} });
  });
});

test('where presence is switched off, the library begins and every call is refused', async () => {
  const here = await stage(['--disable-presence']);
  const ada = await livelike(here.proxy, 'ada');
  for (const call of ['getPresenceChannelUsers', 'setPresenceUserAttributes']) {
    const { category } = await ada.rejection(call, { channel: 'c', attributes: { a: 'b' } });
    assert.equal(category, 'PNAccessDeniedCategory', call);
  }
  await here.stop();
});

test('a restart of the broker: who listens hears of whoever comes back', { timeout: 60_000 }, async () => {
  const broker = await startBroker({ port: await freePort(), flags: ['--vendors', 'livelike'] });
  const proxy = await startProxy(files, broker.port);
  const [ear, ada] = await Promise.all(['ear', 'ada'].map((name) => livelike(proxy, name)));
  await ear.do('listen', 'c');
  await ada.do('joinPresenceChannel', { channel: 'c' });
  await until('ada', () => heard(ear).includes('join ada'));
  await broker.stop();
  await sleep(1_000);
  const next = await startBroker({ port: broker.port, flags: ['--vendors', 'livelike'] });
  await until('ada again', () => heard(ear).filter((line) => line === 'join ada').length === 2);
  await ours(next.http, 'c', 'hans', { method: 'PUT' });
  await until('hans', () => heard(ear).includes('join hans'));
  await proxy.stop();
  await next.stop();
});
