import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, mock, test } from 'node:test';
import WebSocket from 'ws';
import { startBroker } from './broker.js';
import { breakable, examples, runExample, until } from './facade-helpers.js';
import * as ada from '../src/livelike.js';

// A module has one connection, so another user needs the module once more.
/** @type {typeof ada} */
const bob = await import(`../src/livelike.js?${'bob'}`);

const channel = 'test-channel';
const { PresenceActionEvent } = ada;
let broker;
let adaClient;
/** What bob is told. */
let heard;
const hear = (event) => heard.push(event);

before(async () => {
  broker = await startBroker({ flags: ['--max-requests-per-second', '10000', '--max-requests-burst', '10000'] });
});
after(() => broker.stop());

beforeEach(async () => {
  adaClient = ada.init({ endpoint: broker.url, userProfileId: 'ada', WebSocket });
  bob.init({ endpoint: broker.url, userProfileId: 'bob', WebSocket });
  heard = [];
});
afterEach(async () => {
  mock.restoreAll();
  ada.close();
  bob.close();
  await until(async () => (await (await fetch(`${broker.http}/v1/channels/${channel}/count`)).json()).count === 0);
});

const message = (userProfileId, attributes) => ({ userProfileId, channel, attributes });
const isHeard = (count) => until(() => heard.length >= count);

// The examples, with their import alone changed.

const [userChannels, channelUsers, observing, joining, setting, getting] = await examples('livelike-user-presence.md');
const run = (code) => runExample(code, { from: '@livelike/javascript', to: 'herenow/livelike' });

test('example: retrieving a user’s presence', async () => {
  bob.init({ endpoint: broker.url, userProfileId: 'user-id', WebSocket });
  await bob.joinPresenceChannel({ channel });
  await bob.joinPresenceChannel({ channel: 'another' });
  const printed = await run(userChannels);
  await until(() => printed().length);
  const [[{ channels }]] = printed();
  assert.deepEqual(channels.sort(), ['another', channel]);
});

test('example: retrieving a channel’s users', async () => {
  await bob.joinPresenceChannel({ channel });
  await ada.joinPresenceChannel({ channel });
  await ada.setPresenceUserAttributes({ channel, attributes: { mood: 'happy' } });
  const printed = await run(channelUsers);
  await until(() => printed().length);
  assert.deepEqual(printed(), [[[
    { userProfileId: 'ada', attributes: { mood: 'happy' } },
    { userProfileId: 'bob', attributes: {} },
  ]]]);
});

test('example: observing a channel, and no longer', async () => {
  const sent = [];
  adaClient.on('frame', ({ direction, text }) => direction === 'out' && sent.push(JSON.parse(text)));
  await run(observing);
  await until(() => sent.length === 2);
  assert.deepEqual(sent.map(({ type }) => type), ['subscribe', 'unsubscribe']);
});

test('example: joining and leaving, without waiting in between', async () => {
  await bob.addPresenceListener({ channel }, hear);
  await run(joining);
  await isHeard(2);
  assert.deepEqual(heard, [
    { event: 'join', message: message('ada', {}) },
    { event: 'leave', message: message('ada', {}) },
  ]);
});

test('example: setting attributes', async () => {
  await bob.addPresenceListener({ channel }, hear);
  await ada.joinPresenceChannel({ channel });
  await run(setting);
  await isHeard(2);
  assert.deepEqual(heard[1], { event: 'updateAttributes', message: message('ada', { mood: 'happy' }) });
});

test('example: getting attributes', async () => {
  bob.init({ endpoint: broker.url, userProfileId: 'test-user-id', WebSocket });
  await bob.joinPresenceChannel({ channel });
  await bob.setPresenceUserAttributes({ channel, attributes: { mood: 'happy' } });
  const printed = await run(getting);
  await until(() => printed().length);
  assert.deepEqual(printed(), [[{ mood: 'happy' }]]);
});

// What the document says in words.

test('a second user sees join, updateAttributes, leave and timeout, in order', async () => {
  await bob.addPresenceListener({ channel }, hear);
  const { WebSocket: Breakable, breakAll } = breakable();
  ada.init({ endpoint: broker.url, userProfileId: 'ada', WebSocket: Breakable, graceMs: 0, firstRetryMs: 60_000, random: () => 1 });
  await ada.joinPresenceChannel({ channel });
  assert.deepEqual(await ada.setPresenceUserAttributes({ channel, attributes: { mood: 'happy' } }), { mood: 'happy' });
  await ada.leavePresenceChannel({ channel });
  await ada.joinPresenceChannel({ channel });
  await isHeard(4);
  breakAll();
  await isHeard(5);
  const { JOIN, LEAVE, TIMEOUT, ATTRIBUTES_UPDATE } = PresenceActionEvent;
  assert.deepEqual(heard, [
    { event: JOIN, message: message('ada', {}) },
    { event: ATTRIBUTES_UPDATE, message: message('ada', { mood: 'happy' }) },
    { event: LEAVE, message: message('ada', { mood: 'happy' }) },
    { event: JOIN, message: message('ada', {}) },
    { event: TIMEOUT, message: message('ada', {}) },
  ]);
});

test('attributes are replaced, not merged, and gone after leaving', async () => {
  const ours = { userProfileId: 'ada', channel };
  ada.joinPresenceChannel({ channel });
  await ada.setPresenceUserAttributes({ channel, attributes: { mood: 'happy', score: '1' } });
  await ada.setPresenceUserAttributes({ channel, attributes: { mood: 'sad' } });
  assert.deepEqual(await bob.getPresenceUserAttributes(ours), { mood: 'sad' });
  await ada.joinPresenceChannel({ channel });
  assert.deepEqual(await bob.getPresenceUserAttributes(ours), { mood: 'sad' }, 'joining again changes nothing');
  await ada.leavePresenceChannel({ channel });
  await assert.rejects(bob.getPresenceUserAttributes(ours), { code: 'not_found' });
  await ada.joinPresenceChannel({ channel });
  assert.deepEqual(await bob.getPresenceUserAttributes(ours), {});
});

test('whoever has not joined sets no attributes', async () => {
  await assert.rejects(ada.setPresenceUserAttributes({ channel, attributes: {} }), { name: 'HerenowError', code: 'not_joined' });
});

test('observing is not being present', async () => {
  await ada.addPresenceListener({ channel }, hear);
  assert.deepEqual(await bob.getPresenceChannelUsers({ channel }), { channelUsers: [] });
  assert.deepEqual(await bob.getPresenceUserChannels({ userProfileId: 'ada' }), { channels: [] });
});

test('each listener hears once, until it is removed; the last one ends the subscription', async () => {
  const other = mock.fn();
  const sent = [];
  adaClient.on('frame', ({ direction, text }) => direction === 'out' && sent.push(JSON.parse(text).type));
  await ada.addPresenceListener({ channel }, hear);
  await ada.addPresenceListener({ channel }, hear);
  await ada.addPresenceListener({ channel }, other);
  await bob.joinPresenceChannel({ channel });
  await isHeard(1);
  await ada.removePresenceListener({ channel }, hear);
  await ada.removePresenceListener({ channel }, hear);
  await bob.leavePresenceChannel({ channel });
  await until(() => other.mock.callCount() === 2);
  assert.equal(heard.length, 1);
  assert(!sent.includes('unsubscribe'));
  await ada.removePresenceListener({ channel }, other);
  assert.equal(sent.at(-1), 'unsubscribe');
});

test('a list longer than a page of the broker is whole, and newest first', async () => {
  const names = Array.from({ length: 1_100 }, (_, at) => `viewer-${at}`);
  const each = (init) => Promise.all(names.map((name) => fetch(`${broker.http}/v1/channels/${channel}/members/${name}`, init)));
  await each({ method: 'PUT' });
  await ada.joinPresenceChannel({ channel });
  const { channelUsers: listed } = await ada.getPresenceChannelUsers({ channel });
  await each({ method: 'DELETE' });
  assert.equal(listed[0].userProfileId, 'ada');
  assert.deepEqual(new Set(listed.map(({ userProfileId }) => userProfileId)), new Set(['ada', ...names]));
  assert.equal(listed.length, 1_101);
});

test('listing is fresh: nothing is three seconds old', async () => {
  assert.deepEqual(await bob.getPresenceChannelUsers({ channel }), { channelUsers: [] });
  await ada.joinPresenceChannel({ channel });
  assert.equal((await bob.getPresenceChannelUsers({ channel })).channelUsers.length, 1);
});

// The connection.

test('before init, and after close, every call rejects and says what is missing', async () => {
  ada.close();
  const arg = { channel, userProfileId: 'x', attributes: {} };
  const calls = Object.entries(ada).filter(([name]) => /Presence[A-Z]/.test(name) && name !== 'PresenceActionEvent');
  assert.equal(calls.length, 8);
  for (const [name, call] of calls) {
    await assert.rejects(call(arg, hear), { name: 'HerenowError', code: 'not_initialized', message: /init/ }, name);
  }
});

test('init again is another user, who begins with nothing', async () => {
  await bob.addPresenceListener({ channel }, hear);
  await ada.joinPresenceChannel({ channel });
  ada.init({ endpoint: broker.url, userProfileId: 'carol', WebSocket });
  await isHeard(2);
  assert.deepEqual(heard.map(({ event }) => event), ['join', 'leave']);
  await ada.joinPresenceChannel({ channel });
  await isHeard(3);
  assert.equal(heard[2].message.userProfileId, 'carol');
});

test('where presence is switched off, every call says so', async () => {
  bob.close();
  const strict = await startBroker({ flags: ['--disable-presence'] });
  try {
    ada.init({ endpoint: strict.url, userProfileId: 'ada', WebSocket });
    await assert.rejects(ada.addPresenceListener({ channel }, hear), { code: 'presence_disabled' });
    await assert.rejects(ada.joinPresenceChannel({ channel }), { code: 'presence_disabled' });
    await ada.removePresenceListener({ channel }, hear);
  } finally {
    ada.close();
    await strict.stop();
  }
});

test('through a lost connection others see nothing, and listeners stay', async () => {
  const { WebSocket: Breakable, breakAll, sockets } = breakable();
  ada.init({ endpoint: broker.url, userProfileId: 'ada', WebSocket: Breakable, random: () => 0 });
  await bob.addPresenceListener({ channel }, hear);
  const own = [];
  await ada.addPresenceListener({ channel }, (event) => own.push(event));
  await ada.joinPresenceChannel({ channel });
  await ada.setPresenceUserAttributes({ channel, attributes: { mood: 'happy' } });
  await isHeard(2);
  breakAll();
  await until(() => sockets.length === 2);
  await ada.setPresenceUserAttributes({ channel, attributes: { mood: 'calm' } });
  await isHeard(3);
  assert.deepEqual(heard.map(({ event }) => event), ['join', 'updateAttributes', 'updateAttributes']);
  await until(() => own.length === 3);
  assert.deepEqual(own, heard);
});

test('without a broker, what waits for its turn does not wait for ever longer', async () => {
  const nobody = await startBroker();
  await nobody.stop();
  ada.init({ endpoint: nobody.url, userProfileId: 'ada', WebSocket, timeoutMs: 200 });
  const begun = performance.now();
  const calls = [
    ada.joinPresenceChannel({ channel }),
    ...Array.from({ length: 8 }, () => ada.getPresenceChannelUsers({ channel })),
  ];
  for (const { reason } of await Promise.allSettled(calls)) assert.equal(reason?.code, 'timeout');
  assert(performance.now() - begun < 1_000);
});
