/** What a page does when it is hidden, left, and told of its network: with a document made for it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, loses, settled, stage, tellings, until } from './broker.js';
import { hide, page } from './hidden.js';

const { broker, wire, clients } = await stage();
let rooms = 0;

/** Somebody on another page. @param {string} user */
function elsewhere(user) {
  const listen = Object.getOwnPropertyDescriptor(globalThis, 'addEventListener');
  Object.assign(globalThis, { addEventListener: undefined });
  const here = client(broker.url, { user });
  clients.push(here);
  Object.defineProperty(globalThis, 'addEventListener', /** @type {PropertyDescriptor} */ (listen));
  return here;
}

/** @param {import('../src/client.js').Options} [options] */
async function scene(options) {
  const name = `room-${++rooms}`;
  const here = client(wire.url, { user: 'ada', ...options });
  clients.push(here);
  const room = elsewhere('observer').channel(name);
  const told = tellings(room);
  await room.subscribe();
  return { here, ada: here.channel(name), room, told };
}

test('a viewer who is not counted while the page is hidden', async () => {
  const { here, ada, told } = await scene();
  await ada.join({ mood: 'happy' }, { whenHidden: 'leave' });
  hide(true);
  await until('she is gone', () => told.length === 2);
  assert.equal(ada.joined, 'out');
  await ada.setAttributes({ mood: 'sad' });
  hide(false);
  await until('she is back', () => told.length === 3);
  assert.deepEqual(told, ['join ada {"mood":"happy"}', 'leave ada {"mood":"happy"} left', 'join ada {"mood":"sad"}']);
  hide(true);
  await until('she is gone', () => told.length === 4);
  await loses(here, wire.cut);
  await until('she is connected again', () => here.state.phase === 'open');
  await ada.join(undefined, { whenHidden: 'leave' });
  assert.equal(ada.joined, 'out', 'not while the page is hidden');
  hide(false);
  await until('she is back', () => told.length === 5);
});

test('a member who is marked while the page is hidden', async () => {
  const { ada, room, told, here } = await scene();
  await ada.join({ mood: 'happy', away: 'no' }, { whenHidden: { away: true, since: 'now' } });
  hide(true);
  await until('she is marked', () => told.length === 2);
  await loses(here, wire.cut);
  await until('she is back', () => ada.joined === 'in');
  await settled(room);
  hide(false);
  await until('she is not', () => told.length === 3);
  assert.deepEqual(told, [
    'join ada {"away":"no","mood":"happy"}', 'updateAttributes ada {"away":true,"mood":"happy","since":"now"}',
    'updateAttributes ada {"away":"no","mood":"happy"}',
  ]);
  assert.equal(here.state.phase, 'open');
});

test('a page that is left leaves at once, and is back from the browser’s cache', async () => {
  const { ada, told, here } = await scene();
  await ada.join({ mood: 'happy' });
  page.dispatchEvent(new Event('pagehide'));
  await until('she is gone', () => told.length === 2);
  assert.equal(here.state.phase, 'waiting');
  page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  await until('she is back', () => told.length === 3);
  assert.deepEqual(told, ['join ada {"mood":"happy"}', 'leave ada {"mood":"happy"} closed', 'join ada {"mood":"happy"}']);
});

test('a reload within the grace is seen by nobody, if the page wants it so', async () => {
  const { ada, told, room } = await scene({ onPageHide: 'grace' });
  await ada.join({ mood: 'happy' });
  page.dispatchEvent(new Event('pagehide'));
  await elsewhere('ada').channel(room.name).join({ mood: 'happy' });
  await settled(room);
  assert.deepEqual(told, ['join ada {"mood":"happy"}']);
});

test('the network is back: no waiting', async () => {
  const { ada, here } = await scene({ firstRetryMs: 60_000, maxRetryMs: 60_000, random: () => 1 });
  await ada.join();
  await loses(here, wire.cut);
  page.dispatchEvent(new Event('online'));
  await until('she is back', () => ada.joined === 'in');
});

test('the network is said to be gone: a connection that is not dead stays', async () => {
  const { ada, here } = await scene();
  await ada.join();
  page.dispatchEvent(new Event('offline'));
  await ada.getCount();
  assert.equal(here.state.phase, 'open');
});

test('a client that was closed listens to the page no more', async () => {
  const { ada, here } = await scene();
  await ada.join();
  here.close();
  hide(true);
  hide(false);
  page.dispatchEvent(new Event('online'));
  assert.equal(here.state.phase, 'closed');
});
