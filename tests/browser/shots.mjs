/**
 * Takes the pictures of the demo page that the README shows: light and dark, desktop and phone.
 *
 *     node shots.mjs ../../docs/shots
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Demo, launchBrowser, newTabs, startBroker } from './harness.mjs';

const CHANNEL = 'launch-night';
const QUALITY = 70;

const SIZES = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

/** @param {Demo} demo */
async function act(demo) {
  await demo.get('mood-happy').click();
  await demo.get('crowd-100').click();
  await demo.get('break-offline').click();
  await demo.page.waitForFunction(() => Number(document.querySelector('#count')?.textContent) > 95);
  await demo.timeline('Others saw nothing');
  // So that the curves show something.
  await demo.page.waitForTimeout(12_000);
  for (const kind of ['heart', 'star', 'flame']) {
    // Pressed without the pointer, which would scroll there and stay on it.
    await demo.get(`react-${kind}`).evaluate((button) => /** @type {HTMLElement} */ (button).click());
    await demo.page.waitForTimeout(350);
  }
  await demo.page.evaluate(() => scrollTo(0, 0));
}

const folder = process.argv[2];
if (!folder) throw new Error('which folder?');
await mkdir(folder, { recursive: true });
const broker = await startBroker();
const browser = await launchBrowser();
try {
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      const { context } = await newTabs(browser, { ...options, colorScheme });
      const demo = await Demo.open(context, broker.http, { name: 'ada', channel: CHANNEL });
      await act(demo);
      await demo.page.screenshot({ path: join(folder, `${size}-${colorScheme}.jpg`), type: 'jpeg', quality: QUALITY });
      await demo.get('crowd-0').click();
      await context.close();
    }
  }
} finally {
  await browser.close();
  await broker.stop();
}
