/** The page server of examples/: its page in a real browser, with tokens that the broker takes. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { owned } from '../../clients/javascript/test/owned.js';
import { freePort, launchBrowser, newTabs, startBroker } from './harness.mjs';

const SERVER = fileURLToPath(new URL('../../examples/page-server/server.mjs', import.meta.url));
const SECRET = 'a secret of thirty-two bytes or more';

let broker;
let browser;
let server;
let origin;

before(async () => {
  // Broker and page server have to know each other's address before they start.
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  broker = await startBroker({ flags: ['--allow-origin', origin], env: { HERENOW_JWT_SECRET: SECRET } });
  server = owned(spawn(process.execPath, [SERVER], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PORT: String(port), HERENOW_JWT_SECRET: SECRET, HERENOW_URL: broker.http },
  }));
  const [line] = await once(createInterface({ input: server.stdout }), 'line');
  assert.equal(line, `listening on ${origin}`);
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  server?.kill();
  await broker?.stop();
});

/** A visitor of its own: another context has other cookies. */
async function visit() {
  const { context, complaints } = await newTabs(browser);
  const page = await context.newPage();
  await page.goto(origin);
  return { context, complaints, page };
}

test('two visitors see each other, and one leave', { timeout: 30_000 }, async () => {
  const ada = await visit();
  await ada.page.locator('#who li').first().waitFor();
  const bob = await visit();
  for (const { page } of [ada, bob]) await page.locator('#who li').nth(1).waitFor();
  const names = await ada.page.locator('#who li').allTextContents();
  const [me] = await ada.page.locator('#me').allTextContents();
  assert.match(me, /^guest-[0-9a-f]{8}$/);
  assert.ok(names.includes(me.replace('guest-', 'Guest ')), `${names} without ${me}`);
  await bob.context.close();
  await ada.page.locator('#who li').nth(1).waitFor({ state: 'detached' });
  assert.deepEqual(ada.complaints, []);
  await ada.context.close();
});

test('a token is for who the cookie proves', async () => {
  /** @param {string} [cookie] */
  const ask = (cookie) => fetch(`${origin}/session`, { method: 'POST', headers: cookie ? { cookie } : {} });
  assert.equal((await ask()).status, 401);
  const page = await fetch(origin);
  const cookie = page.headers.get('set-cookie').split(';')[0];
  const answer = await ask(cookie);
  assert.equal(answer.status, 200);
  const { user, token } = await answer.json();
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
  assert.equal(claims.sub, user);
  assert.deepEqual(claims.channels, { lobby: ['join', 'subscribe'] });
  assert.ok(claims.exp * 1000 > Date.now(), 'it has not expired');
  const forged = cookie.replace(user, 'guest-00000000');
  assert.notEqual(forged, cookie);
  assert.equal((await ask(forged)).status, 401);
  assert.equal((await fetch(`${origin}/server.mjs`)).status, 404);
});

test('without the secret it does not start', async () => {
  const { HERENOW_JWT_SECRET: _, ...env } = process.env;
  const started = owned(spawn(process.execPath, [SERVER], { stdio: 'ignore', env: { ...env, PORT: '0' } }));
  const [code] = await once(started, 'exit');
  assert.equal(code, 1);
});
