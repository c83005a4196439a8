/** Roles gained, lost and exchanged between two connections: the page is right at once. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, loses, settled, startBroker, startWire, until } from './broker.js';
import { SECRET, token } from './facade-helpers.js';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {Array<{close(): void}>} */
const clients = [];
let rooms = 0;

before(async () => {
  broker = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
});
after(async () => {
  for (const each of clients) each.close();
  await broker.stop();
});

/** @param {string} sub @param {string} [url] @param {() => string[]} [roles] */
function person(sub, url = broker.url, roles = () => []) {
  const here = client(url, { token: () => token({ sub, roles: roles() }) });
  clients.push(here);
  return here;
}

/** @param {import('../src/channel.js').Channel} channel */
const names = (channel) => channel.members.map(({ user }) => user).sort();

for (const { what, had, has, saw, sees } of [
  { what: 'gained', had: [], has: ['blue'], saw: ['open'], sees: ['azure', 'open'] },
  { what: 'lost', had: ['blue'], has: [], saw: ['azure', 'open'], sees: ['open'] },
  { what: 'exchanged', had: ['blue'], has: ['red'], saw: ['azure', 'open'], sees: ['crimson', 'open'] },
  { what: 'kept', had: ['red', 'blue'], has: ['blue', 'red'], saw: ['azure', 'crimson', 'open'], sees: ['azure', 'crimson', 'open'] },
]) {
  test(`roles ${what} while the connection was away`, async () => {
    const name = `room-${++rooms}`;
    await person('azure').channel(name).join({}, { visibleTo: ['blue'] });
    await person('crimson').channel(name).join({}, { visibleTo: ['red'] });
    await person('open').channel(name).join();
    const wire = await startWire(broker.port);
    let roles = had;
    const ada = person('ada', wire.url, () => roles);
    const room = ada.channel(name);
    await room.subscribe();
    assert.deepEqual(names(room), saw);
    const [before, snapshots] = [ada.sight, /** @type {any[]} */ ([])];
    assert.ok(before);
    ada.on('frame', ({ direction, text }) => {
      if (direction === 'in' && text.includes('"snapshot"') && !text.includes('"more"')) snapshots.push(text);
    });
    roles = has;
    await loses(ada, () => wire.cut());
    await until('it is back', () => ada.sight !== undefined && room.live);
    assert.deepEqual(names(room), sees);
    assert.equal(ada.sight === before, what === 'kept');
    assert.equal(snapshots.length, what === 'kept' ? 0 : 1);
    await settled(room);
    assert.deepEqual(names(room), sees);
    await wire.stop();
  });
}

test('whoever comes to be seen by more is the newest, to who saw it before too', async () => {
  const name = `room-${++rooms}`;
  const azure = person('azure').channel(name);
  await azure.join({}, { visibleTo: ['blue'] });
  const ada = person('ada', broker.url, () => ['blue']).channel(name);
  await ada.subscribe();
  await person('open').channel(name).join();
  await until('both are known', () => ada.members.length === 2);
  const since = ada.members.find(({ user }) => user === 'azure')?.joinedAt;
  assert.deepEqual(ada.members.map(({ user }) => user), ['open', 'azure']);
  await azure.join({}, { visibleTo: ['any'] });
  await until('it is the newest', () => ada.members[0].user === 'azure');
  assert.ok(/** @type {number} */ (ada.members[0].joinedAt) > /** @type {number} */ (since));
});
