/** What a page shows and when: frames of the page, the first `open`, reloads, silence, outages. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { client, loses, sleep, stage, until } from './broker.js';
import { document, hide, page } from './hidden.js';

/** @type {Map<string, string>} */
const stored = new Map();
const sessionStorage = {
  getItem: (/** @type {string} */ key) => stored.get(key) ?? null,
  setItem: (/** @type {string} */ key, /** @type {string} */ value) => { stored.set(key, value); },
};
Object.defineProperty(globalThis, 'sessionStorage', { value: sessionStorage, configurable: true });

const { broker, wire, clients } = await stage();

/** @param {import('../src/client.js').Options} [options] */
function visitor(options, url = wire.url) {
  const here = client(url, options);
  clients.push(here);
  return here;
}

test('`change` comes at most once in each frame of the page, however the changes fall', async () => {
  const { soon } = await import('../src/soon.js');
  /** @type {((now: number) => void)[]} */
  let asked = [];
  Object.assign(globalThis, { requestAnimationFrame: (/** @type {() => void} */ act) => asked.push(act) });
  let calls = 0;
  const ask = soon(() => { calls += 1; });
  for (let frame = 1; frame <= 40; frame += 1) {
    // Some frames are long, so that timers of those before would come in the middle.
    for (let at = 0; at < 4; at += 1) {
      ask();
      await sleep(frame % 5 ? 2 : 30);
    }
    assert.equal(calls, frame - 1, 'not before the frame');
    const acts = asked;
    asked = [];
    for (const act of acts) act(0);
    assert.equal(calls, frame);
  }
  Object.assign(document, { visibilityState: 'hidden', hidden: true });
  ask();
  await until('a hidden page hears too', () => calls === 41);
  Object.assign(document, { visibilityState: 'visible', hidden: false });
  delete (/** @type {any} */ (globalThis)).requestAnimationFrame;
});

test('the first `open` comes with who we are and what the broker said', async () => {
  const here = visitor({ user: 'ada' });
  const seen = await new Promise((resolve) => {
    here.on('state', ({ phase }) => phase === 'open' && resolve([here.me, here.welcome?.protocol, here.state.phase]));
  });
  assert.deepEqual(seen, ['ada', 1, 'open']);
});

test('a page that unloads is no error', async () => {
  const here = visitor({ user: 'ada' });
  here.on('error', ({ code }) => assert.fail(code));
  await here.channel('room').join();
  page.dispatchEvent(new Event('pagehide'));
  assert.deepEqual([here.state.phase, here.state.error], ['waiting', undefined]);
  await sleep(50);
});

test('a guest keeps its name when the page is loaded again, and another broker does not hear it', async () => {
  const first = visitor({});
  await until('it has a name', () => first.me);
  assert.match(first.me, /^guest-/);
  first.close();
  const again = visitor({});
  const elsewhere = visitor({}, broker.url);
  await until('both have names', () => again.me && elsewhere.me);
  assert.equal(again.me, first.me);
  assert.notEqual(elsewhere.me, first.me);
  const ada = visitor({ user: 'ada' });
  await until('she is there', () => ada.me);
  assert.equal(ada.me, 'ada');
  const third = visitor({});
  await until('it has a name', () => third.me);
  assert.equal(third.me, first.me);
  for (const here of [again, elsewhere, ada, third]) here.close();
});

test('a page that may keep nothing is a guest all the same', async () => {
  const descriptor = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(globalThis, 'sessionStorage'));
  Object.defineProperty(globalThis, 'sessionStorage', { get() { throw new Error('SecurityError'); }, configurable: true });
  const here = visitor({});
  await until('it has a name', () => here.me);
  Object.defineProperty(globalThis, 'sessionStorage', descriptor);
  here.close();
});

test('a status tells whether it is live', async () => {
  const here = visitor({ user: 'ada' });
  const bob = here.user('bob');
  /** @type {boolean[]} */
  const told = [];
  let plain = 0;
  bob.watch(({ live }) => told.push(live), { live: true });
  bob.watch(() => { plain += 1; });
  await until('it is told', () => plain === 1);
  assert.equal(bob.status?.live, true);
  await loses(here, wire.cut);
  assert.equal(bob.status?.live, false);
  await until('it is live again', () => bob.status?.live);
  assert.deepEqual([told, plain], [[true, false, true], 1]);
  here.close();
});

test('one watcher that is given twice is two, and each removal takes its own', async () => {
  const here = visitor({ user: 'ada' });
  let calls = 0;
  const watcher = () => { calls += 1; };
  const stops = [here.user('cy').watch(watcher), here.user('cy').watch(watcher)];
  await until('both heard', () => calls === 2);
  stops[0]();
  stops[0]();
  await here.status({ busy: true });
  const cy = visitor({ user: 'cy' }, broker.url);
  await until('the other hears on', () => calls === 3);
  stops[1]();
  assert.equal(here.user('cy').status, null);
  for (const each of [here, cy]) each.close();
});

describe('against a server that does as it is told', () => {
  /** @type {WebSocketServer} */
  let server;
  let url = '';
  let answers = true;
  before(async () => {
    server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    url = `ws://127.0.0.1:${/** @type {any} */ (server.address()).port}/ws`;
    server.on('connection', (socket) => {
      socket.send(JSON.stringify({
        type: 'welcome', protocol: 1, connection: 'c1', user: 'ada', now: Date.now(),
        heartbeat: { intervalMs: 30_000, timeoutMs: 60_000 },
        limits: { framesPerSecond: 50, framesBurst: 300, graceMs: 60_000 },
      }));
      socket.on('message', () => answers && socket.send('{"type":"ok","id":"hb"}'));
    });
  });
  after(async () => {
    for (const socket of server.clients) socket.terminate();
    server.close();
    await once(server, 'close');
  });

  test('a half-open connection is noticed within 15 s while the page is visible', { timeout: 60_000 }, async () => {
    const here = visitor({ user: 'ada', WebSocket }, url);
    await until('it is open', () => here.state.phase === 'open');
    let beats = 0;
    here.on('frame', ({ direction }) => { beats += Number(direction === 'out'); });
    const began = performance.now();
    await loses(here, () => { answers = false; });
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 15_000, `${tookMs} ms`);
    assert.equal(beats, 1, 'for one frame');
    here.close();
    answers = true;
  });

  test('in an outage waits are at most 10 s while the page is visible, and spread; 30 s while it is hidden', async () => {
    for (const [state, bound] of /** @type {const} */ ([['visible', 10_000], ['hidden', 30_000]])) {
      hide(state === 'hidden');
      for (const random of [1, 0.5]) {
        /** @type {number[]} */
        const waits = [];
        const here = visitor({ user: 'ada', firstRetryMs: undefined, maxRetryMs: undefined, random: () => random }, 'ws://127.0.0.1:1/ws');
        here.on('state', (told) => {
          if (told.phase !== 'waiting') return;
          waits.push(told.retryAt - Date.now());
          queueMicrotask(() => here.retry());
        });
        await until('many attempts failed', () => waits.length > 9);
        here.close();
        const longest = Math.max(...waits);
        assert.ok(longest <= bound * random && longest > bound * random - 100, `${state}: ${waits}`);
      }
    }
    hide(false);
  });
});
