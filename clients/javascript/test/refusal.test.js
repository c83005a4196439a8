/** A page that the broker does not let in: its browser says nothing, and the error says it all the same. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { startBroker, until } from './broker.js';

after(() => {
  delete (/** @type {any} */ (globalThis).location);
});

/** A socket and a `fetch` as a page of that origin has them. @param {string} origin */
function pageOf(origin) {
  Object.assign(globalThis, { location: { origin, href: `${origin}/` } });
  /** @type {string[]} */
  const fetched = [];
  const { fetch } = globalThis;
  globalThis.fetch = async (url, options) => {
    fetched.push(`${url}`);
    const answer = await fetch(url, { ...options, headers: { origin } });
    const readable = answer.headers.get('access-control-allow-origin');
    if (readable !== '*' && readable !== origin) throw new TypeError('Failed to fetch');
    return answer;
  };
  class PageSocket extends WebSocket {
    /** @param {string} url @param {string[]} protocols */
    constructor(url, protocols) {
      super(url, protocols, { origin });
    }
  }
  return { fetched, WebSocket: PageSocket, restore: () => { globalThis.fetch = fetch; } };
}

test('the error of a page that is not let in names its origin and the flag', async () => {
  const broker = await startBroker();
  const page = pageOf('http://localhost:5173');
  const here = connect(broker.url, { user: 'ada', WebSocket: page.WebSocket, firstRetryMs: 20, maxRetryMs: 50 });
  /** @type {string[]} */
  const told = [];
  here.on('error', ({ code, field, message }) => told.push(`${code} ${field} ${message}`));
  here.channel('room').join().catch(() => {});
  await until('it is told', () => told.some((line) => line.startsWith('forbidden')));
  assert.match(told.at(-1) ?? '', /^forbidden origin .*"http:\/\/localhost:5173".*--allow-origin http:\/\/localhost:5173 lets it in/);
  const known = told.length;
  const dials = page.fetched.length;
  await until('it goes on dialling', () => page.fetched.length > dials + 2);
  assert.equal(told.length, known, 'told once');
  assert.deepEqual([...new Set(page.fetched)], [`${broker.http}/ws`], 'nothing of who we are');
  here.close();
  page.restore();
  await broker.stop();
});

test('a page that is let in by a pattern, or has no host, asks nothing', async () => {
  for (const [origin, flag] of [['http://localhost:5173', 'http://localhost:*'], ['file://', 'file://']]) {
    const broker = await startBroker({ flags: [`--allow-origin=${flag}`] });
    const page = pageOf(origin);
    const here = connect(broker.url, { user: 'ada', WebSocket: page.WebSocket });
    await here.channel('room').join();
    assert.deepEqual(page.fetched, []);
    here.close();
    page.restore();
    await broker.stop();
  }
});
