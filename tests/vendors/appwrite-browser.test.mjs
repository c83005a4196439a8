/** Appwrite's web library, unmodified, in a real browser, on a page of another origin. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launchBrowser, startBroker } from '../browser/harness.mjs';
import { until } from '../../clients/javascript/test/broker.js';

const LIBRARY = fileURLToPath(new URL('./node_modules/appwrite/dist/iife/sdk.js', import.meta.url));

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {import('node:http').Server} */
let pages;
/** @type {string} */
let origin;

before(async () => {
  const library = await readFile(LIBRARY);
  pages = createServer((request, response) => {
    const script = request.url === '/appwrite.js';
    response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
    response.end(script ? library : '<!doctype html><script src="/appwrite.js"></script>');
  }).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (pages.address());
  origin = `http://127.0.0.1:${port}`;
  [browser, broker] = await Promise.all([
    launchBrowser(),
    startBroker({ flags: ['--vendors', 'appwrite', '--allow-origin', origin] }),
  ]);
});
after(async () => {
  pages.close();
  await Promise.all([browser.close(), broker.stop()]);
});

/** A page with the library pointed at the broker. @param {string} [session] @param {string} [at] */
async function open(session, at = origin) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(at);
  await page.evaluate(([endpoint, session]) => {
    const here = /** @type {any} */ (window);
    const { Client, Presences, Realtime } = here.Appwrite;
    const client = new Client().setEndpoint(endpoint).setProject('shop');
    if (session) client.setSession(session);
    here.presences = new Presences(client);
    here.realtime = new Realtime(client);
    here.told = [];
    here.failed = (/** @type {any} */ { code, type }) => ({ code, type });
  }, /** @type {const} */ ([`${broker.http}/appwrite/v1`, session ?? '']));
  return page;
}

test('the document in a page: set, show, subscribe, clear', { timeout: 60_000 }, async () => {
  const [ada, bob] = [await open('ada'), await open('bob')];
  await bob.evaluate(async () => {
    const here = /** @type {any} */ (window);
    await here.realtime.subscribe(here.Appwrite.Channel.presences(), (/** @type {any} */ { events, payload }) => {
      here.told.push(`${events[0].split('.').at(-1)} ${payload.userId} ${payload.status}`);
    });
  });
  await until('the broker has the subscription', async () => (
    (await (await fetch(`${broker.http}/v1/channels/$presences`)).json()).observers === 1
  ));
  const presence = await ada.evaluate(async () => {
    const here = /** @type {any} */ (window);
    const { ID, Permission, Role } = here.Appwrite;
    const permissions = [Permission.read(Role.users())];
    const { $id: presenceId } = await here.presences.upsert({ presenceId: ID.unique(), status: 'online', permissions });
    await here.presences.update({ presenceId, status: 'away' });
    return here.presences.get({ presenceId });
  });
  assert.deepEqual([presence.userId, presence.status, presence.source], ['ada', 'away', 'rest']);
  const shown = await bob.evaluate(() => /** @type {any} */ (window).presences.list());
  assert.deepEqual([shown.total, shown.presences[0].$id], [1, presence.$id]);
  await ada.evaluate((presenceId) => /** @type {any} */ (window).presences.delete({ presenceId }), presence.$id);
  await bob.waitForFunction(() => /** @type {any} */ (window).told.at(-1)?.startsWith('delete'));
  const told = await bob.evaluate(() => /** @type {any} */ (window).told);
  assert.deepEqual([told.at(0), told.at(-1)].map((line) => line.split(' ')[0]), ['upsert', 'delete']);

  const refused = await bob.evaluate(() => {
    const here = /** @type {any} */ (window);
    return here.presences.list({ queries: ['nonsense'] }).catch(here.failed);
  });
  assert.deepEqual(refused, { code: 400, type: 'general_query_invalid' }, 'a page may read a refusal');
  const unknown = await bob.evaluate(() => {
    const here = /** @type {any} */ (window);
    return new here.Appwrite.Account(here.presences.client).get().catch(here.failed);
  });
  assert.deepEqual(unknown, { code: 404, type: 'general_route_not_found' }, 'also where nothing is');
});

test('a page signs in by a cookie, and a closed tab ends what its socket kept', { timeout: 60_000 }, async () => {
  const page = await open();
  await page.evaluate(() => { document.cookie = 'a_session_shop=cook'; });
  const mine = await page.evaluate(() => (
    /** @type {any} */ (window).presences.upsert({ presenceId: 'cookie-1', status: 'x' })
  ));
  assert.equal(mine.userId, 'cook');
  await page.evaluate(() => {
    const here = /** @type {any} */ (window);
    const { Permission, Role } = here.Appwrite;
    return here.realtime.upsertPresence({ presenceId: 'cookie-1', status: 'y', permissions: [Permission.read(Role.any())] });
  });
  const path = `${broker.http}/appwrite/v1/presences/cookie-1`;
  await until('a guest sees it', async () => (await fetch(path)).status === 200);
  assert.equal((await (await fetch(path)).json()).source, 'realtime');
  await page.context().close();
  await until('it is gone', async () => (await fetch(path)).status === 404);
});

test('a page of a strange origin gets nothing', { timeout: 60_000 }, async () => {
  const page = await open('ada', origin.replace('127.0.0.1', 'localhost'));
  const failed = await page.evaluate(() => {
    const here = /** @type {any} */ (window);
    return here.presences.list().then(() => 'shown', (/** @type {Error} */ { message }) => message);
  });
  assert.match(failed, /Failed to fetch/);
});
