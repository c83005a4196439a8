/** The switch that tells on the console what goes over the wire, how the connection stands, and why. */

import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { client, startBroker, until } from './broker.js';
import { SECRET, token } from './facade-helpers.js';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
before(async () => {
  broker = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
});
after(() => broker.stop());

/** @param {import('../src/client.js').Options} options @param {string} [url] */
async function spoken(options, url = broker.url) {
  const spy = mock.method(console, 'debug', () => {});
  const here = client(url, { token: () => token({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + 3 }), ...options });
  const lines = () => spy.mock.calls.map(({ arguments: [first, ...rest] }) => {
    assert.equal(first, 'herenow');
    return rest.map((each) => (
      typeof each === 'string' ? each : `${each.phase ?? ''} ${each.error?.message ?? each.message ?? ''}`
    )).join(' ').trim();
  });
  return { here, lines, end: () => { here.close(); spy.mock.restore(); } };
}

test('it tells frames both ways, and states', async () => {
  const { here, lines, end } = await spoken({ debug: true });
  await here.channel('room').join({ mood: 'happy' });
  const told = lines();
  assert.match(told[0], /^state connecting/);
  for (const line of [/^state open/, /^frame \{"type":"welcome".* in$/, /^frame \{.*"type":"join".*"mood":"happy".* out$/, /^frame \{"type":"ok".* in$/]) {
    assert.ok(told.some((each) => line.test(each)), `${line} in\n${told.join('\n')}`);
  }
  end();
});

test('it tells why', async () => {
  const { lines, end } = await spoken({ debug: true }, 'ws://127.0.0.1:1/ws');
  await until('it waits', () => lines().some((line) => line.startsWith('state waiting')));
  assert.ok(lines().includes('state waiting no herenow broker answers here'), lines().join('\n'));
  assert.ok(lines().some((line) => line.startsWith('error')));
  end();
});

test('it does not tell tokens, since consoles end up in bug reports', async () => {
  const { lines, end } = await spoken({ debug: true });
  await until('it is renewed', () => lines().some((line) => line.includes('"type":"auth"')));
  assert.ok(!lines().some((line) => line.includes('eyJ')), lines().join('\n'));
  end();
});

test('it is silent without being asked', async () => {
  const { here, lines, end } = await spoken({});
  await here.channel('room').join();
  assert.deepEqual(lines(), []);
  end();
});

test('it can be switched on in a page that was built without it', async (t) => {
  const page = { document: new EventTarget(), localStorage: { herenow: 'debug' } };
  for (const [name, value] of Object.entries(page)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  t.after(() => Object.keys(page).forEach((name) => Reflect.deleteProperty(globalThis, name)));
  const on = await spoken({});
  await until('it speaks', () => on.lines().length);
  on.end();
  const off = await spoken({ debug: false });
  await off.here.channel('room').join();
  assert.deepEqual(off.lines(), [], 'the program says no');
  off.end();
  Object.defineProperty(globalThis, 'localStorage', { configurable: true, get() { throw new Error('SecurityError'); } });
  const denied = await spoken({});
  await denied.here.channel('room').join();
  assert.deepEqual(denied.lines(), []);
  denied.end();
});
