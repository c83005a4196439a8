/** What the browser tests stand on: a broker, a wire that can be cut, a browser, and its pages. */

import { chromium } from 'playwright-core';
import { generator } from '../../clients/javascript/test/seed.js';

export { BROKER, freePort, startBroker, startWire } from '../../clients/javascript/test/rig.js';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Nothing here takes long; what does is broken. */
const PATIENCE_MS = 10_000;

export async function launchBrowser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
}

/**
 * A context with its own tabs. `complaints` collects whatever a page's console or a script's death
 * had to say.
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function newTabs(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  /** @type {string[]} */
  const complaints = [];
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(String(error.error())));
  return { context, complaints };
}

/** The page as a person sees it. */
export class Demo {
  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.page = page;
  }

  /**
   * A tab in the channel, under this name: a member, as every visitor is.
   * @param {import('playwright-core').BrowserContext} context
   * @param {string} url
   * @param {{name?: string, channel: string}} who
   */
  static async open(context, url, { name, channel }) {
    const page = await context.newPage();
    // Each tab has dice of its own, from the seed of the run.
    await page.addInitScript({ content: `Math.random = (${generator})(${Math.floor(Math.random() * 2 ** 32)});` });
    // Kept for the tab, as if it had been chosen on an earlier visit.
    if (name !== undefined) {
      await page.addInitScript((name) => {
        if (sessionStorage.getItem('herenow.name') === null) sessionStorage.setItem('herenow.name', name);
      }, name);
    }
    await page.goto(`${url}/#${encodeURIComponent(channel)}`);
    const demo = new Demo(page);
    await demo.isIn();
    return demo;
  }

  /** @param {string} id */
  get(id) {
    return this.page.getByTestId(id);
  }

  /** Welcomed, and told who is here. */
  async connected() {
    await this.get('connection-title').filter({ hasText: /^Connected$/ }).waitFor();
    await this.get('count').filter({ hasText: /^[\d,]+$/ }).waitFor();
  }

  /** Present, as far as the page knows. */
  async isIn() {
    await this.connected();
    await this.get('membership').filter({ hasText: /^You are in/ }).waitFor();
  }

  /** @param {string} name */
  async rename(name) {
    await this.get('name').fill(name);
    await this.get('name').blur();
    await this.shown(name);
    await this.isIn();
  }

  async leave() {
    await this.get('leave').click();
    await this.get('join').waitFor();
  }

  async join() {
    await this.get('join').click();
    await this.isIn();
  }

  /** People without a page of their own, who join one after the other. @param {string} channel @param {string[]} users */
  async crowd(channel, ...users) {
    await this.page.evaluate(async ([channel, ...users]) => {
      const crowd = (/** @type {any} */ (globalThis).crowd ??= new Map());
      for (const user of users) {
        const socket = new WebSocket(`ws://${location.host}/ws?user=${encodeURIComponent(user)}`);
        crowd.set(user, socket);
        await new Promise((resolve) => {
          socket.onopen = () => socket.send(JSON.stringify({ type: 'join', id: 1, channel }));
          socket.onmessage = ({ data }) => data.includes('"ok"') && resolve(null);
        });
      }
    }, [channel, ...users]);
  }

  /** Some of them go. @param {string[]} users */
  async disperse(...users) {
    await this.page.evaluate((users) => {
      for (const user of users) /** @type {any} */ (globalThis).crowd.get(user).close();
    }, users);
  }

  /** @param {string} user */
  avatar(user) {
    return this.page.locator(`[data-testid=member][data-user=${JSON.stringify(user)}]`);
  }

  /** @param {string} user */
  async shown(user) {
    await this.avatar(user).waitFor();
  }

  /** Waits until exactly these are shown, newest first, and counted. @param {string[]} users */
  async shows(...users) {
    await this.page.waitForFunction((expected) => {
      const avatars = [...document.querySelectorAll('[data-testid=member]')];
      const shown = avatars.map((avatar) => /** @type {HTMLElement} */ (avatar).dataset.user);
      const count = document.querySelector('[data-testid=count]')?.textContent;
      return JSON.stringify(shown) === JSON.stringify(expected) && count === String(expected.length);
    }, users);
  }

  /** What the avatar says of its user, to who cannot see it. @param {string} user @param {string | RegExp} words */
  async says(user, words) {
    await this.page.waitForFunction(([user, source]) => {
      const avatar = [...document.querySelectorAll('[data-testid=member]')]
        .find((each) => /** @type {HTMLElement} */ (each).dataset.user === user);
      return new RegExp(source).test(avatar?.getAttribute('aria-label') ?? '');
    }, [user, new RegExp(words).source]);
  }

  /** Waits for a line of activity. @param {string | RegExp} words */
  async told(words) {
    await this.get('feed-item').filter({ hasText: words }).first().waitFor();
  }

  /** All lines of activity, oldest first. */
  async feed() {
    const lines = await this.page.locator('[data-testid=feed-item] .what').allTextContents();
    return lines.reverse();
  }

  /** Waits for a line of the guinea pig's. @param {string | RegExp} words */
  async timeline(words) {
    await this.get('timeline-item').filter({ hasText: words }).first().waitFor({ timeout: 30_000 });
  }

  /** Waits for a frame on the wire. @param {'in' | 'out'} direction @param {string | RegExp} text */
  async logged(direction, text) {
    await this.get(`wire-${direction}`).filter({ hasText: text }).first().waitFor({ state: 'attached' });
  }

  /** @param {string} line */
  async type(line) {
    await this.get('typed').fill(line);
    await this.get('typed').press('Enter');
  }

  /** By how many pixels the page is wider than its window. */
  async overflow() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  }
}
