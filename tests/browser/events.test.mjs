/** A page of another origin that reads events with what every browser has: EventSource. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { BROKER, launchBrowser, startBroker, startWire } from './harness.mjs';

const SECRET = 'thirty-two bytes are the least of all';
const KEY = 'a-secret-of-the-back-end';
const TOKEN = execFileSync(BROKER, ['token', '--user', 'ada', '--channel', 'room=subscribe'], {
  env: { HERENOW_JWT_SECRET: SECRET },
}).toString().trim();

/** @type {import('playwright-core').Browser} */ let browser;
/** @type {import('node:http').Server} */ let elsewhere;
/** @type {string} */ let origin;

before(async () => {
  elsewhere = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><link rel="icon" href="data:,">');
  }).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (elsewhere.address());
  origin = `http://127.0.0.1:${port}`;
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  elsewhere?.close();
});

/** @param {string[]} flags */
const guarded = (flags) => startBroker({
  flags,
  env: {
    HERENOW_JWT_SECRET: SECRET,
    HERENOW_API_KEYS: `[[key]]\nname = "back"\nsecret = "${KEY}"\nrights = ["read", "write"]`,
  },
});

/** Somebody comes, by a lease. @param {string} url @param {string} user */
async function comes(url, user) {
  const response = await fetch(`${url}/v1/channels/room/members/${user}`, {
    method: 'PUT', headers: { authorization: `Bearer ${KEY}` },
  });
  assert.equal(response.status, 201);
}

/** A page of the other origin that follows the room; what it hears is kept in the page. @param {string} url */
async function follow(url) {
  const page = await browser.newPage();
  await page.goto(origin);
  await page.evaluate((address) => {
    const heard = /** @type {any} */ (globalThis).heard = { opened: 0, failed: 0, told: [], ids: [], state: () => events.readyState };
    const events = new EventSource(address);
    events.onopen = () => { heard.opened += 1; };
    events.onerror = () => { heard.failed += 1; };
    events.onmessage = ({ data, lastEventId }) => {
      const { type, members = [], events = [] } = JSON.parse(data);
      heard.told.push([type, ...members.map((/** @type {any} */ m) => m.user), ...events.map((/** @type {any} */ e) => `${e.event} ${e.user}`)].join(' '));
      heard.ids.push(lastEventId);
    };
  }, `${url}/v1/channels/room/events?token=${TOKEN}`);
  return {
    page,
    /** @param {string[]} lines */
    async told(...lines) {
      const expected = JSON.stringify(lines);
      try {
        await page.waitForFunction((expected) => JSON.stringify(/** @type {any} */ (globalThis).heard.told) === expected, expected, { timeout: 15_000 });
      } catch {
        assert.deepEqual(await page.evaluate(() => /** @type {any} */ (globalThis).heard.told), lines);
      }
    },
  };
}

test('EventSource follows a channel, and goes on where it was after a cut', { timeout: 60_000 }, async () => {
  const broker = await guarded(['--allow-origin', origin]);
  const wire = await startWire(broker.port);
  await comes(broker.http, 'bob');
  const { page, told } = await follow(wire.http);
  await told('snapshot bob');
  await comes(broker.http, 'cy');
  await told('snapshot bob', 'presence join cy');
  wire.cut();
  // Missed, and told when it is back, which takes Chromium three seconds.
  await comes(broker.http, 'dee');
  await told('snapshot bob', 'presence join cy', 'presence join dee');
  const { opened, ids } = await page.evaluate(() => {
    const { opened, ids } = /** @type {any} */ (globalThis).heard;
    return { opened, ids };
  });
  assert.equal(opened, 2);
  assert.equal(new Set(ids).size, 3);
  await page.close();
  await wire.stop();
  await broker.stop();
});

test('a page of an origin that is not allowed hears nothing, and does not try again', { timeout: 60_000 }, async () => {
  const broker = await guarded(['--allow-origin', 'https://app.example']);
  const { page } = await follow(broker.http);
  await page.waitForFunction(() => /** @type {any} */ (globalThis).heard.state() === EventSource.CLOSED);
  const { opened, told } = await page.evaluate(() => {
    const { opened, told } = /** @type {any} */ (globalThis).heard;
    return { opened, told };
  });
  assert.deepEqual({ opened, told }, { opened: 0, told: [] });
  await page.close();
  await broker.stop();
});
