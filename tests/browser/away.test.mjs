/** Two windows of one user: who sits in front of either is not away. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../../clients/javascript/src/index.js';
import '../../clients/javascript/test/seed.js';
import { startBroker } from './harness.mjs';
import { launchPlainBrowser } from './hidden.mjs';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {import('node:http').Server} */
let site;
let origin = '';

const PAGE = `<!doctype html><title>desk</title>
<script type="module">
  import { connect } from '/index.js';
  await connect('BROKER', { user: 'ada', onPageHide: 'grace' }).channel('desk').join({}, { whenHidden: 'away' });
  document.title = 'joined';
</script>`;

before(async () => {
  site = createServer(async ({ url = '' }, answer) => {
    const isModule = url.endsWith('.js');
    answer.setHeader('content-type', isModule ? 'text/javascript' : 'text/html');
    answer.end(isModule ? await readFile(new URL(`../../clients/javascript/src${url}`, import.meta.url)) : PAGE.replace('BROKER', broker.url));
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

/** @param {string} what @param {() => unknown} isSo */
async function until(what, isSo) {
  for (const end = performance.now() + 20_000; !(await isSo());) {
    assert.ok(performance.now() < end, `it never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A page in a window, and another tab in the same window that can cover it. @param {Awaited<ReturnType<typeof launchPlainBrowser>>} browser */
async function openDesk(browser) {
  const page = await browser.open(`${origin}/`, true);
  await until('she joins', () => page.evaluate('document.title === "joined"'));
  const cover = await browser.open('about:blank');
  await until('she is covered', () => page.evaluate('document.hidden'));
  return { page, cover, isHidden: true };
}

test('two windows, hidden and shown in any order', { timeout: 120_000 }, async () => {
  const browser = await launchPlainBrowser();
  const here = connect(broker.url, { user: 'observer', WebSocket });
  try {
    const room = here.channel('desk');
    /** What is told of her: whether she is away, each time. @type {boolean[]} */
    const told = [];
    for (const event of /** @type {const} */ (['join', 'updateAttributes', 'leave', 'timeout'])) {
      room.on(event, ({ away = false }) => told.push(event.startsWith('l') || event.startsWith('t') ? !away : away));
    }
    await room.subscribe();
    const desks = [await openDesk(browser), await openDesk(browser)];
    await until('both are hidden', () => room.get('ada')?.away);
    const expected = [...told];
    for (let step = 0; step < 24; step++) {
      const desk = desks[Math.floor(Math.random() * 2)];
      if (Math.random() < 0.2) {
        // A reload changes nothing, hidden or not.
        await desk.page.evaluate('document.title = "reloads", location.reload()');
        await until('it is back', () => desk.page.evaluate('document.title === "joined"').catch(() => false));
      } else {
        desk.isHidden = !desk.isHidden;
        await (desk.isHidden ? desk.cover : desk.page).bringToFront();
        await until('the page knows', async () => await desk.page.evaluate('document.hidden') === desk.isHidden);
      }
      const isAway = desks.every(({ isHidden }) => isHidden);
      assert.deepEqual(await Promise.all(desks.map(({ page }) => page.evaluate('document.hidden'))), desks.map(({ isHidden }) => isHidden));
      if (isAway !== expected.at(-1)) expected.push(isAway);
      await until(`away is ${isAway} at step ${step}`, () => Boolean(room.get('ada')?.away) === isAway);
      assert.deepEqual(told, expected, `at step ${step}`);
    }
  } finally {
    here.close();
    await browser.close();
  }
});
