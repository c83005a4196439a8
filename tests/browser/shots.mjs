/**
 * Writes pictures of the demo page to the folder named by SHOTS: light and dark, desktop and phone.
 *
 *     SHOTS=/some/folder node shots.mjs
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Demo, launchBrowser, newTabs, startBroker } from './harness.mjs';

const CHANNEL = 'design-review';
const CROWD = [
  ['Grace Hopper', { mood: 'focused' }],
  ['linus', {}],
  ['Zoë Ångström', { mood: 'happy' }],
  ['نورا الخطيب', { mood: 'curious' }],
  ['margaret.hamilton', { mood: 'deep in the guidance code, back at four' }],
  ['a-name-that-goes-on-and-on-because-nobody-told-it-to-stop-' + 'x'.repeat(40), { mood: 'tired' }],
];

const SIZES = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

/** More people in the channel, by bare connections from a page that shows nothing. @param {import('playwright-core').BrowserContext} context @param {string} url */
async function crowd(context, url) {
  const page = await context.newPage();
  await page.goto(`${url}/style.css`);
  await page.evaluate(async ({ channel, people }) => {
    for (const [user, attributes] of people) {
      const socket = new WebSocket(`ws://${location.host}/ws?user=${encodeURIComponent(user)}`);
      await new Promise((resolve) => { socket.onmessage = resolve; });
      socket.send(JSON.stringify({ type: 'join', channel, attributes, id: 1 }));
      await new Promise((resolve) => { socket.onmessage = resolve; });
    }
  }, { channel: CHANNEL, people: /** @type {[string, object][]} */ (CROWD) });
  return page;
}

/** @param {Demo} demo */
async function act(demo) {
  await demo.get('mood-calm').click();
  await demo.join();
  await demo.type(`who ${CHANNEL}`);
  await demo.logged('in', '"type":"result"');
  await demo.type('dance');
  await demo.get('typed-problem').filter({ hasText: /./ }).waitFor();
}

const folder = process.env.SHOTS;
if (!folder) throw new Error('SHOTS must name a folder for the pictures');
await mkdir(folder, { recursive: true });
const broker = await startBroker();
const browser = await launchBrowser();
for (const [size, options] of Object.entries(SIZES)) {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const { context } = await newTabs(browser, { ...options, colorScheme });
    const demo = await Demo.open(context, broker.url, { name: 'ada', channel: CHANNEL });
    const others = await crowd(context, broker.url);
    await act(demo);
    await demo.page.bringToFront();
    // Arrivals fade in; a picture taken meanwhile would be of ghosts.
    await demo.page.evaluate(() => Promise.all(
      document.getAnimations().filter((animation) => animation.effect?.getComputedTiming().iterations !== Infinity)
        .map((animation) => animation.finished),
    ));
    await demo.page.screenshot({ path: join(folder, `${size}-${colorScheme}.png`), fullPage: size === 'phone' });
    await others.close();
    await context.close();
  }
}
await browser.close();
await broker.stop();
