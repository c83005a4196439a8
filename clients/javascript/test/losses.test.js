/** The promise that a short loss is nobody's business, a thousand times; and readers that are slow. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { client, settled, startBroker, startWire, state, tellings, until } from './broker.js';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker.stop());

test('1,000 short losses, and an observer hears of none', { timeout: 120_000 }, async () => {
  const [PEOPLE, ROUNDS] = [40, 25];
  const wire = await startWire(broker.port);
  const observer = client(broker.url, { user: 'observer' });
  const room = observer.channel('losses');
  await room.subscribe();
  const clients = Array.from({ length: PEOPLE }, (_, n) => client(wire.url, { user: `user-${n}` }));
  const people = clients.map((here) => here.channel('losses'));
  await Promise.all(people.map((each, n) => each.join({ n })));
  await Promise.all(people.slice(0, 10).map((each) => each.subscribe()));
  await settled(room);

  const observed = tellings(room);
  // They lose each other too, and see as little of it.
  const seen = people.slice(0, 10).map(tellings);
  let losses = 0;
  for (const here of clients) here.on('state', ({ phase }) => { losses += Number(phase === 'waiting'); });
  for (let round = 1; round <= ROUNDS; round += 1) {
    wire.cut();
    await until('all noticed', () => losses >= round * PEOPLE);
    await until('all are back', () => people.every(({ joined }) => joined === 'in'));
  }
  await until('all are in step', () => people.slice(0, 10).every(({ live }) => live));
  await settled(room);
  assert.ok(losses >= 1_000, `${losses} losses`);
  assert.deepEqual(observed, []);
  assert.deepEqual(seen.flat(), []);
  assert.deepEqual(state(room.members), state(people.map((_, n) => ({ user: `user-${n}`, attributes: { n }, joinedAt: 0 }))));
  for (const here of [...clients, observer]) here.close();
  await wire.stop();
});

test('a reader that slept is brought up to date, and told only what is so', { timeout: 120_000 }, async () => {
  /** @type {any} */
  let socket;
  class Sleepy extends WebSocket {
    /** @param {string} url @param {string[]} protocols */
    constructor(url, protocols) {
      super(url, protocols);
      socket = this;
    }
  }
  const reader = client(broker.url, { user: 'reader', WebSocket: Sleepy });
  const room = reader.channel('slow');
  const clients = Array.from({ length: 12 }, (_, n) => client(broker.url, { user: `user-${n}` }));
  const people = clients.map((here) => here.channel('slow'));
  await Promise.all(people.map((each) => each.join({ n: 0 })));
  await room.subscribe();
  const told = tellings(room);
  /** @type {string[]} */
  const reasons = [];
  reader.on('frame', ({ text }) => {
    const frame = text.startsWith('{"type":"snapshot"') ? JSON.parse(text) : null;
    if (frame) reasons.push(frame.reason);
  });

  socket.pause();
  const ballast = 'x'.repeat(3_500);
  for (let n = 1; n <= 240; n += 1) {
    await Promise.all(people.map((each) => each.setAttributes({ n, ballast }, { replace: true })));
    if (n % 60 === 0) await Promise.all(people.map((each) => each.getCount()));
  }
  await people[11].leave();
  await Promise.all(people.slice(0, 11).map((each) => each.setAttributes({ n: 'last' }, { replace: true })));
  socket.resume();
  await until('it is in step', () => room.live && room.count === 11 && room.members.every(({ attributes }) => attributes.n === 'last'), 60_000);
  assert.ok(reasons.length > 0, 'there was more than it could be told frame by frame');
  const comings = told.filter((line) => !line.startsWith('updateAttributes'));
  assert.equal(comings.length, 1, comings.join('\n'));
  assert.match(comings[0], /^leave user-11 /);
  for (const here of [...clients, reader]) here.close();
});
