/** Several tabs and a back end write one member: nobody wipes or rounds what another wrote. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { client, freePort, loses, startBroker, startWire, tellings, until } from './broker.js';

/** Between two doubles: whoever reads it as a JavaScript number and writes it again has rounded it. */
const LARGE = '9007199254740993';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker.stop());

/** A bare socket, whose texts are looked at as they are. @param {string} url @param {string} user */
async function bare(url, user) {
  const socket = new WebSocket(`${url}?user=${user}`);
  /** @type {string[]} */
  const heard = [];
  socket.on('message', (data) => heard.push(String(data)));
  await once(socket, 'open');
  let id = 0;
  return {
    /** @param {string} fields of the frame @returns {Promise<string>} the answer's bytes */
    async ask(fields) {
      id += 1;
      const start = new RegExp(`^{"type":"(ok|result|error)","id":${id}[,}]`);
      socket.send(`{"id":${id},${fields}}`);
      await until('an answer', () => heard.some((text) => start.test(text)));
      const answer = heard.find((text) => start.test(text)) ?? '';
      assert.doesNotMatch(answer, /"error"/);
      return answer;
    },
    close: () => socket.close(),
  };
}

/** What ada carries, to the byte. @param {Awaited<ReturnType<typeof bare>>} socket @param {string} room */
async function carried(socket, room) {
  const answer = await socket.ask(`"type":"getAttributes","channel":"${room}","user":"ada"`);
  return /"attributes":(.*)}$/.exec(answer)?.[1];
}

test('a number of a back end or of another tab that JavaScript cannot hold is still exact after a reconnect', async () => {
  const wire = await startWire(broker.port);
  const here = client(wire.url, { user: 'ada' });
  const room = here.channel('exact');
  await room.join({ mood: 'happy', score: 1 });
  await room.subscribe();
  const other = await bare(broker.url, 'ada');
  await other.ask(`"type":"join","channel":"exact","merge":true,"attributes":{"score":${LARGE},"deep":{"n":[${LARGE}]}}`);
  const leased = await fetch(`${broker.http}/v1/channels/exact/members/ada`, {
    method: 'PUT', headers: { 'content-type': 'application/json' }, body: `{"attributes":{"ticket":${LARGE}},"merge":true}`,
  });
  assert.equal(leased.status, 200);
  const all = `{"deep":{"n":[${LARGE}]},"mood":"happy","score":${LARGE},"ticket":${LARGE}}`;
  await until('all of it is read here', () => room.get('ada')?.attributes.ticket !== undefined);
  const eve = await bare(broker.url, 'eve');

  const told = tellings(room);
  await loses(here, () => wire.cut());
  await until('it is back', () => room.joined === 'in' && room.live);
  assert.equal(await carried(eve, 'exact'), all);

  // Nobody else is left to say it again: only grace keeps it.
  await other.ask('"type":"leave","channel":"exact"');
  await fetch(`${broker.http}/v1/channels/exact/members/ada`, { method: 'DELETE' });
  await loses(here, () => wire.cut());
  await until('it is back again', () => room.joined === 'in' && room.live);
  assert.equal(await carried(eve, 'exact'), all);
  assert.deepEqual(told, []);
  for (const each of [here, other, eve]) each.close();
  await wire.stop();
});

test('two tabs and a restart: each says what it wrote itself, and neither wipes the other', async () => {
  let own = await startBroker({ port: await freePort() });
  const clients = [client(own.url, { user: 'ada' }), client(own.url, { user: 'ada' })];
  const [one, two] = clients.map((here) => here.channel('desk'));
  await one.join({ mood: 'happy', seat: 4 });
  await one.subscribe();
  await two.join();
  await two.setAttributes({ page: 2, mood: 'sad' });
  await until('one reads it', () => one.get('ada')?.attributes.page === 2);
  await Promise.all(clients.map((here) => loses(here, () => own.stop('SIGKILL'))));
  own = await startBroker({ port: own.port });
  await until('both are back', () => [one, two].every(({ joined }) => joined === 'in') && one.live);
  const eve = await bare(own.url, 'eve');
  assert.equal(await carried(eve, 'desk'), '{"mood":"sad","page":2,"seat":4}');
  for (const each of [...clients, eve]) each.close();
  await own.stop();
});

test('what was taken away without a connection does not come back with it', async () => {
  const wire = await startWire(broker.port);
  const here = client(wire.url, { user: 'ada' });
  const room = here.channel('away');
  await room.join({ mood: 'happy', seat: 4 });
  await loses(here, () => wire.cut());
  const taken = room.setAttributes({ seat: null });
  await taken;
  const eve = await bare(broker.url, 'eve');
  assert.equal(await carried(eve, 'away'), '{"mood":"happy"}');

  await loses(here, () => wire.cut());
  await room.setAttributes({ page: 1 }, { replace: true });
  assert.equal(await carried(eve, 'away'), '{"page":1}');
  for (const each of [here, eve]) each.close();
  await wire.stop();
});
