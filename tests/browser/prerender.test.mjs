/** A page that the browser renders ahead of time, in case somebody opens it. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../../clients/javascript/src/index.js';
import { startBroker } from './harness.mjs';
import { openPlainBrowser } from './plain-browser.mjs';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {import('node:http').Server} */
let site;
let origin = '';
/** What the page has told. @type {string[]} */
const told = [];

before(async () => {
  site = createServer(async ({ url = '' }, answer) => {
    if (url.startsWith('/told/')) told.push(url.slice(6));
    const isModule = url.startsWith('/client/');
    answer.setHeader('content-type', isModule ? 'text/javascript' : 'text/html');
    if (isModule) answer.end(await readFile(new URL(`../../clients/javascript/src/${url.slice(8)}`, import.meta.url)));
    else answer.end(url === '/next' ? NEXT.replace('BROKER', broker.url) : FIRST);
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (site.address()).port}`;
  broker = await startBroker({ flags: ['--allow-origin', origin] });
});
after(async () => {
  await broker.stop();
  site.close();
});

const FIRST = `<!doctype html><title>first</title><a href="/next">next</a>
<script type="speculationrules">{"prerender": [{"source": "list", "urls": ["/next"], "eagerness": "immediate"}]}</script>`;

const NEXT = `<!doctype html><title>next</title>
<script type="module">
  import { connect } from '/client/index.js';
  const room = connect('BROKER', { user: 'ada', timeoutMs: 1000 }).channel('next');
  fetch('/told/' + (document.prerendering ? 'ahead' : 'shown'));
  await room.join().catch(({ code }) => fetch('/told/' + code));
  fetch('/told/' + room.joined);
</script>`;

/** @param {() => unknown} isSo */
async function until(isSo) {
  for (const end = performance.now() + 20_000; !isSo();) {
    assert.ok(performance.now() < end, `it never came: ${isSo}`);
    await sleep(20);
  }
}

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('a page that is rendered ahead is nobody until somebody opens it', { timeout: 90_000 }, async () => {
  const observer = connect(broker.url, { user: 'observer', WebSocket });
  const room = observer.channel('next');
  await room.subscribe();
  const browser = await openPlainBrowser(`${origin}/first`);
  try {
    await until(() => told.length);
    await sleep(1_500);
    assert.deepEqual([told, await room.getCount()], [['ahead'], 0], 'nobody is there, and nothing ran out of time');
    await browser.run('document.querySelector("a").click()');
    await until(() => told.length === 2);
    assert.deepEqual(told, ['ahead', 'in']);
    await until(() => room.get('ada'));
  } finally {
    observer.close();
    await browser.stop();
  }
});
