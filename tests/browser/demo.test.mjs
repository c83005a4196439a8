/** The demo page in a real browser, against a real broker. Every test has a channel of its own. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Demo, launchBrowser, newTabs, startBroker, startCuttableWire } from './harness.mjs';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').BrowserContext} */
let context;
/** @type {string[]} */
let complaints;
let channel = '';
let channels = 0;

before(async () => {
  [broker, browser] = await Promise.all([startBroker(), launchBrowser()]);
});

after(async () => {
  await browser?.close();
  await broker?.stop();
});

beforeEach(async () => {
  channel = `room-${++channels}`;
  ({ context, complaints } = await newTabs(browser));
});

afterEach(() => context.close());

/** @param {string} name */
const open = (name) => Demo.open(context, broker.url, { name, channel });

describe('two tabs', { timeout: 60_000 }, () => {
  test('see each other join within a second', async () => {
    const ada = await open('ada');
    const bob = await open('bob');
    await ada.join();
    await bob.shows('ada');
    const began = performance.now();
    await bob.join();
    await ada.shows('bob', 'ada');
    assert.ok(performance.now() - began < 1000, 'the join took longer than a second to show');
    await bob.shows('bob', 'ada');
    await ada.told('bob joined');
    assert.equal(await ada.row('ada').getByText('you', { exact: true }).isVisible(), true);
    assert.equal(await ada.row('bob').getByText('you', { exact: true }).isVisible(), false);
    assert.deepEqual(complaints, []);
  });

  test('see moods change, chosen before and after joining, and cleared', async () => {
    const ada = await open('ada');
    const bob = await open('bob');
    await ada.get('mood-happy').click();
    await ada.join();
    const mood = bob.row('ada').getByTestId('member-mood');
    await mood.filter({ hasText: /^happy$/ }).waitFor();
    await ada.get('mood-text').fill('deep in <b>code</b>');
    await ada.get('mood-text').press('Enter');
    await mood.filter({ hasText: 'deep in <b>code</b>' }).waitFor();
    await bob.told('ada is now deep in <b>code</b>');
    await ada.get('mood-text').fill('');
    await ada.get('mood-text').press('Enter');
    await mood.waitFor({ state: 'hidden' });
    await bob.told('ada cleared the mood');
    assert.deepEqual(complaints, []);
  });

  test('see a leave, and the leaver can come back', async () => {
    const ada = await open('ada');
    const bob = await open('bob');
    await ada.join();
    await bob.join();
    await ada.leave();
    await bob.shows('bob');
    await bob.told(/ada left/);
    await ada.shows('bob');
    await ada.join();
    await bob.shows('ada', 'bob');
    assert.deepEqual(complaints, []);
  });

  test('see that a tab was closed', async () => {
    const ada = await open('ada');
    const bob = await open('bob');
    await bob.join();
    await ada.shows('bob');
    await bob.page.close();
    await ada.shows();
    await ada.told('bob left: closed the connection');
    assert.deepEqual(complaints, []);
  });

  test('are different people until a name is chosen, and a reload keeps the name', async () => {
    const [one, other] = [await Demo.open(context, broker.url, { channel }), await Demo.open(context, broker.url, { channel })];
    await one.rename('chosen');
    assert.notEqual(await other.get('name').inputValue(), 'chosen');
    await one.join();
    await other.shows('chosen');
    await one.page.reload();
    await one.connected();
    assert.equal(await one.get('name').inputValue(), 'chosen');
    assert.equal(await one.get('channel').inputValue(), channel);
    await other.shows();
    await one.join();
    await other.shows('chosen');
    assert.deepEqual(complaints, []);
  });

  test('meet through the link to another tab', async () => {
    const ada = await open('ada');
    await ada.join();
    const [page] = await Promise.all([
      context.waitForEvent('page'),
      ada.get('another-tab').click(),
    ]);
    const other = new Demo(page);
    await other.shows('ada');
    assert.equal(await other.get('channel').inputValue(), channel);
    assert.notEqual(await other.get('name').inputValue(), 'ada');
    assert.deepEqual(complaints, []);
  });
});

describe('one tab', { timeout: 60_000 }, () => {
  test('moves to another channel and leaves none behind', async () => {
    const ada = await open('ada');
    const bob = await open('bob');
    await ada.join();
    await bob.shows('ada');
    await ada.page.evaluate(() => { location.hash = 'else where'; });
    await ada.get('channel-title').filter({ hasText: 'else where' }).waitFor();
    await bob.shows();
    await ada.shows();
    await ada.join();
    await ada.shows('ada');
    await bob.shows();
    assert.deepEqual(complaints, []);
  });

  test('types frames by hand, shorthand and JSON', async () => {
    const ada = await open('ada');
    await ada.join();
    await ada.type(`who ${channel}`);
    await ada.logged('out', `who ${channel}`);
    await ada.logged('in', /"type":"result".*"members":\[\{"user":"ada"/);
    assert.equal(await ada.get('typed').inputValue(), '');
    await ada.get('typed').press('ArrowUp');
    assert.equal(await ada.get('typed').inputValue(), `who ${channel}`);
    await ada.type(JSON.stringify({ type: 'setAttributes', channel, attributes: { mood: 'typed' } }));
    await ada.row('ada').getByText('typed').waitFor();
    await ada.type(`leave ${channel}`);
    await ada.get('join').waitFor();
    await ada.type(`join ${channel} mood=back`);
    await ada.isIn();
    await ada.shows('ada');
    assert.deepEqual(complaints, []);
  });

  test('says when a person has unsubscribed by hand, and mends it', async () => {
    const ada = await open('ada');
    await ada.type(`unsub ${channel}`);
    await ada.get('stale').waitFor();
    await ada.join();
    await ada.get('stale').getByRole('button').click();
    await ada.get('stale').waitFor({ state: 'hidden' });
    await ada.shows('ada');
    assert.deepEqual(complaints, []);
  });

  test('shows refusals near what was refused', async () => {
    const ada = await open('ada');
    await ada.type('dance');
    await ada.get('typed-problem').filter({ hasText: 'dance' }).waitFor();
    await ada.get('channel').fill('x'.repeat(201));
    await ada.get('channel').blur();
    await ada.get('channel-problem').filter({ hasText: /200 bytes/ }).waitFor();
    await ada.get('channel').fill(channel);
    await ada.get('channel').blur();
    await ada.get('channel-problem').filter({ hasText: /^$/ }).waitFor({ state: 'attached' });
    await ada.connected();
    assert.deepEqual(complaints, []);
  });

  test('is told when its name is refused, and goes on with a better one', async () => {
    const ada = await open('ada');
    await ada.get('name').fill('é'.repeat(101));
    await ada.get('name').blur();
    await ada.get('name-problem').filter({ hasText: /200 bytes/ }).waitFor();
    await ada.get('retry').waitFor();
    await ada.rename('bea');
    assert.equal(await ada.get('name-problem').textContent(), '');
    await ada.join();
    await ada.shows('bea');
  });

  test('pauses and clears the log', async () => {
    const ada = await open('ada');
    await ada.get('log-pause').click();
    await ada.get('log-clear').click();
    await ada.type(`count ${channel}`);
    await ada.page.getByText('2 held back').waitFor();
    assert.equal(await ada.get('log-in').count(), 0);
    await ada.get('log-pause').click();
    await ada.logged('in', '"count":0');
    assert.deepEqual(complaints, []);
  });
});

describe('the log', { timeout: 60_000 }, () => {
  test('stays at its end while it shrinks and grows, unless a person scrolled up', async () => {
    const ada = await open('ada');
    const scroller = ada.page.locator('#log-scroller');
    const atEnd = () => ada.page.waitForFunction(() => {
      const { scrollHeight, scrollTop, clientHeight } = /** @type {Element} */ (document.querySelector('#log-scroller'));
      return scrollHeight > clientHeight && scrollHeight - scrollTop - clientHeight < 2;
    });
    for (let i = 0; i < 5; i += 1) await ada.type('help');
    await ada.type('dance');
    await ada.get('typed-problem').filter({ hasText: 'dance' }).waitFor();
    await ada.logged('in', '"code":"unknown_type"');
    await atEnd();
    await ada.page.setViewportSize({ width: 1000, height: 760 });
    await atEnd();
    await scroller.hover();
    await ada.page.mouse.wheel(0, -200);
    await ada.page.waitForFunction(() => {
      const { scrollHeight, scrollTop, clientHeight } = /** @type {Element} */ (document.querySelector('#log-scroller'));
      return scrollHeight - scrollTop - clientHeight > 50;
    });
    const before = await scroller.evaluate((element) => element.scrollTop);
    await ada.type(`count ${channel}`);
    await ada.logged('in', '"count":0');
    assert.equal(await scroller.evaluate((element) => element.scrollTop), before);
    assert.deepEqual(complaints, []);
  });
});

describe('strange names', { timeout: 60_000 }, () => {
  test('markup is text', async () => {
    const evil = '<img src=x onerror="document.title=\'owned\'"><script>alert(1)</script>';
    const ada = await open(evil);
    const bob = await open('bob');
    await ada.join();
    await bob.shows(evil);
    await bob.told(`${evil} joined`);
    assert.equal(await bob.row(evil).locator('.name').textContent(), evil);
    assert.equal(await bob.page.locator('main img, main script, main b').count(), 0);
    assert.match(await bob.page.title(), /^\(1\) /);
    assert.deepEqual(complaints, []);
  });

  test('neither length nor direction nor accents break the layout of a phone', async () => {
    const bob = await open('bob');
    await bob.page.setViewportSize({ width: 360, height: 740 });
    const names = ['w'.repeat(200), 'نورا الخطيب', '\u202eevil', '👩‍👩‍👧‍👦', '__proto__', `z${'\u0335'.repeat(40)}algo`];
    for (const name of names) {
      const other = await open(name);
      await other.get('mood-text').fill('m'.repeat(80));
      await other.get('mood-text').press('Enter');
      await other.join();
    }
    await bob.shows(...[...names].reverse());
    assert.equal(await bob.overflow(), 0);
    await bob.page.setViewportSize({ width: 1280, height: 800 });
    assert.equal(await bob.overflow(), 0);
    assert.deepEqual(complaints, []);
  });

  test('a long channel does not either', async () => {
    channel = 'c'.repeat(200);
    const ada = await open('ada');
    await ada.page.setViewportSize({ width: 360, height: 740 });
    await ada.join();
    await ada.shows('ada');
    assert.equal(await ada.overflow(), 0);
    assert.deepEqual(complaints, []);
  });

  test('a channel can have spaces, quotes and percent signs', async () => {
    channel = 'a "b" 100%/c#d';
    const ada = await open('ada');
    await ada.join();
    await ada.page.getByRole('button', { name: /^who / }).click();
    await ada.get('typed').press('Enter');
    await ada.logged('in', '"type":"result"');
    assert.equal(await ada.get('typed-problem').textContent(), '');
    await ada.page.reload();
    await ada.connected();
    assert.equal(await ada.get('channel').inputValue(), channel);
    assert.deepEqual(complaints, []);
  });
});

describe('a phone', { timeout: 60_000 }, () => {
  test('has no horizontal scroll', async () => {
    await context.close();
    ({ context, complaints } = await newTabs(browser, {
      viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true,
    }));
    const ada = await open('ada');
    await ada.join();
    await ada.shows('ada');
    await ada.type('help');
    await ada.logged('in', /"type": ?"help"/);
    assert.equal(await ada.overflow(), 0);
    assert.equal(await ada.page.evaluate(() => visualViewport?.scale), 1);
    assert.deepEqual(complaints, []);
  });
});

describe('a lost connection', { timeout: 60_000 }, () => {
  test('is resumed, the page is present again, and who stayed does not blink', async () => {
    const wire = await startCuttableWire(broker.port);
    const bob = await open('bob');
    await bob.get('mood-calm').click();
    await bob.join();
    const ada = await Demo.open(context, wire.url, { name: 'ada', channel });
    await ada.get('mood-happy').click();
    await ada.join();
    await ada.shows('ada', 'bob');
    const stayed = await ada.row('bob').elementHandle();

    wire.cut();
    await bob.told('ada timed out: connection lost');
    await ada.told('Connected again');
    await bob.shows('ada', 'bob');
    await ada.shows('ada', 'bob');
    await ada.logged('in', '"resumed":true');
    await ada.isIn();
    await bob.row('ada').getByText('happy').waitFor();
    assert.equal(await stayed?.evaluate((row) => row.isConnected), true);
    await wire.stop();
    // The browser itself notes each handshake that fails; nothing else may be wrong.
    assert.deepEqual(complaints.filter((text) => !text.includes('WebSocket connection to')), []);
  });

  test('a fresh snapshot keeps the rows of those who stayed', async () => {
    const ada = await open('ada');
    await ada.join();
    const row = await ada.row('ada').elementHandle();
    await ada.page.evaluate(() => {
      new MutationObserver((records) => {
        if (records.some((record) => record.removedNodes.length || record.addedNodes.length)) document.body.dataset.blinked = 'yes';
      }).observe(/** @type {Node} */ (document.querySelector('[data-testid=members]')), { childList: true });
    });
    await ada.get('log-clear').click();
    await ada.type(`sub ${channel}`);
    await ada.logged('in', '"type":"snapshot"');
    await ada.get('mood-tired').click();
    await ada.row('ada').getByText('tired').waitFor();
    assert.equal(await row?.evaluate((element) => element.isConnected), true);
    assert.equal(await ada.page.evaluate(() => document.body.dataset.blinked), undefined);
    assert.deepEqual(complaints, []);
  });
});

describe('a broker', { timeout: 60_000 }, () => {
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGKILL'])) {
    test(`that restarts after ${signal} finds everybody again`, async () => {
      let own = await startBroker();
      try {
        const ada = await Demo.open(context, own.url, { name: 'ada', channel });
        const bob = await Demo.open(context, own.url, { name: 'bob', channel });
        const eve = await Demo.open(context, own.url, { name: 'eve', channel });
        await ada.get('mood-focused').click();
        await ada.join();
        await bob.join();
        for (const demo of [ada, bob, eve]) await demo.shows('bob', 'ada');

        await own.stop(signal);
        await ada.get('connection-title').filter({ hasText: 'Connection lost' }).waitFor();
        await ada.get('stale').waitFor();
        assert.equal(await ada.get('member').count(), 2, 'what was known stays in view');
        own = await startBroker(own.port);

        for (const demo of [ada, bob, eve]) {
          await demo.row('ada').getByText('focused').waitFor();
          await demo.row('bob').waitFor();
          await demo.get('count').filter({ hasText: /^2$/ }).waitFor();
          await demo.get('stale').waitFor({ state: 'hidden' });
        }
        assert.equal(await eve.get('join').isVisible(), true, 'who only watched still only watches');
        assert.deepEqual(complaints.filter((text) => !text.includes('WebSocket connection to')), []);
      } finally {
        await own.stop();
      }
    });
  }
});

describe('a large channel', { timeout: 60_000 }, () => {
  test('is shown by its number and its newest members, and listed again when it is small', async () => {
    const small = await startBroker(0, '--roster-limit', '3');
    try {
      const ada = await Demo.open(context, small.url, { name: 'ada', channel });
      await ada.get('mood-happy').click();
      await ada.join();
      await ada.shows('ada');
      await ada.crowd(channel, 'b', 'c');
      await ada.shows('c', 'b', 'ada');
      await ada.row('ada').getByTestId('member-mood').filter({ hasText: /^happy$/ }).waitFor();
      await ada.crowd(channel, 'd');
      await ada.logged('in', '"type":"level"');
      await ada.shows('d', 'c', 'b', 'ada');
      await ada.row('ada').getByTestId('member-mood').filter({ visible: true }).waitFor({ state: 'detached' });
      await ada.crowd(channel, 'e', 'f');
      await ada.shows('f', 'e', 'd', 'c', 'b', 'ada');
      await ada.disperse('c', 'd', 'e', 'f');
      await ada.shows('b', 'ada');
      await ada.row('ada').getByTestId('member-mood').filter({ hasText: /^happy$/ }).waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await small.stop();
    }
  });
});
