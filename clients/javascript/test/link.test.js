/** Dialling, back-off, Close codes and silence, against a socket of our own and real time. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { connect, HerenowError } from '../src/index.js';
import { retryDelay } from '../src/link.js';
import { sleep, until } from './broker.js';

const LIMITS = { framesPerSecond: 50, framesBurst: 300, graceMs: 60_000 };
const WELCOME = {
  type: 'welcome', protocol: 1, connection: 'c1', user: 'ada', server: { name: 'herenow', version: '0' },
  heartbeat: { intervalMs: 30_000, timeoutMs: 60_000 }, limits: LIMITS, now: Date.now(),
};

describe('back-off', () => {
  const longest = (/** @type {number} */ failures) => retryDelay(failures, { random: () => 1 });

  test('doubles from one second to ten while somebody may look, and to thirty in a hidden page', () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, 9, 5_000].map(longest), [1e3, 2e3, 4e3, 8e3, 1e4, 1e4, 1e4, 1e4]);
    Object.assign(globalThis, { document: { hidden: true } });
    assert.deepEqual([0, 1, 2, 3, 4, 5, 9, 5_000].map(longest), [1e3, 2e3, 4e3, 8e3, 16e3, 3e4, 3e4, 3e4]);
    Reflect.deleteProperty(globalThis, 'document');
  });

  test('has full jitter', () => {
    assert.equal(retryDelay(3, { random: () => 0 }), 0);
    assert.equal(retryDelay(3, { random: () => 0.25 }), 2_000);
  });
});

describe('against a server that does as it is told', () => {
  /** @type {WebSocketServer} */
  let server;
  let url = '';
  /** What is done with each connection, in turn; the last for all after it. @type {Array<(socket: WebSocket) => void>} */
  let script = [];
  let dials = 0;
  /** @type {ReturnType<typeof connect>[]} */
  const clients = [];

  before(async () => {
    server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    url = `ws://127.0.0.1:${/** @type {any} */ (server.address()).port}/ws`;
    server.on('connection', (socket) => script[Math.min(dials++, script.length - 1)](socket));
  });
  after(async () => {
    for (const client of clients) client.close();
    for (const socket of server.clients) socket.terminate();
    server.close();
    await once(server, 'close');
  });

  /** @param {import('../src/client.js').Options} [options] @param {...(socket: WebSocket) => void} steps */
  function dial(options, ...steps) {
    script = steps;
    dials = 0;
    const client = connect(url, { WebSocket, lazy: false, user: 'ada', firstRetryMs: 5, maxRetryMs: 20, ...options });
    clients.push(client);
    /** @type {string[]} */
    const errors = [];
    client.on('error', ({ code }) => errors.push(code));
    return { client, errors };
  }

  /** How long the client means to wait, when it begins to. @param {ReturnType<typeof connect>} client @returns {Promise<{error: HerenowError, waitMs: number}>} */
  const waiting = (client) => new Promise((resolve) => {
    client.on('state', (state) => {
      if (state.phase === 'waiting') resolve({ error: state.error, waitMs: state.retryAt - Date.now() });
    });
  });

  const welcome = (/** @type {WebSocket} */ socket, more = {}) => socket.send(JSON.stringify({ ...WELCOME, ...more }));
  const welcomes = (/** @type {WebSocket} */ socket) => welcome(socket);
  /** @param {number} code @param {any} [error] */
  const closing = (code, error) => (/** @type {WebSocket} */ socket) => {
    if (error) socket.send(JSON.stringify({ type: 'error', message: 'because', ...error }));
    else welcome(socket);
    socket.close(code);
  };

  for (const code of [1002, 1003, 1007, 1009, 4001, 4003, 4008, 4099]) {
    test(`${code} means: do not come back`, async () => {
      const { client, errors } = dial({}, closing(code));
      await until('it is closed', () => client.state.phase === 'closed');
      assert.equal(client.state.error?.closeCode, code);
      assert.equal(errors.length, 1);
      await sleep(60);
      assert.equal(dials, 1);
      await assert.rejects(client.channel('room').join(), (/** @type {any} */ error) => error instanceof HerenowError && error.closeCode === code);
    });
  }

  for (const code of [1000, 1001, 1011, 1012, 4100, 4101, 4150]) {
    test(`${code} means: come back`, async () => {
      const { client, errors } = dial({}, closing(code), closing(code), welcomes);
      await until('it is back', () => dials === 3 && client.state.phase === 'open');
      assert.deepEqual([...new Set(errors)], ['unreachable']);
    });
  }

  test('a cut is come back from', async () => {
    const { client } = dial({}, (socket) => { welcome(socket); socket.terminate(); }, welcomes);
    await until('it is back', () => dials === 2 && client.state.phase === 'open');
  });

  test('a refusal is told in the words of the broker', async () => {
    const { client } = dial({}, closing(4001, { code: 'unauthenticated', field: 'token' }));
    await until('it is closed', () => client.state.phase === 'closed');
    const { code, message, field, closeCode } = /** @type {HerenowError} */ (client.state.error);
    assert.deepEqual({ code, message, field, closeCode }, { code: 'unauthenticated', message: 'because', field: 'token', closeCode: 4001 });
  });

  test('a broker that is full says when to come back', async () => {
    const { client } = dial({}, closing(1013, { code: 'unavailable', retryAfterMs: 150 }), welcomes);
    const { error, waitMs } = await waiting(client);
    assert.equal(error.code, 'unavailable');
    assert.ok(waitMs > 100, `${waitMs} ms`);
    await until('it is back', () => client.state.phase === 'open');
  });

  test('an expired token is fetched again, if there is a way to', async () => {
    const expired = closing(4102, { code: 'token_expired' });
    let asked = 0;
    const { client } = dial({ token: () => `token${++asked}` }, expired, welcomes);
    await until('it is back', () => client.state.phase === 'open');
    assert.equal(asked, 2);
    const fixed = dial({ token: 'token' }, expired, welcomes).client;
    await until('it is closed', () => fixed.state.phase === 'closed');
    assert.equal(fixed.state.error?.code, 'token_expired');
  });

  test('goaway says when, and without jitter', async () => {
    const { client } = dial({ random: () => 0 }, (socket) => {
      welcome(socket);
      socket.send(JSON.stringify({ type: 'goaway', reconnectInMs: 300, reason: 'shutting down' }));
      socket.close(1012);
    }, welcomes);
    const { error, waitMs } = await waiting(client);
    assert.ok(waitMs > 250 && waitMs <= 300, `${waitMs} ms`);
    assert.match(error.message, /shutting down/);
    await until('it is back', () => client.state.phase === 'open');
  });

  for (const [what, hello] of /** @type {const} */ ([
    ['a newer protocol', JSON.stringify({ ...WELCOME, protocol: 2 })],
    ['an older one', JSON.stringify({ ...WELCOME, protocol: 0 })],
    ['another kind of server', '0{"sid":"x"}'],
    ['a frame before the welcome', '{"type":"presence"}'],
    ['JSON that is no object', 'null'],
  ])) {
    test(`${what} is told once, and not tried again`, async () => {
      const { client, errors } = dial({}, (socket) => socket.send(hello));
      await until('it is closed', () => client.state.phase === 'closed');
      assert.deepEqual(errors, ['unsupported_protocol']);
      await sleep(60);
      assert.equal(dials, 1);
    });
  }

  test('nobody there: one error, ever longer waits, and the promise says why', async () => {
    const client = connect('ws://127.0.0.1:1/ws', { WebSocket, firstRetryMs: 5, maxRetryMs: 40, timeoutMs: 1_000, random: () => 1 });
    clients.push(client);
    let [attempts, errors] = [0, 0];
    client.on('state', ({ phase }) => { attempts += Number(phase === 'connecting'); });
    client.on('error', () => { errors += 1; });
    await assert.rejects(client.channel('room').subscribe(), (/** @type {any} */ error) => (
      error.code === 'timeout' && error.cause.code === 'unreachable' && /no herenow broker answers/.test(error.message)
    ));
    assert.equal(errors, 1);
    assert.ok(attempts >= 2 && attempts <= 30, `${attempts} attempts`);
    client.close();
  });

  test('heartbeats come at the cadence of the broker, and when they are due', async () => {
    /** @type {string[]} */
    const heard = [];
    dial({}, (socket) => {
      socket.on('message', (text) => {
        heard.push(String(text));
        if (heard.length === 2) socket.send('{"type":"heartbeatDue","inMs":20000}');
        socket.send('{"type":"ok","id":"hb"}');
      });
      welcome(socket, { heartbeat: { intervalMs: 100, timeoutMs: 200 } });
    });
    await until('three', () => heard.length >= 3);
    for (const text of heard) assert.deepEqual(JSON.parse(text), { type: 'heartbeat', id: 'hb' });
  });

  test('frames go no faster than the broker allows, and in order', async () => {
    /** @type {string[]} */
    const heard = [];
    const { client } = dial({}, (socket) => {
      socket.on('message', (text) => heard.push(String(text)));
      welcome(socket, { limits: { ...LIMITS, framesPerSecond: 100, framesBurst: 10 } });
    });
    await until('it is open', () => client.state.phase === 'open');
    const began = performance.now();
    for (let n = 0; n < 30; n += 1) assert.equal(client.send(`count ${n}`), true);
    await until('all came', () => heard.length === 30);
    assert.deepEqual(heard, Array.from({ length: 30 }, (_, n) => `count ${n}`));
    assert.ok(performance.now() - began > 180, 'twenty-one more than the burst, at ninety a second');
  });

  test('a closed client does not come back', async () => {
    const { client, errors } = dial({}, welcomes);
    await until('it is open', () => client.state.phase === 'open');
    client.close();
    client.retry();
    assert.equal(client.state.error?.code, 'closed');
    assert.equal(client.send('hb'), false);
    assert.deepEqual(errors, []);
    await sleep(50);
    assert.equal(dials, 1);
  });

  test('the page may try again after a refusal', async () => {
    const { client } = dial({}, closing(4003), welcomes);
    await until('it is closed', () => client.state.phase === 'closed');
    assert.equal(client.state.error?.code, 'kicked');
    client.retry();
    await until('it is back', () => client.state.phase === 'open');
  });
});

describe('bad input', () => {
  for (const url of ['', 'nonsense', 'ftp://example.com/ws', 'ws://', 'mailto:ada@example.com']) {
    test(JSON.stringify(url), () => {
      assert.throws(() => connect(url, { WebSocket }), { name: 'HerenowError', code: 'invalid_url' });
    });
  }

  test('no WebSocket', { skip: 'WebSocket' in globalThis && 'there is a global one' }, () => {
    assert.throws(() => connect('ws://127.0.0.1:1/ws', { lazy: false }), { code: 'no_websocket' });
  });

  for (const token of [() => { throw new Error('offline'); }, () => Promise.reject(new Error('offline')), () => 'two words', 'bad token']) {
    test(`a token that is none: ${token}`, async () => {
      const client = connect('ws://127.0.0.1:1/ws', { WebSocket, lazy: false, token, timeoutMs: 300 });
      const error = await new Promise((resolve) => client.on('error', resolve));
      assert.equal(error.code, 'token_failed');
      assert.equal(client.state.phase, 'waiting', 'tried again later');
      client.close();
    });
  }
});
