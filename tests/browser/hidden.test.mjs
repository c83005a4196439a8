/** A tab that nobody looks at, for three minutes, with the broker's usual times. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../../clients/javascript/src/index.js';
import { startBroker } from './harness.mjs';
import { launchPlainBrowser } from './hidden.mjs';

const HIDDEN_MS = 180_000;

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('a tab that is hidden for three minutes stays present', { timeout: 300_000 }, async () => {
  const [broker, browser] = await Promise.all([startBroker(), launchPlainBrowser()]);
  const here = connect(broker.url, { user: 'observer', WebSocket });
  const room = here.channel('hidden');
  /** @type {string[]} */
  const told = [];
  for (const event of /** @type {const} */ (['join', 'leave', 'timeout'])) room.on(event, ({ user }) => told.push(`${event} ${user}`));
  await room.subscribe();
  const tab = await browser.open(`${broker.http}/#hidden`);
  while (room.count === 0) await sleep(50);
  const other = await browser.open('about:blank');
  await other.bringToFront();
  while (!room.members[0].away) await sleep(50);
  assert.equal(await tab.evaluate('document.visibilityState'), 'hidden');
  const [{ user }] = room.members;
  await sleep(HIDDEN_MS);
  assert.deepEqual(told, [`join ${user}`]);
  assert.equal(room.count, 1);
  await tab.bringToFront();
  while (room.members[0].away) await sleep(50);
  assert.deepEqual(told, [`join ${user}`]);
  here.close();
  await browser.close();
  await broker.stop();
});
