/** The one file for pages without a bundler, as the broker serves it. */

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startBroker } from './broker.js';

/** Bytes that one answer may take, with its headers. */
const MOST = 10_240;

let broker;

before(async () => {
  broker = await startBroker();
});
after(() => broker.stop());

test('a page loads it with one request of at most 10 KB', async () => {
  const { headers, rawHeaders, body } = await ask('/client/herenow.js', { 'accept-encoding': 'gzip, deflate, br, zstd' });
  assert.equal(headers['content-encoding'], 'gzip');
  const wire = `HTTP/1.1 200 OK\r\n${rawHeaders.join('\r\n')}`.length + 2 * rawHeaders.length + body.length;
  assert(wire <= MOST, `${wire} bytes`);
  const text = String(gunzipSync(body));
  assert(!/\bimport\b\s*[("'{*\w]/.test(text.replaceAll('import.meta', '')), 'it loads nothing else');
});

test('what it exports is what the package exports, and it works', async () => {
  const { body } = await ask('/client/herenow.js', {});
  const library = await import(`data:text/javascript,${encodeURIComponent(body)}`);
  assert.deepEqual(Object.keys(library).sort(), Object.keys(await import('../src/index.js')).sort());
  const { WebSocket } = await import('ws');
  const here = library.connect(broker.url, { user: 'ada', WebSocket });
  const room = here.channel('room');
  await room.subscribe();
  await room.join();
  assert.equal(await room.getCount(), 1);
  here.close();
});

test('under its versioned address it is kept, and asked for once', async () => {
  const { headers } = await ask('/client/herenow.js', {});
  assert.equal(headers['cache-control'], 'no-cache');
  const versioned = new URL(headers['content-location'], `${broker.http}/client/herenow.js`).pathname;
  assert.match(versioned, /^\/client\/herenow-[0-9a-f]{16}\.js$/);
  const kept = await ask(versioned, {});
  assert.equal(kept.headers['cache-control'], 'public, max-age=31536000, immutable');
  assert.deepEqual(kept.body, (await ask('/client/herenow.js', {})).body);
});

/** @param {string} path @param {Record<string, string>} headers */
function ask(path, headers) {
  return new Promise((resolve, reject) => {
    get(new URL(path, broker.http), { headers }, async (response) => {
      const parts = [];
      for await (const part of response) parts.push(part);
      resolve({ headers: response.headers, rawHeaders: response.rawHeaders, body: Buffer.concat(parts) });
    }).on('error', reject);
  });
}
