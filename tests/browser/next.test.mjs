/** The cookbook's Next recipe, built and started by the real Next, and looked at by a browser. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pack, run } from '../../clients/javascript/test/pack/install.js';
import { owned } from '../../clients/javascript/test/owned.js';
import { freePort, launchBrowser, newTabs, startBroker } from './harness.mjs';

const SECRET = 'a secret for tests only, 32 bytes';
const KEY = 'a-secret-of-the-back-end';
const repository = fileURLToPath(new URL('../..', import.meta.url));
const own = join(repository, 'tests/next');

/** @type {string} where the app is built */ let app;
/** @type {any} */ let broker;
/** @type {import('playwright-core').Browser} */ let browser;
/** @type {import('node:child_process').ChildProcess} */ let server;
/** @type {string} */ let origin;

before(async () => {
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  broker = await startBroker({
    flags: ['--allow-origin', origin],
    env: { HERENOW_JWT_SECRET: SECRET, HERENOW_API_KEYS: `[[key]]\nname = "back"\nsecret = "${KEY}"\nrights = ["read"]` },
  });
  app = await mkdtemp(join(own, '.app-'));
  await cp(join(repository, 'clients/javascript/cookbook/next'), app, { recursive: true });
  await writeFile(join(app, 'package.json'), '{"private":true}');
  // It is no part of the repository around it.
  await writeFile(join(app, 'next.config.mjs'), 'export default { outputFileTracingRoot: import.meta.dirname };');
  // The package as it is published: with its marks for the browser.
  const { tarball, remove } = await pack();
  await mkdir(join(app, 'node_modules/herenow'), { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', join(app, 'node_modules/herenow'), '--strip-components=1']);
  await remove();
  for (const name of ['next', 'react', 'react-dom']) await symlink(join(own, 'node_modules', name), join(app, 'node_modules', name));
  // Our own lint is no part of the recipe.
  await ended(next('build', ['--no-lint']));
  server = next('start', ['--hostname', '127.0.0.1', '--port', String(port)]);
  await answers(origin);
  browser = await launchBrowser();
}, { timeout: 300_000 });

after(async () => {
  await browser?.close();
  if (server && server.exitCode === null && server.signalCode === null) {
    server.kill();
    await once(server, 'exit');
  }
  await broker?.stop();
  if (app) await rm(app, { recursive: true });
});

/** @param {string} what @param {string[]} flags */
function next(what, flags) {
  const env = {
    ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', NEXT_PUBLIC_HERENOW_URL: broker.url, HERENOW_JWT_SECRET: SECRET,
  };
  return owned(spawn(process.execPath, [join(own, 'node_modules/next/dist/bin/next'), what, ...flags], { cwd: app, env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** @param {import('node:child_process').ChildProcess} child */
async function ended(child) {
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => { said += data; });
  const [code] = await once(child, 'close');
  assert.equal(code, 0, said);
}

/** @param {string} url */
async function answers(url) {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await fetch(url).then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('next start does not answer');
}

/** How the broker sees the channel. */
async function seen() {
  const response = await fetch(`${broker.http}/v1/channels/room-1`, { headers: { authorization: `Bearer ${KEY}` } });
  return response.json();
}

test('the server renders the page and is nobody’s presence', async () => {
  for (let times = 0; times < 5; times += 1) {
    const html = await (await fetch(origin, { headers: { cookie: 'user=ada' } })).text();
    assert.match(html, /<h1>A page<\/h1><p>0<!-- --> here: <\/p>/);
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const { count = 0, observers = 0, connections = 0 } = await seen();
  assert.deepEqual([count, observers, connections], [0, 0, 0]);
});

test('who opens the page is here, is seen by others, and goes with it', async () => {
  const tabs = async (/** @type {string} */ user) => {
    const made = await newTabs(browser);
    await made.context.addCookies([{ name: 'user', value: user, url: origin }]);
    const page = await made.context.newPage();
    await page.goto(origin);
    return { ...made, page };
  };
  const shows = (/** @type {any} */ { page }, /** @type {string} */ text) => page.locator('p', { hasText: text }).waitFor();
  const ada = await tabs('ada');
  await shows(ada, '1 here: ada');
  const bob = await tabs('bob');
  await shows(bob, '2 here: bob, ada');
  await shows(ada, '2 here: bob, ada');
  await bob.context.close();
  await shows(ada, '1 here: ada');
  assert.deepEqual(ada.complaints.filter((line) => !line.includes('favicon') && !line.includes('404')), []);
  await ada.context.close();
  for (let tries = 0; tries < 100 && (await seen()).count; tries += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await seen()).count ?? 0, 0);
});

test('who is not signed in sees the page, and is nobody', async () => {
  const { context } = await newTabs(browser);
  const page = await context.newPage();
  await page.goto(origin);
  await page.locator('p', { hasText: '0 here:' }).waitFor();
  assert.equal((await seen()).count ?? 0, 0);
  await context.close();
});
