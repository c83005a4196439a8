/** Tokens that do not last, are refused, or are none: what a page sees, and how often it is asked. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { client, freePort, loses, sleep, startBroker, startWire, until } from './broker.js';
import { SECRET, token } from './facade-helpers.js';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {Array<{close(): void}>} */
const clients = [];

before(async () => {
  broker = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
});
after(async () => {
  for (const each of clients) each.close();
  await broker.stop();
});

const inSeconds = (/** @type {number} */ seconds) => Math.floor(Date.now() / 1000) + seconds;

/** @param {import('../src/client.js').Options['token']} source @param {string} [url] @param {import('../src/client.js').Options} [options] */
function person(source, url = broker.url, options) {
  const asked = { times: 0, at: /** @type {number[]} */ ([]) };
  const here = client(url, {
    ...options,
    token: typeof source !== 'function' ? source : () => {
      asked.times += 1;
      asked.at.push(performance.now());
      return source();
    },
  });
  clients.push(here);
  /** @type {import('../src/index.js').HerenowError[]} */
  const errors = [];
  here.on('error', (error) => errors.push(error));
  return { here, asked, errors };
}

describe('a token is not fetched again and again', { concurrency: true }, () => {
  test('where its life is shorter than the warning', async () => {
    const { here, asked, errors } = person(() => token({ sub: 'ada', exp: inSeconds(6) }));
    const phases = new Set();
    await here.channel('short').join();
    here.on('state', ({ phase }) => phases.add(phase));
    await sleep(9_000);
    assert.ok(asked.times >= 2 && asked.times <= 6, `${asked.times} times in 9 s`);
    assert.deepEqual([here.channel('short').joined, [...phases], errors], ['in', [], []]);
  });

  test('where the page keeps the same until it expires', async () => {
    let kept = token({ sub: 'ada', exp: inSeconds(6) });
    const { here, asked } = person(() => kept);
    await here.channel('kept').join();
    await sleep(4_000);
    assert.ok(asked.times <= 4, `${asked.times} times in 4 s`);
    await until('it has expired', () => here.state.phase !== 'open');
    kept = token({ sub: 'ada' });
    await until('the page has another', () => here.channel('kept').joined === 'in');
    assert.ok(asked.times <= 8, `${asked.times} times`);
  });

  test('where the page has only one that is over', async () => {
    const over = token({ sub: 'ada', exp: inSeconds(-5) });
    const { asked, errors } = person(() => over);
    await sleep(4_500);
    // At 0, 1 and 3 seconds.
    assert.ok(asked.times >= 2 && asked.times <= 3, `${asked.times} times in 4.5 s`);
    assert.equal(errors[0].code, 'token_expired');
    for (let n = 1; n < asked.times; n += 1) assert.ok(asked.at[n] - asked.at[n - 1] > 990 * n, `${asked.at}`);
  });

  test('where the page brings none', async () => {
    const { here, asked } = person(() => Promise.reject(new Error('offline')));
    await sleep(2_500);
    assert.ok(asked.times >= 2 && asked.times <= 3, `${asked.times} times in 2.5 s`);
    here.retry();
    here.retry();
    await sleep(50);
    assert.ok(asked.times <= 3, 'asking for it changes nothing');
    assert.equal(here.state.error?.code, 'token_failed');
  });

  test('where nobody answers, since a fresh one would change nothing', async () => {
    const { here, asked } = person(() => token({ sub: 'ada' }), 'ws://127.0.0.1:1/ws');
    let dials = 0;
    here.on('state', ({ phase }) => { dials += Number(phase === 'connecting'); });
    await until('it has dialled often', () => dials > 10);
    assert.equal(asked.times, 1);
  });

  test('but for each connection that there was', async () => {
    const wire = await startWire(broker.port);
    const { here, asked } = person(() => token({ sub: 'ada' }), wire.url);
    await here.channel('each').join();
    await loses(here, wire.cut);
    await until('it is back', () => here.channel('each').joined === 'in');
    assert.equal(asked.times, 2);
    await wire.stop();
  });
});

test('a renewal that began on another connection is not applied to this one', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  /** @type {string[]} */
  const heard = [];
  server.on('connection', (socket, request) => {
    heard.push(`dialled with ${names.get(String(request.headers['sec-websocket-protocol']).split('bearer.')[1])}`);
    socket.on('message', (text) => {
      const { type, token: shown, id } = JSON.parse(String(text));
      if (type === 'auth') heard.push(`renewed with ${names.get(shown)}`);
      socket.send(JSON.stringify({ type: 'ok', id }));
    });
    socket.send(JSON.stringify({
      type: 'welcome', protocol: 1, user: 'ada', now: Date.now(), heartbeat: { intervalMs: 30_000 },
      limits: { framesPerSecond: 50, framesBurst: 300, graceMs: 60_000 },
    }));
  });
  const names = new Map();
  const made = (/** @type {string} */ name, /** @type {number} */ seconds) => {
    const text = token({ sub: 'ada', name, exp: inSeconds(seconds) });
    names.set(text, name);
    return text;
  };
  /** @type {Array<(token: string) => void>} */
  const slow = [];
  const tokens = [
    () => made('first', 3), () => new Promise((resolve) => slow.push(resolve)), () => made('third', 600),
  ];
  const { here, errors } = person(() => /** @type {any} */ (tokens.shift())(), `ws://127.0.0.1:${/** @type {any} */ (server.address()).port}`);
  await until('the renewal has begun', () => slow.length === 1);
  await loses(here, () => server.clients.forEach((socket) => socket.terminate()));
  await until('it is back', () => heard.length === 2 && here.state.phase === 'open');
  slow[0](made('second', 600));
  await sleep(100);
  assert.deepEqual(heard, ['dialled with first', 'dialled with third']);
  assert.deepEqual(errors.map(({ code }) => code), ['unreachable']);
  here.close();
  for (const socket of server.clients) socket.terminate();
  server.close();
});

describe('a token that is refused', { concurrency: true }, () => {
  test('is not the end where the page can bring another: a clock that is ahead', async () => {
    let ahead = 60;
    const { here, errors } = person(() => token({ sub: 'ada', nbf: inSeconds(ahead) }));
    const joined = here.channel('ahead').join();
    await until('it is refused', () => errors.length === 1);
    assert.equal(errors[0].code, 'unauthenticated');
    assert.equal(here.state.phase, 'waiting');
    ahead = 0;
    await joined;
    assert.equal(errors.length, 1);
  });

  test('is not the end where the page can bring another: a secret that rotates', async () => {
    let rotating = await startBroker({ port: await freePort(), env: { HERENOW_JWT_SECRET: SECRET } });
    const { port } = rotating;
    const { here } = person(() => token({ sub: 'ada', exp: inSeconds(600) }), rotating.url);
    await here.channel('rotates').join();
    await rotating.stop();
    rotating = await startBroker({ port, env: { HERENOW_JWT_SECRET: 'another secret, of 32 bytes or more' } });
    await until('it is refused', () => here.state.error?.code === 'unauthenticated');
    await rotating.stop();
    rotating = await startBroker({ port, env: { HERENOW_JWT_SECRET: SECRET } });
    await until('it is back', () => here.channel('rotates').joined === 'in');
    here.close();
    await rotating.stop();
  });

  test('again and again is the end, after a while', { timeout: 90_000 }, async () => {
    const { here, asked, errors } = person(() => token({ sub: 'ada', nbf: inSeconds(600) }));
    await until('it is over', () => here.state.phase === 'closed', 60_000);
    assert.equal(asked.times, 6, 'the first, and five more');
    assert.ok(asked.at[5] - asked.at[0] > 20_000, 'in half a minute');
    assert.equal(here.state.error?.code, 'unauthenticated');
    assert.deepEqual(errors.map(({ code }) => code), ['unauthenticated', 'unauthenticated'], 'told at first and in the end');
    await assert.rejects(here.channel('room').join(), { code: 'unauthenticated' });
  });

  test('on the same connection is tried again, and the connection stays', async () => {
    const wrong = token({ sub: 'ada', exp: inSeconds(600) }).slice(0, -4);
    const tokens = [token({ sub: 'ada', exp: inSeconds(8) }), wrong];
    const { here, asked, errors } = person(() => tokens.shift() ?? token({ sub: 'ada' }));
    const phases = new Set();
    await here.channel('stays').join();
    here.on('state', ({ phase }) => phases.add(phase));
    await until('another is accepted', () => asked.times === 3);
    await sleep(3_500);
    assert.deepEqual([errors.map(({ code }) => code), [...phases]], [['unauthenticated'], []]);
  });

  test('is the end where there is no other', async () => {
    const { here } = person(token({ sub: 'ada', nbf: inSeconds(600) }));
    await until('it is over', () => here.state.phase === 'closed');
    assert.equal(here.state.error?.code, 'unauthenticated');
  });
});

describe('what is no token', () => {
  const page = `<!DOCTYPE html><html><title>Log in</title>${'x'.repeat(5_000)}</html>`;
  for (const [what, brought, shown] of /** @type {const} */ ([
    ['nothing', undefined, 'undefined'],
    ['null', null, 'null'],
    ['an empty text', '', ''],
    ['a number', 7, '7'],
    ['an object', { token: 'eyJhbGciOiJIUzI1NiJ9.e30.c2ln' }, '[object Object]'],
    ['a login page', page, '<!DOCTYPE html>'],
    ['a list of tokens', 'a, bearer.b', 'a, bearer.b'],
  ])) {
    test(`${what} is not sent, and the error says so in short`, async () => {
      const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
      await once(server, 'listening');
      server.on('connection', () => assert.fail('it dialled'));
      const { here, errors } = person(/** @type {any} */ (() => brought), `ws://127.0.0.1:${/** @type {any} */ (server.address()).port}`);
      await until('it is told', () => errors.length === 1);
      assert.equal(errors[0].code, 'token_failed');
      assert.equal(errors[0].message, `options.token brought no JSON Web Token: ${shown}`);
      here.close();
      server.close();
    });
  }

  test('a token’s function that fails with a page is told in short', async () => {
    const { here, errors } = person(() => Promise.reject(new Error(page)));
    await until('it is told', () => errors.length === 1);
    assert.ok(errors[0].message.length < 300, errors[0].message);
    assert.equal(/** @type {Error} */ (errors[0].cause).message, page);
    here.close();
  });
});
