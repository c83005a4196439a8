/** The operator's page in a real browser, against a real broker. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { launchBrowser, newTabs, startBroker, startWire } from './harness.mjs';

const SUPPORT = 'support-support-support';
const READER = 'reader-reader-reader';
const KEYS = `
[[key]]
name = "support"
secret = "${SUPPORT}"
rights = ["read", "write", "kick"]
[[key]]
name = "reader"
secret = "${READER}"
rights = ["read"]`;

/** Rows that a list has as elements at most, however long it is. */
const MOST_ROWS = 60;

/** @typedef {Awaited<ReturnType<typeof startBroker>>} Broker */

/** @type {Broker} */ let broker;
/** @type {import('playwright-core').Browser} */ let browser;
/** @type {import('playwright-core').BrowserContext} */ let context;
/** @type {string[]} */ let complaints;
/** @type {import('ws').WebSocket[]} */ let sockets = [];
let number = 0;

/** @param {string[]} [flags] */
const startWithKeys = (flags = []) => startBroker({
  flags: ['--max-requests-per-second', '1000000', '--max-requests-burst', '1000000', ...flags],
  env: { HERENOW_API_KEYS: KEYS },
});

before(async () => {
  [broker, browser] = await Promise.all([startWithKeys(), launchBrowser()]);
});

after(async () => {
  await browser?.close();
  await broker?.stop();
});

beforeEach(async () => {
  number += 1;
  ({ context, complaints } = await newTabs(browser));
});

afterEach(async () => {
  for (const socket of sockets) socket.terminate();
  sockets = [];
  await context.close();
});

/** The page as an operator sees it. */
class Admin {
  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.page = page;
  }

  /** @param {{key?: string, at?: string, url?: string, inside?: import('playwright-core').BrowserContext}} [options] */
  static async open({ key = SUPPORT, at = '', url = broker.http, inside = context } = {}) {
    const admin = new Admin(await inside.newPage());
    await admin.page.goto(`${url}/admin${at}`);
    if (key) {
      await admin.get('key').fill(key);
      await admin.get('key').press('Enter');
      await admin.get('tabs').waitFor();
    }
    return admin;
  }

  /** @param {string} id */
  get(id) {
    return this.page.getByTestId(id);
  }

  /** @param {string} id @param {string | RegExp} text */
  async says(id, text) {
    await this.get(id).filter({ hasText: text }).first().waitFor();
  }

  /** The row of a list. @param {'channel' | 'user'} kind @param {string} name */
  row(kind, name) {
    return this.page.locator(`.window-row[data-${kind}=${JSON.stringify(name)}]`);
  }

  /** What the rows of a list show that are in its window, from the top. @param {string} id */
  async rows(id) {
    return this.get(id).evaluate((list) => {
      const { top, bottom } = list.getBoundingClientRect();
      const rows = [...list.querySelectorAll('.window-row')];
      return rows
        .map((row) => ({ y: row.getBoundingClientRect().y, text: row.querySelector('.name')?.textContent ?? '…' }))
        .filter(({ y }) => y >= top - 1 && y < bottom).sort((a, b) => a.y - b.y).map(({ text }) => text);
    });
  }

  /** How many rows there are as elements. @param {string} id */
  async elements(id) {
    return this.get(id).locator('.window-row').count();
  }

  /** @param {string} id @param {number} part of the way down, 0 to 1 */
  async scroll(id, part) {
    await this.get(id).evaluate((list, part) => {
      list.scrollTop = (list.scrollHeight - list.clientHeight) * part;
    }, part);
  }

  /** What is wider than its room: the page, or what scrolls in it. */
  async tooWide() {
    return this.page.evaluate(() => [document.documentElement, ...document.querySelectorAll('main, main > section, .card, .scroll, .window, ul')]
      .filter((each) => each.scrollWidth > each.clientWidth && each.clientWidth)
      .map((each) => `${each.tagName}#${each.id}.${each.className}: ${each.scrollWidth} > ${each.clientWidth}`));
  }
}

/** A back end's request. @param {string} method @param {string} path @param {object} [body] */
async function ask(method, path, body) {
  const response = await fetch(`${broker.http}/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${SUPPORT}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response;
}

/** @param {string} channel @param {string} user @param {object} [attributes] */
const lease = (channel, user, attributes) => ask('PUT', `channels/${channel}/members/${user}`, { ttlMs: 600_000, attributes });

/** Somebody with a socket, in these channels. @param {string} user @param {...string} channels */
async function connect(user, ...channels) {
  const socket = new WebSocket(`${broker.url}?user=${user}`);
  sockets.push(socket);
  const [welcome] = await once(socket, 'message');
  for (const [index, channel] of channels.entries()) {
    socket.send(JSON.stringify({ type: 'join', id: index + 1, channel }));
    await once(socket, 'message');
  }
  return { socket, connection: JSON.parse(String(welcome)).connection, closed: once(socket, 'close') };
}

/**
 * Leases by the thousand: requests one after the other on a few connections, without waiting.
 * @param {number} port @param {string[]} members `channel/members/user` each
 */
async function fill(port, members) {
  const lanes = 4;
  await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const own = members.filter((_, index) => index % lanes === lane);
    const body = '{"ttlMs":3600000}';
    for (let from = 0; from < own.length; from += 200) {
      const some = own.slice(from, from + 200);
      let answers = 0;
      const answered = new Promise((resolve, reject) => {
        const hear = (/** @type {Buffer} */ bytes) => {
          const text = bytes.toString('latin1');
          if (/HTTP\/1\.1 [345]/.test(text)) reject(new Error(text));
          answers += text.split('HTTP/1.1 2').length - 1;
          if (answers < some.length) return;
          socket.off('data', hear);
          resolve(undefined);
        };
        socket.on('data', hear);
      });
      socket.write(some.map((path) => `PUT /v1/channels/${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${SUPPORT}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`).join(''));
      await answered;
    }
    socket.destroy();
  }));
}

describe('the key', { timeout: 240_000 }, () => {
  test('without keys there is no such page', async () => {
    const open = await startBroker();
    for (const path of ['/admin', '/admin/app.js']) assert.equal((await fetch(open.http + path)).status, 404);
    await open.stop();
  });

  test('a wrong one is told so, and a right one stays in its tab and out of its address', async () => {
    const admin = await Admin.open({ key: '' });
    await admin.get('key').fill('nobody-nobody-nobody');
    await admin.get('use-key').click();
    await admin.says('key-problem', /no such key/);
    await admin.get('key').fill(SUPPORT);
    await admin.get('use-key').click();
    await admin.says('key-name', 'support');
    await admin.says('key-rights', 'read, write, kick');
    assert.ok(!admin.page.url().includes(SUPPORT));
    assert.equal(await admin.page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie), '{}');
    await admin.page.reload();
    await admin.says('key-name', 'support');
    const other = await Admin.open({ key: '' });
    await other.get('sign-in').waitFor();
    await admin.get('forget').click();
    await admin.get('sign-in').waitFor();
    await admin.page.reload();
    await admin.get('sign-in').waitFor();
    // Chromium tells of the 401, and of nothing else.
    assert.deepEqual(complaints.filter((each) => !each.includes('401')), []);
  });

  test('one that may only read is told what it may not, and kicks nobody', async () => {
    await connect('ada', `room-${number}`);
    const admin = await Admin.open({ key: READER });
    await admin.get('rights').locator('li.no', { hasText: 'kick' }).waitFor();
    await admin.page.goto(`${broker.http}/admin#/users/ada`);
    await admin.get('line').first().waitFor();
    assert.equal(await admin.get('kick').first().isDisabled(), true);
    assert.equal(await admin.get('kick-all').isDisabled(), true);
    await admin.says('lines-about', /not the right to kick/);
    assert.deepEqual(complaints, []);
  });
});

describe('what is seen', { timeout: 240_000 }, () => {
  test('the broker in numbers, and a curve for each', async () => {
    await connect('ada', `room-${number}`);
    const { now } = await (await ask('GET', 'overview')).json();
    const admin = await Admin.open();
    await admin.says('now-members', String(now.members));
    await admin.says('now-connections', String(now.connections));
    await admin.says('now-memory', /MiB/);
    await admin.says('connection-words', 'Live');
    await connect('bob', `room-${number}`);
    await admin.says('now-connections', String(now.connections + 1));
    await admin.page.waitForFunction(() => /M.*L/.test(document.querySelector('[data-testid=plot-memory] .line')?.getAttribute('d') ?? ''));
    assert.match(/** @type {string} */ (await admin.get('plot-memory').getAttribute('aria-label')), /^Memory, last 2 min: .* to .*MiB/);
    assert.deepEqual(complaints, []);
  });

  test('channels, the largest first, by the beginning of their names, live', async () => {
    const own = `sized-${number}-`;
    for (const [name, members] of /** @type {const} */ ([['small', 1], ['large', 3], ['middle', 2]])) {
      for (let member = 0; member < members; member += 1) await lease(own + name, `user-${member}`);
    }
    const admin = await Admin.open({ at: '#/channels' });
    await admin.get('channel-search').fill(own);
    await admin.says('channels-about', /^3 channels that begin so/);
    assert.deepEqual(await admin.rows('channel-list'), [`${own}large`, `${own}middle`, `${own}small`]);
    for (const user of ['user-1', 'user-2', 'user-3']) await lease(`${own}small`, user);
    await admin.page.waitForFunction((first) => document.querySelector('.window-row[data-index="0"]')?.textContent === first, `${own}small4`);
    await admin.get('channel-search').fill('nobody-is-in-such-a-channel');
    await admin.says('channels-none', /begins so/);
    assert.deepEqual(complaints, []);
  });

  test('a channel: attributes, sources and what happens, live', async () => {
    const room = `room-${number}`;
    await lease(room, 'bob', { mood: 'calm' });
    const { connection } = await connect('ada', room);
    const admin = await Admin.open({ at: `#/channels/${room}` });
    await admin.says('channel-count', '2');
    await admin.row('user', 'bob').filter({ hasText: 'mood: calm' }).filter({ hasText: 'lease' }).waitFor();
    await admin.row('user', 'ada').filter({ hasText: connection }).waitFor();
    await lease(room, 'bob', { mood: 'proud' });
    await admin.row('user', 'bob').filter({ hasText: 'mood: proud' }).waitFor();
    await admin.says('feed', /bob changed · mood: proud/);
    await lease(room, 'cy');
    await admin.row('user', 'cy').waitFor();
    await admin.says('feed', /cy came/);
    await ask('DELETE', `channels/${room}/members/cy`);
    await admin.row('user', 'cy').waitFor({ state: 'detached' });
    await admin.says('channel-count', '2');
    await admin.get('member-search').fill('nobody');
    await admin.get('member-search').press('Enter');
    await admin.page.getByText('is not a member of the channel').waitFor();
    await admin.get('member-search').fill('ada');
    await admin.get('member-search').press('Enter');
    await admin.get('line').filter({ hasText: connection }).waitFor();
    assert.deepEqual(complaints.filter((each) => !each.includes('404')), []);
  });

  test('markup in names and attributes is text', async () => {
    const room = encodeURIComponent('<b>room</b>');
    await lease(room, encodeURIComponent('<img src=x>'), { mood: '<i>happy</i>' });
    const admin = await Admin.open({ at: `#/channels/${room}` });
    await admin.row('user', '<img src=x>').filter({ hasText: '<i>happy</i>' }).waitFor();
    assert.equal(await admin.page.locator('main b, main i, main img').count(), 0);
    assert.deepEqual(complaints, []);
  });
});

describe('a user', { timeout: 240_000 }, () => {
  test('is found, and one of its connections is kicked, in three clicks', async () => {
    const user = `ada-${number}`;
    const [desk, phone] = [await connect(user, `room-${number}`), await connect(user, `hall-${number}`)];
    const admin = await Admin.open();
    await admin.page.evaluate(() => {
      const counted = /** @type {any} */ (globalThis);
      counted.clicks = 0;
      // Not those that Enter makes of a form's button.
      addEventListener('click', ({ detail }) => { counted.clicks += detail ? 1 : 0; }, true);
    });
    await admin.get('tabs').getByText('Users').click();
    await admin.page.keyboard.type(user);
    await admin.page.keyboard.press('Enter');
    await admin.says('status', 'online');
    await admin.get('where').getByText(`hall-${number}`).waitFor();
    const line = admin.get('line').filter({ hasText: phone.connection });
    await line.filter({ hasText: `hall-${number}` }).getByRole('button').click();
    await admin.page.getByRole('dialog').filter({ hasText: `Kick ${phone.connection}?` }).waitFor();
    await admin.get('ask-yes').click();
    const [code] = await phone.closed;
    assert.equal(code, 4003);
    await line.waitFor({ state: 'detached' });
    assert.equal(await admin.page.evaluate(() => /** @type {any} */ (globalThis).clicks), 3);
    assert.equal(desk.socket.readyState, WebSocket.OPEN);
    await admin.get('line').filter({ hasText: desk.connection }).waitFor();
    await admin.row('channel', `hall-${number}`).waitFor({ state: 'detached' });
    assert.deepEqual(complaints, []);
  });

  test('whoever does not mean it kicks nobody, and a user is signed out everywhere', async () => {
    const user = `ada-${number}`;
    const lines = [await connect(user, `room-${number}`), await connect(user)];
    const admin = await Admin.open({ at: `#/users/${user}` });
    await admin.get('kick').first().click();
    await admin.get('ask-no').click();
    await admin.get('kick').first().click();
    await admin.page.keyboard.press('Escape');
    assert.deepEqual(lines.map(({ socket }) => socket.readyState), [WebSocket.OPEN, WebSocket.OPEN]);
    await admin.get('kick-all').click();
    await admin.get('ask-yes').click();
    const codes = await Promise.all(lines.map(({ closed }) => closed));
    assert.deepEqual(codes.map(([code]) => code), [4003, 4003]);
    await admin.says('status', 'offline');
    assert.equal(await admin.get('line').count(), 0);
    assert.deepEqual(complaints, []);
  });

  test('nobody knows everybody', async () => {
    const admin = await Admin.open({ at: '#/users/nobody-of-this-name' });
    await admin.says('status', /not known/);
    await admin.says('lines-about', 'None.');
  });
});

describe('how it is used', { timeout: 240_000 }, () => {
  test('by keyboard alone', async () => {
    const own = `keys-${number}-`;
    for (const channel of ['a', 'b', 'c']) await lease(own + channel, 'ada');
    await connect('ada', `${own}b`);
    const admin = await Admin.open({ at: '#/channels' });
    const { keyboard } = admin.page;
    await admin.get('channel-list').waitFor();
    await keyboard.press('/');
    // The first letters may find all three, and the list begins anew when the last one was typed.
    const found = admin.page.waitForResponse((answer) => answer.url().includes(`prefix=${own}&`));
    await keyboard.type(own);
    await found;
    await admin.says('channels-about', /^3 channels/);
    await keyboard.press('ArrowDown');
    await keyboard.press('End');
    await admin.page.waitForFunction(() => document.querySelector('.window-row[aria-selected=true]')?.getAttribute('aria-posinset') === '3');
    await keyboard.press('ArrowUp');
    await keyboard.press('Enter');
    await admin.says('channel-name', `${own}b`);
    await admin.row('user', 'ada').waitFor();
    await keyboard.press('Tab');
    await admin.page.waitForFunction(() => document.activeElement?.id === 'member-search');
    await keyboard.press('Tab');
    await keyboard.press('ArrowDown');
    await keyboard.press('Enter');
    await admin.get('line').first().waitFor();
    for (let tabs = 0; tabs < 10; tabs += 1) {
      await keyboard.press('Tab');
      if (await admin.page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).dataset.connection)) break;
    }
    await keyboard.press('Enter');
    await admin.get('ask').waitFor();
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    await admin.says('lines-about', 'None.');
    assert.deepEqual(complaints, []);
  });

  test('on a phone nothing is wider than the window', async () => {
    const room = `a-room-with-quite-a-long-name-that-no-phone-can-show-on-one-line-${number}`;
    await lease(room, 'somebody-with-a-name-that-is-longer-than-a-phone-is-wide-and-then-some', { mood: 'a word that goes on and on and on and on' });
    const phone = await newTabs(browser, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
    await connect('ada', room, 'lobby', 'another-room-with-a-name-that-is-long', 'and-one-more-of-them');
    const admin = await Admin.open({ inside: phone.context });
    await admin.says('now-members', /\d/);
    assert.deepEqual(await admin.tooWide(), [], 'overview');
    assert.ok(await admin.page.locator('h1:visible').evaluate((title) => title.getBoundingClientRect().height > 20));
    for (const [at, shown] of [['channels', 'channel-list'], [`channels/${room}`, 'member-list'], ['users', 'user-search'], ['users/ada', 'line']]) {
      await admin.page.goto(`${broker.http}/admin#/${at}`);
      await admin.get(shown).first().waitFor();
      assert.deepEqual(await admin.tooWide(), [], at);
      assert.ok(await admin.page.locator('h1:visible').evaluate((title) => title.getBoundingClientRect().height > 20), at);
      const small = await admin.page.evaluate(() => [...document.querySelectorAll('nav a, button, input')]
        .filter((each) => /** @type {HTMLElement} */ (each).offsetParent && each.getBoundingClientRect().height < 32).map((each) => each.outerHTML));
      assert.deepEqual(small, [], 'too small for a finger');
    }
    assert.deepEqual(phone.complaints, []);
    await phone.context.close();
  });

  test('light and dark', async () => {
    const looks = [];
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      const tabs = await newTabs(browser, { colorScheme });
      const admin = await Admin.open({ inside: tabs.context });
      await admin.says('now-members', /\d/);
      looks.push(await admin.page.evaluate(() => {
        const lightness = (/** @type {string} */ colour) => (colour.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
        const { backgroundColor } = getComputedStyle(document.body);
        const { color } = getComputedStyle(/** @type {Element} */ (document.querySelector('.plots strong')));
        return { ground: lightness(backgroundColor), ink: lightness(color) };
      }));
      await tabs.context.close();
    }
    const [light, dark] = looks;
    assert.ok(light.ground > 200 && light.ink < 60, JSON.stringify(light));
    assert.ok(dark.ground < 60 && dark.ink > 200, JSON.stringify(dark));
  });

  test('who looks away asks nothing, and a lost broker is asked again', async () => {
    const wire = await startWire(broker.port);
    const admin = await Admin.open({ url: wire.http });
    await admin.says('connection-words', 'Live');
    let asked = 0;
    admin.page.on('request', () => { asked += 1; });
    const turn = (/** @type {boolean} */ hidden) => admin.page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await turn(true);
    // One may be under way; three would have come.
    await admin.page.waitForTimeout(500);
    asked = 0;
    await admin.page.waitForTimeout(7_000);
    assert.equal(asked, 0);
    await turn(false);
    await admin.page.waitForRequest(/v1\/overview/);
    await wire.stop();
    await admin.says('connection-words', /No answer/);
  });
});

describe('much of it', { timeout: 240_000 }, () => {
  /** @type {Broker} */ let large;

  before(async () => {
    large = await startWithKeys(['--max-statuses', '200000']);
    await fill(large.port, [
      ...Array.from({ length: 10_000 }, (_, index) => `c${String(index).padStart(5, '0')}/members/user-${index % 500}`),
      ...Array.from({ length: 100_000 }, (_, index) => `stadium/members/fan-${String(index).padStart(6, '0')}`),
    ]);
  });

  after(() => large?.stop());

  test('10,000 channels, of which a window is drawn', async () => {
    const admin = await Admin.open({ url: large.http, at: '#/channels' });
    await admin.says('channels-about', /^10,001 channels/);
    assert.equal((await admin.rows('channel-list'))[0], 'stadium');
    await admin.scroll('channel-list', 1);
    await admin.row('channel', 'c09999').waitFor();
    assert.ok(await admin.elements('channel-list') < MOST_ROWS);
    await admin.scroll('channel-list', 0.5);
    await admin.page.waitForFunction(() => !document.querySelector('#channel-list .window-row.unknown'));
    const rows = await admin.rows('channel-list');
    assert.deepEqual(rows, [...rows].sort());
    assert.ok(rows[0] > 'c04900' && rows[0] < 'c05100', rows[0]);
    await admin.get('channel-search').fill('c0123');
    await admin.says('channels-about', /^10 channels/);
    await admin.row('channel', 'c01239').waitFor();
    assert.deepEqual(complaints, []);
  });

  test('100,000 members, of which a window is drawn', async () => {
    const admin = await Admin.open({ url: large.http, at: '#/channels/stadium' });
    await admin.says('channel-count', '100,000');
    await admin.says('channel-about', /told as a count/);
    const list = admin.get('member-list');
    // Who came first is a matter of chance: they came on several connections.
    const known = (/** @type {number} */ index) => list.locator(`.window-row[data-index="${index}"]:not(.unknown)`);
    await known(0).waitFor();
    assert.ok(await admin.elements('member-list') < MOST_ROWS);
    // By wheel: whatever comes into the window is read, and what goes out of it is no element.
    await list.hover();
    for (let turn = 0; turn < 10; turn += 1) await admin.page.mouse.wheel(0, 3_000);
    await admin.page.waitForFunction(() => {
      const list = document.querySelector('#member-list');
      return list && list.scrollTop > 20_000 && !list.querySelector('.window-row.unknown');
    });
    assert.ok(await admin.elements('member-list') < MOST_ROWS);
    await list.press('End');
    await known(99_999).waitFor({ timeout: 60_000 });
    assert.ok(await admin.elements('member-list') < MOST_ROWS);
    await list.press('Home');
    await known(0).waitFor();
    assert.ok((await admin.rows('member-list')).length > 5);
    assert.deepEqual(complaints, []);
  });
});
