/** The client library in a browser: what was awaited shows, frames of the page, reloads, and leaving. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import { launchBrowser, startBroker } from './harness.mjs';

const SOURCES = new URL('../../clients/javascript/src/', import.meta.url);

/** @type {import('playwright-core').Browser} */ let browser;
/** @type {import('node:http').Server} */ let pages;
/** @type {Awaited<ReturnType<typeof startBroker>>} */ let broker;
let origin = '';

before(async () => {
  pages = createServer(async ({ url = '' }, response) => {
    const isModule = url.endsWith('.js');
    response.setHeader('content-type', isModule ? 'text/javascript' : 'text/html');
    response.end(isModule ? await readFile(new URL(basename(url), SOURCES)) : '<!doctype html><link rel="icon" href="data:,">');
  }).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (pages.address()).port}`;
  [broker, browser] = await Promise.all([startBroker({ flags: ['--allow-origin', origin] }), launchBrowser()]);
});

after(async () => {
  await browser?.close();
  pages?.close();
  await broker?.stop();
});

/**
 * A page with a client, as `here`, and what goes wrong there as `errors`.
 * @param {object} options of the client
 */
async function visit(options) {
  const page = await (await browser.newContext()).newPage();
  await page.addInitScript(async ([url, options]) => {
    const scope = /** @type {any} */ (globalThis);
    if (scope.location.protocol !== 'http:') return;
    scope.errors = [];
    scope.ready = import(/** @type {any} */ ('/index.js')).then(({ connect }) => {
      scope.here = connect(url, options);
      scope.here.on('error', (/** @type {any} */ { code, message }) => {
        scope.errors.push(code);
        localStorage.setItem('told', `${localStorage.getItem('told') ?? ''}${code} ${message};`);
      });
    });
  }, /** @type {const} */ ([broker.url, options]));
  await page.goto(origin);
  await page.evaluate('ready');
  return page;
}

test('what was awaited shows at once, two hundred times', async () => {
  const page = await visit({ user: 'ada' });
  const wrong = await page.evaluate(async () => {
    const room = /** @type {any} */ (globalThis).here.channel('shows');
    await room.subscribe();
    const wrong = [];
    for (let n = 0; n < 200; n += 1) {
      await room.join({ n });
      if (room.count !== 1 || room.get('ada')?.attributes.n !== n) wrong.push(`join ${n}`);
      await room.setAttributes({ n: -n });
      if (room.get('ada')?.attributes.n !== -n) wrong.push(`set ${n}`);
      await room.leave();
      if (room.count !== 0 || room.get('ada')) wrong.push(`leave ${n}`);
    }
    return wrong;
  });
  assert.deepEqual(wrong, []);
  await page.context().close();
});

test('`change` comes at most once in each frame of the page', async () => {
  const page = await visit({ user: 'ada' });
  const [most, frames] = await page.evaluate(async () => {
    const room = /** @type {any} */ (globalThis).here.channel('frames');
    await room.subscribe();
    await room.join();
    let [most, inFrame, frames, on] = [0, 0, 0, true];
    room.on('change', () => {
      inFrame += 1;
      most = Math.max(most, inFrame);
    });
    const draw = () => {
      inFrame = 0;
      frames += 1;
      if (on) requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
    for (let n = 0; n < 400; n += 1) {
      void room.setAttributes({ n });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    on = false;
    return [most, frames];
  });
  assert.ok(most === 1 && frames > 20, `${most} in one of ${frames} frames`);
  await page.context().close();
});

test('a guest that loads the page again has its name, and nobody was told of an error', async () => {
  const page = await visit({});
  const name = () => page.evaluate(async () => {
    const { here } = /** @type {any} */ (globalThis);
    while (!here.me) await new Promise((resolve) => setTimeout(resolve, 5));
    return here.me;
  });
  const first = await name();
  assert.match(first, /^guest-/);
  for (let n = 0; n < 3; n += 1) {
    await page.reload();
    await page.evaluate('ready');
    assert.equal(await name(), first);
  }
  assert.equal(await page.evaluate(() => localStorage.getItem('told')), null);
  const other = await visit({});
  await other.waitForFunction('here.me');
  assert.notEqual(await other.evaluate('here.me'), first);
  for (const each of [page, other]) await each.context().close();
});

test('a browser compresses what it says and reads what was compressed', async () => {
  const page = await visit({ user: 'ada' });
  const told = await page.evaluate(async (url) => {
    const socket = new WebSocket(`${url}?user=zoe`);
    /** @type {any[]} */ const frames = [];
    const members = new Promise((resolve, reject) => {
      socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
      socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        frames.push(frame.type);
        if (frame.type === 'snapshot' && frame.members.length > 0) resolve(frame.members);
      };
    });
    await new Promise((resolve) => { socket.onopen = resolve; });
    const attributes = { text: 'over and over '.repeat(200) };
    socket.send(JSON.stringify({ type: 'join', channel: 'compressed', attributes }));
    socket.send(JSON.stringify({ type: 'subscribe', channel: 'compressed' }));
    const [zoe] = await /** @type {any} */ (members);
    return { extensions: socket.extensions, user: zoe.user, same: zoe.attributes.text === attributes.text };
  }, broker.url);
  assert.deepEqual({ ...told, extensions: undefined }, { user: 'zoe', same: true, extensions: undefined });
  assert.match(told.extensions, /^permessage-deflate; *server_no_context_takeover/);
});
