/** Of an app, with the runner that Node.js has; Vitest and Jest do as well. No network, no broker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeBroker } from 'herenow/testing';
import { livestream } from './livestream.js';

/** Asks until it is so. */
const eventually = async (isSo) => {
  for (let tries = 0; !isSo() && tries < 200; tries += 1) await new Promise((next) => setTimeout(next, 10));
  assert(isSo());
};

test('the badge counts who watches, and says nothing wrong while the network is gone', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada' });
  const [badge, avatars] = [document.createElement('b'), document.createElement('p')];
  await livestream(here, 'stream', { badge, avatars });
  await eventually(() => badge.textContent === '1 watching');

  broker.join('stream', 'bob', {}, { info: { name: 'Bob', avatar: '/bob.png' } });
  await eventually(() => badge.textContent === '2 watching');
  assert.equal(avatars.querySelector('img').alt, 'Bob');

  broker.stop();
  await eventually(() => here.state.phase === 'waiting');
  assert.equal(badge.textContent, '2 watching');
  broker.start();
  await eventually(() => here.channel('stream').live);
  here.close();
});

test('who may not join is told', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada' });
  broker.refuse('join', { code: 'forbidden', message: 'the stream is for subscribers' });
  const elements = { badge: document.createElement('b'), avatars: document.createElement('p') };
  await assert.rejects(livestream(here, 'stream', elements), { code: 'forbidden' });
  here.close();
});
