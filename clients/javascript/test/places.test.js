/** Where a client may be made: on a server that renders, in an app, in a program; and when it dials. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, afterEach, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { client, loses, sleep, startBroker, startWire, until } from './broker.js';
import { nativeURL } from './native.js';

const run = promisify(execFile);

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {Array<{close(): void}>} */
const clients = [];
/** Those who dialled. @type {string[]} */
let dialled = [];
class Counted extends WebSocket {
  /** @param {string} url @param {string[]} protocols */
  constructor(url, protocols) {
    super(url, protocols);
    dialled.push(url);
  }
}

before(async () => {
  broker = await startBroker();
});
afterEach(() => {
  for (const each of clients.splice(0)) each.close();
  dialled = [];
});
after(() => broker.stop());

/** @param {string | URL} url @param {import('../src/client.js').Options} [options] */
function made(url, options) {
  const here = connect(url, { WebSocket: Counted, user: 'ada', ...options });
  clients.push(here);
  return here;
}

/** Makes the global for as long as the test runs. @param {import('node:test').TestContext} t @param {string} name @param {unknown} value */
function stub(t, name, value) {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  t.after(() => {
    if (before) Object.defineProperty(globalThis, name, before);
    else Reflect.deleteProperty(globalThis, name);
  });
}

describe('on a server that renders', () => {
  test('nothing is dialled at import, and nothing holds the process', async () => {
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', `
      globalThis.WebSocket = class { constructor() { console.log('dialled'); } };
      const { connect } = await import('herenow');
      for (const name of ['livelike', 'rooms']) await import('herenow/' + name);
      connect('/ws').channel('room').on('join', () => {});
      connect('wss://example.com').user('bob');
      setTimeout(() => console.log('idle'), 50);
    `], { cwd: new URL('..', import.meta.url) });
    assert.equal(stdout, 'idle\n');
  });

  test('nobody is present until something is wanted', async () => {
    const here = made(broker.url);
    here.channel('room').on('join', () => {});
    here.user('bob');
    await sleep(100);
    assert.deepEqual([here.state, dialled], [{ phase: 'idle' }, []]);
    assert.equal(await here.check(), false);
    assert.deepEqual(dialled, []);
  });

  for (const [what, want] of /** @type {[string, (here: import('../src/index.js').Client) => unknown][]} */ ([
    ['to watch a channel', (here) => here.channel('room').subscribe()],
    ['to be a member', (here) => here.channel('room').join()],
    ['to know how many there are', (here) => here.channel('room').getCount()],
    ['to know all channels', (here) => here.getChannels()],
    ['to have a status', (here) => here.status({ busy: true })],
    ['to watch a user', (here) => new Promise((resolve) => { here.user('bob').watch(resolve); })],
  ])) {
    test(`it dials when it is wanted ${what}`, async () => {
      const here = made(broker.url);
      await want(here);
      assert.equal(dialled.length, 1);
    });
  }

  test('leaving what was never wanted dials nothing', async () => {
    const here = made(broker.url);
    await Promise.all([here.channel('room').leave(), here.channel('room').unsubscribe()]);
    assert.equal(here.state.phase, 'idle');
  });

  test('a client can be made without a WebSocket; who wants something of it is told', { skip: 'WebSocket' in globalThis && 'there is a global one' }, async () => {
    const here = made(broker.url, { WebSocket: undefined });
    await assert.rejects(here.channel('room').join(), { code: 'no_websocket' });
    assert.equal(here.state.phase, 'closed');
  });

  test('a relative address is no error until somebody dials', async () => {
    const here = made('/ws');
    await assert.rejects(here.channel('room').join(), { code: 'invalid_url' });
    assert.equal(here.state.phase, 'closed');
  });

  test('a relative address is resolved when dialling, and stays the same', async (t) => {
    const wire = await startWire(broker.port);
    const here = made('/ws?kept=1', { firstRetryMs: 1 });
    const location = { href: `${wire.http}/room/1` };
    stub(t, 'location', location);
    await here.channel('room').join();
    location.href = 'http://127.0.0.1:1/another/page';
    await loses(here, wire.cut);
    await until('it is back', () => here.channel('room').joined === 'in');
    assert.deepEqual(dialled, Array(2).fill(`${wire.url}?user=ada&kept=1`));
    here.close();
    await wire.stop();
  });
});

describe('in a page', () => {
  test('it dials at once, so that whoever asks later need not wait', async (t) => {
    stub(t, 'document', new EventTarget());
    const here = made(broker.url);
    await until('it is open', () => here.state.phase === 'open');
  });

  test('it dials when something is wanted, if the page wants it so', async (t) => {
    stub(t, 'document', new EventTarget());
    const here = made(broker.url, { lazy: true });
    await sleep(50);
    assert.equal(here.state.phase, 'idle');
    await here.channel('room').join();
  });

  test('it dials when it is told, if the page wants it so', async (t) => {
    stub(t, 'document', new EventTarget());
    const here = made(broker.url, { autoConnect: false });
    const joined = here.channel('room').join({ mood: 'happy' });
    await sleep(50);
    assert.deepEqual([here.state.phase, dialled], ['idle', []]);
    here.connect();
    await joined;
  });

  test('one that is rendered ahead of time is nobody until it is shown, and nothing times out', async (t) => {
    const document = Object.assign(new EventTarget(), { prerendering: true, visibilityState: 'hidden' });
    stub(t, 'document', document);
    const here = made(broker.url, { timeoutMs: 300 });
    const joined = here.channel('ahead').join();
    here.retry();
    here.connect();
    await sleep(400);
    assert.deepEqual([here.state.phase, dialled], ['idle', []]);
    document.prerendering = false;
    document.dispatchEvent(new Event('prerenderingchange'));
    await joined;
    assert.equal(dialled.length, 1);
  });

  test('one that is closed before it is shown stays nobody', async (t) => {
    const document = Object.assign(new EventTarget(), { prerendering: true, visibilityState: 'hidden' });
    stub(t, 'document', document);
    const here = made(broker.url);
    const joined = here.channel('ahead').join();
    here.close();
    await assert.rejects(joined, { code: 'closed' });
    document.dispatchEvent(new Event('prerenderingchange'));
    await sleep(50);
    assert.deepEqual([here.state.phase, dialled], ['closed', []]);
  });

  for (const [given, expected] of [
    ['http://HOST', 'ws://HOST/ws?user=ada'],
    ['HTTP://HOST/', 'ws://HOST/ws?user=ada'],
    ['https://HOST/presence/ws#top', 'wss://HOST/presence/ws?user=ada'],
    ['wss://HOST/?user=bob', 'wss://HOST/ws?user=ada&user=bob'],
    ['ws', 'wss://page.example/a/ws?user=ada'],
    ['//host/ws', 'wss://host/ws?user=ada'],
    ['/ws', 'wss://page.example/ws?user=ada'],
    ['ws://[::1]:8080/ws', 'ws://[::1]:8080/ws?user=ada'],
  ]) {
    test(`${given} is ${expected}`, async (t) => {
      stub(t, 'location', { href: 'https://page.example/a/b?c#d' });
      /** @type {string[]} */
      const seen = [];
      class Seen {
        /** @param {string} url */
        constructor(url) {
          seen.push(url);
        }

        close() {}
      }
      made(given, { WebSocket: Seen, lazy: false });
      await until('it dials', () => seen.length);
      assert.equal(seen[0], expected);
    });
  }
});

for (const version of ['0.74.5', '0.88.1']) {
  describe(`in an app: the URL of React Native ${version}`, () => {
    /** @type {typeof URL} */
    let Native;
    before(async () => {
      Native = await nativeURL(version);
    });

    for (const form of ['ws://HOST/ws', 'http://HOST', 'ws://HOST/ws?source=app', 'http://HOST/#top']) {
      test(`${form} is an address`, async (t) => {
        stub(t, 'URL', Native);
        const given = form.replace('HOST', `127.0.0.1:${broker.port}`);
        const here = made(given, { user: 'ada lovelace & co' });
        await here.channel('app').join();
        assert.equal(here.me, 'ada lovelace & co');
      });
    }

    test('an object of that class is as good as its text', async (t) => {
      stub(t, 'URL', Native);
      await made(new Native(broker.http)).channel('app').join();
    });

    test('what is no address is told at once', (t) => {
      stub(t, 'URL', Native);
      for (const url of ['', 'nonsense', 'ftp://example.com/ws', 'ws://', 'ws://a b/ws']) {
        assert.throws(() => made(url), { code: 'invalid_url' }, url);
      }
    });
  });
}

describe('an app that comes to the foreground', () => {
  test('learns that its connection is alive', async () => {
    const here = made(broker.url);
    await here.channel('app').join();
    assert.equal(await here.check(), true);
    assert.equal(dialled.length, 1);
  });

  test('learns that it is dead, and is back', async () => {
    const wire = await startWire(broker.port);
    const here = made(wire.url);
    await here.channel('app').join();
    wire.freeze();
    assert.equal(await here.check(), false);
    await until('it is back', () => here.channel('app').joined === 'in');
    here.close();
    await wire.stop();
  });

  test('waits no longer', async () => {
    const wire = await startWire(broker.port);
    const here = client(wire.url, { user: 'ada', firstRetryMs: 60_000, maxRetryMs: 60_000, random: () => 1 });
    clients.push(here);
    await here.channel('app').join();
    await loses(here, wire.cut);
    assert.equal(await here.check(), false);
    await until('it is back', () => here.channel('app').joined === 'in');
    here.close();
    await wire.stop();
  });
});
