/**
 * Takes the pictures of the operator's page that the documents show. It needs three minutes, so that the
 * curves show something that has been.
 *
 *     node admin-shots.mjs ../../docs/shots
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { launchBrowser, newTabs, startBroker } from './harness.mjs';

const KEY = 'support-support-support';
const QUALITY = 70;
const MINUTES = Number(process.env.MINUTES ?? 3);
const MOODS = ['happy', 'calm', 'curious', 'proud', 'tired'];
const ROOMS = ['launch-night', 'stadium-north', 'stadium-south', 'quiz-42', 'support', 'garden', 'typing:dm-7', 'lobby'];

const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

const folder = process.argv[2];
if (!folder) throw new Error('which folder?');
await mkdir(folder, { recursive: true });
const broker = await startBroker({ env: { HERENOW_API_KEYS: `[[key]]\nname = "support"\nsecret = "${KEY}"\nrights = ["read", "kick", "write"]` } });
const browser = await launchBrowser();
/** @type {import('ws').WebSocket[]} */
const crowd = [];

/** Somebody comes to a room, more likely to one that stands first. @param {number} number */
function come(number) {
  const room = ROOMS[Math.floor(ROOMS.length * Math.random() ** 2.5)];
  const socket = new WebSocket(`${broker.url}?user=${['ada', 'bob', 'carol', 'dora', 'eve', 'finn'][number % 6]}-${number}`);
  socket.onopen = () => socket.send(JSON.stringify({ type: 'join', channel: room, attributes: { mood: MOODS[number % MOODS.length], seat: number % 90 } }));
  crowd.push(socket);
}

/** @param {import('playwright-core').BrowserContextOptions} options @param {string} at @param {string} name */
async function shoot(options, at, name) {
  const { context } = await newTabs(browser, options);
  const page = await context.newPage();
  await page.goto(`${broker.http}/admin#/${at}`);
  await page.getByTestId('key').fill(KEY);
  await page.getByTestId('key').press('Enter');
  // Until something has happened that is seen.
  await page.waitForTimeout(9_000);
  await page.screenshot({ path: join(folder, `${name}.jpg`), type: 'jpeg', quality: QUALITY });
  await context.close();
}

let number = 0;
const coming = setInterval(() => {
  // Waves, so that the curves are curves.
  const wave = 1 + Math.sin(Date.now() / 17_000);
  for (let many = 0; many < wave * 3; many += 1) come(number++);
  while (crowd.length > 260 + 120 * wave) crowd.splice(Math.floor(Math.random() * 40), 1)[0].close();
}, 400);
try {
  await new Promise((resolve) => { setTimeout(resolve, MINUTES * 60_000); });
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    await shoot({ ...DESKTOP, colorScheme }, '', `admin-${colorScheme}`);
    await shoot({ ...DESKTOP, colorScheme }, `channels/${ROOMS[0]}`, `admin-channel-${colorScheme}`);
    await shoot({ ...PHONE, colorScheme }, 'channels', `admin-phone-${colorScheme}`);
  }
} finally {
  clearInterval(coming);
  for (const socket of crowd) socket.close();
  await browser.close();
  await broker.stop();
}
