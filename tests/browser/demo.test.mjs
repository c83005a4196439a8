/** The demo page in a real browser, against a real broker. Every test has a channel of its own. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { recipes } from '../../web-demo/words.js';
import { Demo, freePort, launchBrowser, newTabs, startBroker, startWire } from './harness.mjs';

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
const open = (name) => Demo.open(context, broker.http, { name, channel });

describe('the stage', { timeout: 240_000 }, () => {
  test('two tabs see each other arrive, and who is who', async () => {
    const ada = await open('ada');
    await ada.shows('ada');
    const bob = await open('bob');
    await ada.shows('bob', 'ada');
    await bob.shows('bob', 'ada');
    await ada.told('bob joined');
    await ada.says('ada', /^ada \(you\)$/);
    await ada.says('bob', /^bob$/);
    assert.match(await ada.page.title(), new RegExp(`^\\(2\\) ${channel} `));
    assert.deepEqual(complaints, []);
  });

  test('moods show, and are taken back', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.get('mood-happy').click();
    await bob.says('ada', /^ada \(happy\)$/);
    await bob.told('ada is now happy');
    await bob.avatar('ada').locator('.icon-happy').waitFor();
    await ada.get('mood-happy').click();
    await bob.says('ada', /^ada$/);
    await bob.told('ada cleared the mood');
    assert.deepEqual(complaints, []);
  });

  test('reactions float up at everybody’s, as often as they are thrown', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    for (const demo of [ada, bob]) {
      await demo.page.evaluate(() => {
        const seen = (/** @type {any} */ (globalThis).floats = /** @type {string[]} */ ([]));
        new MutationObserver((records) => {
          for (const { addedNodes } of records) for (const node of addedNodes) seen.push(String(/** @type {Element} */ (node).innerHTML));
        }).observe(/** @type {Node} */ (document.querySelector('#floats')), { childList: true });
      });
    }
    await ada.get('react-heart').click();
    await bob.page.waitForFunction(() => /** @type {any} */ (globalThis).floats.length === 1);
    await ada.get('react-heart').click();
    for (const demo of [ada, bob]) {
      await demo.page.waitForFunction(() => /** @type {any} */ (globalThis).floats.length === 2);
      await demo.get('float').first().waitFor({ state: 'detached' });
    }
    assert.deepEqual(complaints, []);
  });

  test('typing is told, and clears by itself', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.get('say').pressSequentially('hello');
    await bob.get('typing').filter({ hasText: 'ada is typing…' }).waitFor();
    await bob.says('ada', /typing/);
    await bob.get('typing').filter({ hasText: /^$/ }).waitFor({ state: 'attached', timeout: 20_000 });
    await bob.logged('in', '"reason":"expired"');
    await ada.get('say').press('Enter');
    assert.equal(await ada.get('say').inputValue(), '');
    assert.deepEqual(complaints, []);
  });

  test('who leaves goes, watches on, and can come back', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.leave();
    await bob.shows('bob');
    await bob.told(/ada left/);
    await ada.shows('bob');
    // Whoever is no member has no attributes to set.
    for (const id of ['react-heart', 'say']) assert.equal(await ada.get(id).isDisabled(), true, id);
    await ada.join();
    await bob.shows('ada', 'bob');
    for (const id of ['react-heart', 'say']) assert.equal(await ada.get(id).isDisabled(), false, id);
    assert.deepEqual(complaints, []);
  });

  test('whoever wants no motion still sees reactions, and they go', async () => {
    await context.close();
    ({ context, complaints } = await newTabs(browser, { reducedMotion: 'reduce' }));
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.get('react-star').click();
    await bob.get('float').waitFor();
    assert.equal(await bob.get('float').evaluate((float) => getComputedStyle(float).animationName), 'none');
    await bob.get('float').waitFor({ state: 'detached' });
    await ada.leave();
    await bob.shows('bob');
    await bob.avatar('ada').waitFor({ state: 'detached' });
    assert.deepEqual(complaints, []);
  });

  test('a tab that is closed goes at once', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.shows('bob', 'ada');
    await bob.page.close({ runBeforeUnload: true });
    await ada.shows('ada');
    await ada.told('bob left: closed the connection');
    assert.deepEqual(complaints, []);
  });

  test('a reload keeps the name, another tab has one of its own', async () => {
    const ada = await Demo.open(context, broker.http, { channel });
    await ada.rename('chosen');
    await ada.page.reload();
    await ada.isIn();
    assert.equal(await ada.get('name').inputValue(), 'chosen');
    const [page] = await Promise.all([context.waitForEvent('page'), ada.get('another-tab').click()]);
    const other = new Demo(page);
    await other.isIn();
    assert.equal(await other.get('channel').inputValue(), channel);
    assert.notEqual(await other.get('name').inputValue(), 'chosen');
    await ada.get('count').filter({ hasText: /^2$/ }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('a change of channel leaves none behind', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.page.evaluate(() => { location.hash = 'else where'; });
    await ada.get('channel-title').filter({ hasText: 'else where' }).waitFor();
    await bob.shows('bob');
    await ada.shows('ada');
    await ada.get('channel').fill(channel);
    await ada.get('channel').blur();
    await bob.shows('ada', 'bob');
    assert.deepEqual(complaints, []);
  });

  test('works by the keyboard alone', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    const { keyboard } = ada.page;
    await ada.get('name').focus();
    await keyboard.press('Tab');
    await keyboard.press('Tab');
    await keyboard.press('Enter'); // Leave
    await bob.shows('bob');
    assert.equal(await ada.page.evaluate(() => document.activeElement?.id), 'join', 'the keyboard stays where it was');
    await keyboard.press('Space');
    await bob.shows('ada', 'bob');
    await keyboard.press('Tab');
    await keyboard.press('Enter'); // the first mood
    await bob.says('ada', /happy/);
    assert.deepEqual(complaints, []);
  });

  test('the keyboard reaches everything, in the order of the page, and shows where it is', async () => {
    const ada = await open('ada');
    const passed = [];
    for (let steps = 0; steps < 60; steps += 1) {
      await ada.page.keyboard.press('Tab');
      const focused = await ada.page.evaluate(() => {
        const element = /** @type {HTMLElement} */ (document.activeElement);
        return { id: element.dataset?.testid ?? element.id, isPage: element === document.body, outline: getComputedStyle(element).outlineStyle };
      });
      if (focused.isPage) break;
      assert.notEqual(focused.outline, 'none', `${focused.id} does not show that it has the focus`);
      passed.push(focused.id);
    }
    const stops = [
      'another-tab', 'copy-link', 'name', 'channel', 'leave', 'mood-happy', 'react-heart', 'say', 'crowd-10', 'crowd-0',
      'break-offline', 'break-back', 'wire-filter', 'wire-direction', 'wire-pause', 'typed', 'send', 'copy-0', 'copy-2',
    ];
    // The activity stands beside the wire, and may be read before or after it.
    assert.deepEqual(passed.filter((id) => stops.includes(id)), stops);
    assert.deepEqual(complaints, []);
  });
});

describe('the crowd', { timeout: 120_000 }, () => {
  test('comes, is counted and charted, and goes home', async () => {
    const ada = await open('ada');
    await ada.get('crowd-10').click();
    await ada.get('count').filter({ hasText: /^1[01]$/ }).waitFor();
    await ada.page.waitForFunction(() => /^M.*L/.test(document.querySelector('#spark-count .line')?.getAttribute('d') ?? ''));
    await ada.page.waitForFunction(() => /^M.*L/.test(document.querySelector('#spark-events .second')?.getAttribute('d') ?? ''));
    await ada.get('batching').filter({ hasText: /events? in \d+ frames/ }).waitFor();
    assert.equal(await ada.get('crowd-10').getAttribute('aria-pressed'), 'true');
    assert.equal(await ada.get('crowd-100').getAttribute('aria-pressed'), 'false');
    await ada.get('crowd-0').click();
    await ada.shows('ada');
    assert.equal(await ada.get('crowd-10').getAttribute('aria-pressed'), 'false');
    assert.deepEqual(complaints, []);
  });

  test('that is too large to name is counted, and named again when it is small', async () => {
    const small = await startBroker({ flags: ['--roster-limit', '50'] });
    try {
      const ada = await Demo.open(context, small.http, { name: 'ada', channel });
      await ada.get('mood-happy').click();
      await ada.says('ada', /happy/);
      await ada.get('level').filter({ hasText: 'told one by one' }).waitFor();
      await ada.get('crowd-100').click();
      await ada.get('level').filter({ hasText: 'only counted' }).waitFor({ timeout: 30_000 });
      await ada.page.waitForFunction(() => Number(document.querySelector('#count')?.textContent) > 80);
      await ada.get('level-words').filter({ hasText: 'There are more than 50' }).waitFor();
      await ada.told('only counted from here on');
      // Nobody is told of reactions now, but who throws one sees it.
      await ada.get('react-heart').click();
      await ada.get('float').waitFor();
      // And nobody would see the guinea pig come and go: then the page must not say what others saw.
      await ada.get('break-offline').click();
      await ada.timeline('Others are told the number alone');
      await ada.timeline('It is back');
      assert.equal(await ada.get('timeline-item').filter({ hasText: 'Others saw nothing' }).count(), 0);
      await ada.get('break-close').click();
      await ada.get('pig-state').filter({ hasText: 'not here' }).waitFor();
      await ada.get('crowd-0').click();
      await ada.get('level').filter({ hasText: 'told one by one' }).waitFor({ timeout: 30_000 });
      await ada.shows('ada');
      await ada.says('ada', /happy/);
      assert.deepEqual(complaints, []);
    } finally {
      await small.stop();
    }
  });

  test('of a thousand: two hundred faces, the rest a number, and the page goes on', async () => {
    const ada = await open('ada');
    // Fewer where the system allows few open files.
    const { max } = /** @type {any} */ (await (await fetch(`${broker.http}/demo/crowd?channel=${channel}`)).json());
    await ada.get('crowd-1000').click();
    await ada.page.waitForFunction((least) => (
      Number(document.querySelector('#count')?.textContent?.replaceAll(',', '')) >= least
    ), Math.min(1000, max) * 0.9, { timeout: 60_000 });
    await ada.page.waitForFunction(() => document.querySelectorAll('[data-testid=member]').length === 200);
    await ada.get('members-more').filter({ hasText: /^\+[\d,]+$/ }).waitFor();
    await ada.get('mood-tired').click();
    await ada.type(`get ${channel}`);
    await ada.logged('in', '"attributes":{"mood":"tired"}');
    await ada.get('crowd-0').click();
    await ada.page.waitForFunction(() => Number(document.querySelector('#count')?.textContent) < 50, undefined, { timeout: 30_000 });
    assert.deepEqual(complaints, []);
  });

  test('where there is none, says why', async () => {
    const ada = await open('ada');
    await ada.page.route('**/demo/crowd', (route) => route.fulfill({ status: 404, body: '{}' }));
    await ada.get('crowd-10').click();
    await ada.get('crowd-words').filter({ hasText: 'brings no simulated viewers' }).waitFor();
    assert.equal(await ada.get('crowd-10').isDisabled(), true);
  });
});

describe('breaking it', { timeout: 120_000 }, () => {
  /** @param {Demo} demo */
  const pig = (demo) => demo.page.locator('#pig-name').textContent().then(String);

  test('a short loss is seen by nobody', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.get('break-offline').click();
    await ada.timeline('Network lost');
    await ada.get('pig-state').filter({ hasText: 'offline' }).waitFor();
    await ada.timeline('It is back, and was resumed');
    await ada.timeline('Others saw nothing');
    const name = await pig(ada);
    assert.deepEqual((await bob.feed()).filter((line) => line.startsWith(name)), [`${name} joined`]);
    assert.deepEqual(complaints, []);
  });

  test('a long one is a timeout, and then a join', async () => {
    const [ada, bob] = [await open('ada'), await open('bob')];
    await ada.get('break-long').click();
    await ada.timeline(/Others saw: .* timed out: connection lost/);
    await ada.timeline(/Others saw: .* joined/);
    const name = await pig(ada);
    await bob.told(`${name} timed out: connection lost`);
    assert.deepEqual(complaints, []);
  });

  test('a crash is a timeout after the grace, and a closed tab leaves at once', async () => {
    const ada = await open('ada');
    await ada.get('break-close').click();
    await ada.timeline(/Others saw: .* left: closed the connection/);
    await ada.get('break-crash').click();
    await ada.timeline('Crashed');
    await ada.timeline('Others see nothing yet: ten seconds of grace');
    await ada.timeline(/Others saw: .* timed out: connection lost/);
    await ada.get('pig-state').filter({ hasText: 'not here' }).waitFor();
    await ada.get('break-back').click();
    await ada.get('pig-state').filter({ hasText: /^here$/ }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('whoever freezes is asked, timed out and told so, and comes back when it thaws', async () => {
    const hasty = await startBroker({ flags: ['--presence-timeout', '3s'] });
    try {
      const ada = await Demo.open(context, hasty.http, { name: 'ada', channel });
      await ada.get('break-freeze').click();
      await ada.get('break-words').filter({ hasText: '3 s after' }).waitFor();
      await ada.timeline('still there?');
      await ada.timeline(/Others saw: .* timed out: not heard/);
      await ada.timeline('removed');
      await ada.get('break-freeze').filter({ hasText: 'Thaw' }).click();
      await ada.timeline(/Others saw: .* joined/);
      assert.deepEqual(complaints, []);
    } finally {
      await hasty.stop();
    }
  });

  test('whoever misses some time is brought up to date', async () => {
    const ada = await open('ada');
    await ada.get('break-slow').click();
    await ada.get('break-words').filter({ hasText: 'A browser reads for its page' }).waitFor();
    await ada.timeline(/It is back, and was res/);
    assert.deepEqual(complaints, []);
  });
});

describe('the wire', { timeout: 240_000 }, () => {
  test('takes shorthand and JSON, and remembers them', async () => {
    const ada = await open('ada');
    await ada.type(`who ${channel}`);
    await ada.logged('out', `who ${channel}`);
    await ada.logged('in', /"type":"result".*"members":\[\{"user":"ada"/);
    assert.equal(await ada.get('typed').inputValue(), '');
    await ada.get('typed').press('ArrowUp');
    assert.equal(await ada.get('typed').inputValue(), `who ${channel}`);
    await ada.type(JSON.stringify({ type: 'setAttributes', channel, attributes: { mood: 'typed' } }));
    await ada.says('ada', /typed/);
    assert.deepEqual(complaints, []);
  });

  test('what is left and joined by hand is so', async () => {
    const ada = await open('ada');
    await ada.type(`leave ${channel}`);
    await ada.get('join').waitFor();
    await ada.type(`join ${channel} mood=back`);
    await ada.isIn();
    await ada.says('ada', /back/);
    assert.deepEqual(complaints, []);
  });

  test('refusals are told in words', async () => {
    const ada = await open('ada');
    await ada.type('dance');
    await ada.get('typed-problem').filter({ hasText: 'dance' }).waitFor();
    await ada.type('hb');
    await ada.get('typed-problem').filter({ hasText: /^$/ }).waitFor({ state: 'attached' });
    assert.deepEqual(complaints, []);
  });

  test('is filtered by words and direction, whatever came before', async () => {
    const ada = await open('ada');
    await ada.type('help');
    await ada.logged('in', /"type": ?"help"/);
    await ada.get('wire-filter').fill('WELcome');
    await ada.page.waitForFunction(() => document.querySelectorAll('#wire li').length === 1);
    await ada.logged('in', '"type":"welcome"');
    await ada.get('wire-filter').fill('');
    await ada.get('wire-direction').selectOption('out');
    await ada.logged('out', 'help');
    assert.equal(await ada.get('wire-in').count(), 0);
    await ada.type(`count ${channel}`);
    await ada.logged('out', `count ${channel}`);
    await ada.get('wire-direction').selectOption('');
    await ada.logged('in', '"count":1');
    assert.deepEqual(complaints, []);
  });

  test('is paused and cleared', async () => {
    const ada = await open('ada');
    await ada.get('wire-pause').click();
    await ada.get('wire-clear').click();
    await ada.type(`count ${channel}`);
    await ada.get('wire-held').filter({ hasText: '2 held back' }).waitFor();
    assert.equal(await ada.get('wire-in').count(), 0);
    await ada.get('wire-pause').click();
    await ada.logged('in', '"count":1');
    assert.deepEqual(complaints, []);
  });

  test('stays at its end, unless a person scrolled up', async () => {
    const ada = await open('ada');
    const scroller = ada.page.locator('#wire-scroller');
    const atEnd = () => ada.page.waitForFunction(() => {
      const { scrollHeight, scrollTop, clientHeight } = /** @type {Element} */ (document.querySelector('#wire-scroller'));
      return scrollHeight > clientHeight && scrollHeight - scrollTop - clientHeight < 2;
    });
    for (let i = 0; i < 5; i += 1) await ada.type('help');
    await ada.type('dance');
    await ada.logged('in', '"code":"unknown_type"');
    await atEnd();
    await ada.page.setViewportSize({ width: 1000, height: 760 });
    await atEnd();
    await scroller.hover();
    await ada.page.mouse.wheel(0, -200);
    await ada.page.waitForFunction(() => {
      const { scrollHeight, scrollTop, clientHeight } = /** @type {Element} */ (document.querySelector('#wire-scroller'));
      return scrollHeight - scrollTop - clientHeight > 50;
    });
    const before = await scroller.evaluate((element) => element.scrollTop);
    await ada.type(`count ${channel}`);
    await ada.logged('in', '"count":1');
    assert.equal(await scroller.evaluate((element) => element.scrollTop), before);
    assert.deepEqual(complaints, []);
  });
});

describe('what is taken along', { timeout: 240_000 }, () => {
  test('is the code for what is on screen, and is copied', async () => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: broker.http });
    const ada = await open('ada');
    await ada.get('mood-happy').click();
    await ada.get('recipe-0').filter({ hasText: 'mood: "happy"' }).waitFor();
    await ada.get('copy-1').click();
    await ada.get('copy-1').filter({ hasText: 'Copied' }).waitFor();
    const copied = await ada.page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, `npx wscat -c '${broker.url}?user=ada'\n> sub ${channel}\n> join ${channel} mood=happy`);
    const curl = await ada.get('recipe-2').textContent();
    assert.ok(curl?.includes(`curl '${broker.http}/v1/channels/${channel}/count'`), String(curl));
    assert.deepEqual(complaints, []);
  });

  test('works: the ten lines of the README, pasted into an empty page of another origin', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const lines = String(/```html\n([^]*?)\n```/.exec(readme)?.[1]);
    assert.equal(lines, recipes({ origin: 'http://127.0.0.1:8080', user: 'ada', channel: 'room', mood: 'happy' })[0].text);
    let html = '';
    const elsewhere = createServer((_, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8').end(`<!doctype html><link rel="icon" href="data:,">${html}`);
    }).listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    const origin = `http://127.0.0.1:${/** @type {any} */ (elsewhere.address()).port}`;
    const allowing = await startBroker({ flags: ['--allow-origin', origin] });
    try {
      html = lines.replaceAll('127.0.0.1:8080', new URL(allowing.http).host);
      const page = await context.newPage();
      const cy = await Demo.open(context, allowing.http, { name: 'cy', channel: 'room' });
      await page.goto(`${origin}/`);
      await page.locator('#who li').filter({ hasText: 'ada' }).waitFor();
      await page.locator('#who li').filter({ hasText: 'cy' }).waitFor();
      await cy.shows('ada', 'cy');
      await cy.says('ada', /happy/);
      const loaded = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname));
      assert.deepEqual(loaded, ['/client/herenow.js'], 'one request');
      // And in a worker, which has no document.
      await page.evaluate((host) => new Promise((resolve, reject) => {
        const code = `import { connect } from 'http://${host}/client/herenow.js';
          const room = connect('ws://${host}/ws', { user: 'worker' }).channel('room');
          await room.subscribe();
          await room.join();
          postMessage(room.count);`;
        const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), { type: 'module' });
        Object.assign(globalThis, { worker });
        worker.onmessage = resolve;
        worker.onerror = (event) => reject(new Error(event.message));
      }).then(() => null), new URL(allowing.http).host);
      await cy.shown('worker');
      assert.deepEqual(complaints, []);
    } finally {
      await allowing.stop();
      elsewhere.close();
    }
  });
});

describe('strange names', { timeout: 240_000 }, () => {
  test('markup is text', async () => {
    const evil = '<img src=x onerror="document.title=\'owned\'"><script>alert(1)</script>';
    const bob = await open('bob');
    await open(evil);
    await bob.shown(evil);
    await bob.told(`${evil} joined`);
    assert.equal(await bob.page.locator('main img, main script, main b').count(), 0);
    assert.match(await bob.page.title(), /^\(2\) /);
    assert.deepEqual(complaints, []);
  });

  test('neither length nor direction nor accents break the layout', async () => {
    const bob = await open('bob');
    await bob.page.setViewportSize({ width: 360, height: 740 });
    const names = ['w'.repeat(200), 'نورا الخطيب', '\u202eevil', '👩‍👩‍👧‍👦', '__proto__', `z${'\u0335'.repeat(40)}algo`];
    for (const name of names) {
      const other = await open(name);
      await other.type(`set ${channel} mood=${'m'.repeat(80)}`);
      await bob.says(name, /mmm/);
    }
    await bob.shows(...[...names].reverse(), 'bob');
    assert.equal(await bob.overflow(), 0);
    await bob.page.setViewportSize({ width: 1280, height: 800 });
    assert.equal(await bob.overflow(), 0);
    assert.deepEqual(complaints, []);
  });

  test('a long channel does not either', async () => {
    channel = 'c'.repeat(200);
    const ada = await open('ada');
    await ada.page.setViewportSize({ width: 360, height: 740 });
    await ada.shows('ada');
    assert.equal(await ada.overflow(), 0);
    assert.deepEqual(complaints, []);
  });

  test('a channel can have spaces, quotes and percent signs', async () => {
    channel = 'a "b" 100%/c#d';
    const ada = await open('ada');
    await ada.page.getByRole('button', { name: /^who / }).click();
    await ada.get('typed').press('Enter');
    await ada.logged('in', '"type":"result"');
    assert.equal(await ada.get('typed-problem').textContent(), '');
    await ada.page.reload();
    await ada.isIn();
    assert.equal(await ada.get('channel').inputValue(), channel);
    assert.deepEqual(complaints, []);
  });
});

describe('a phone', { timeout: 240_000 }, () => {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    test(`has no horizontal scroll, ${colorScheme}`, async () => {
      await context.close();
      ({ context, complaints } = await newTabs(browser, {
        viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme,
      }));
      const ada = await open('ada');
      await ada.type('help');
      await ada.logged('in', /"type": ?"help"/);
      assert.equal(await ada.overflow(), 0);
      assert.equal(await ada.page.evaluate(() => visualViewport?.scale), 1);
      assert.deepEqual(complaints, []);
    });
  }
});

describe('a lost connection', { timeout: 240_000 }, () => {
  test('is seen by nobody, and who stayed does not blink', async () => {
    const wire = await startWire(broker.port);
    const bob = await open('bob');
    const ada = await Demo.open(context, wire.http, { name: 'ada', channel });
    await ada.get('mood-happy').click();
    await bob.says('ada', /happy/);
    await ada.shows('ada', 'bob');
    const stayed = await ada.avatar('bob').elementHandle();
    const before = await bob.feed();
    wire.cut();
    await ada.told('Connected again');
    await ada.isIn();
    await ada.logged('in', '"resumed":true');
    await bob.says('ada', /happy/);
    assert.deepEqual(await bob.feed(), before);
    assert.equal(await stayed?.evaluate((avatar) => avatar.isConnected), true);
    await wire.stop();
    // The browser itself notes each handshake that fails; nothing else may be wrong.
    assert.deepEqual(complaints.filter((text) => !text.includes('WebSocket connection to')), []);
  });

  test('by the browser’s own switch is told, and mended when it is back', async () => {
    const ada = await open('ada');
    const others = await newTabs(browser);
    const bob = await Demo.open(others.context, broker.http, { name: 'bob', channel });
    await context.setOffline(true);
    // What is connected stays so: it is only the page that believes it has no network.
    await ada.page.waitForFunction(() => !navigator.onLine);
    await context.setOffline(false);
    await ada.isIn();
    await bob.get('mood-tired').click();
    await ada.says('bob', /tired/);
    await bob.shows('bob', 'ada');
    assert.deepEqual((await bob.feed()).filter((line) => line.startsWith('ada')), []);
    await others.context.close();
  });

  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGKILL'])) {
    test(`of a broker that restarts after ${signal} shows in words, and not among the people`, async () => {
      let own = await startBroker({ port: await freePort() });
      try {
        const ada = await Demo.open(context, own.http, { name: 'ada', channel });
        const bob = await Demo.open(context, own.http, { name: 'bob', channel });
        await ada.get('mood-focused').click();
        await bob.says('ada', /focused/);
        await ada.shows('bob', 'ada');
        await own.stop(signal);
        await ada.get('connection-title').filter({ hasText: 'Connection lost' }).waitFor();
        await ada.get('stale').waitFor();
        await ada.get('live').filter({ hasText: 'Not live' }).waitFor();
        assert.equal(await ada.get('member').count(), 2, 'what was known stays in view');
        own = await startBroker({ port: own.port });
        for (const demo of [ada, bob]) {
          await demo.isIn();
          await demo.says('ada', /focused/);
          await demo.get('stale').waitFor({ state: 'hidden' });
          await demo.get('live').filter({ hasText: /^Live$/ }).waitFor();
        }
        for (const demo of [ada, bob]) {
          const comings = (await demo.feed()).filter((line) => / (left|timed out)/.test(line));
          assert.deepEqual(comings, []);
        }
        assert.deepEqual(complaints.filter((text) => !text.includes('WebSocket connection to')), []);
      } finally {
        await own.stop();
      }
    });
  }
});

describe('what the broker refuses', { timeout: 240_000 }, () => {
  test('a name: told at the name, and a better one goes on', async () => {
    const ada = await open('ada');
    await ada.get('name').fill('é'.repeat(101));
    await ada.get('name').blur();
    await ada.get('name-problem').filter({ hasText: /200 bytes/ }).waitFor();
    await ada.get('connection-title').filter({ hasText: 'Refused' }).waitFor();
    await ada.get('token-form').waitFor({ state: 'hidden' });
    await ada.rename('bea');
    assert.equal(await ada.get('name-problem').textContent(), '');
    await ada.shows('bea');
  });

  test('a channel: told at the channel', async () => {
    const ada = await open('ada');
    await ada.get('channel').fill('x'.repeat(201));
    await ada.get('channel').blur();
    await ada.get('channel-problem').filter({ hasText: /200 bytes/ }).waitFor();
    await ada.get('channel').fill(channel);
    await ada.get('channel').blur();
    await ada.get('channel-problem').filter({ hasText: /^$/ }).waitFor({ state: 'attached' });
    await ada.get('join').click();
    await ada.shows('ada');
    assert.deepEqual(complaints, []);
  });

  test('no token: says so and takes one', async () => {
    const secret = 'a secret of at least thirty-two bytes';
    const guarded = await startBroker({ env: { HERENOW_JWT_SECRET: secret } });
    try {
      const page = await context.newPage();
      await page.goto(`${guarded.http}/#${channel}`);
      const ada = new Demo(page);
      await ada.get('token-form').waitFor();
      await ada.get('connection-title').filter({ hasText: 'Refused' }).waitFor();
      await ada.get('connection-detail').filter({ hasText: /token/ }).waitFor();
      await ada.get('token-problem').filter({ hasText: /token/ }).waitFor();
      await ada.get('nobody').filter({ hasText: 'without a connection' }).waitFor();
      await ada.get('live').filter({ hasText: 'Not live' }).waitFor();
      for (const about of ['name', 'channel', 'join']) assert.equal(await ada.get(`${about}-problem`).textContent(), '', 'told once');
      const exp = Math.floor(Date.now() / 1000) + 600;
      const wrong = signed('another secret of at least thirty-two', { sub: 'ada', exp });
      await ada.get('token').fill(wrong);
      await ada.get('token-use').click();
      await ada.page.waitForFunction((wrong) => document.querySelector('#connection-title')?.textContent === 'Refused'
        && document.querySelector('#token-problem')?.textContent !== ''
        && /** @type {HTMLInputElement} */ (document.querySelector('#token')).value === wrong, wrong);
      const right = signed(secret, { sub: 'ada', exp, channels: { [channel]: ['join', 'subscribe'], 'look-*': ['subscribe'] } });
      await ada.get('token').fill(right);
      await ada.get('token-use').click();
      await ada.isIn();
      await ada.shows('ada');
      await ada.get('token-form').waitFor({ state: 'hidden' });
      assert.equal(await ada.get('break-crash').isDisabled(), true);
      await ada.get('break-words').filter({ hasText: 'by tokens' }).waitFor();
      for (const index of [0, 1, 2]) {
        const recipe = String(await ada.get(`recipe-${index}`).textContent());
        assert.match(recipe, [/token: "TOKEN"/, /token=TOKEN/, /Authorization: Bearer KEY/][index]);
        assert.ok(!recipe.includes(right), 'our own token is nobody else’s');
      }
      assert.equal(await ada.get('crowd-10').isDisabled(), true);
      await ada.get('crowd-words').filter({ hasText: 'brings no simulated viewers' }).waitFor();
      // A channel that we may look at and not join, and one that we may not even look at.
      await ada.get('channel').fill('look-in');
      await ada.get('channel').blur();
      await ada.get('join-problem').filter({ hasText: /right "join"/ }).waitFor();
      await ada.get('count').filter({ hasText: /^0$/ }).waitFor();
      await ada.get('join').waitFor();
      await ada.get('nobody').filter({ hasText: 'Nobody is here now' }).waitFor();
      await ada.get('caption').filter({ hasText: 'You are watching' }).waitFor();
      await ada.get('channel').fill('secret');
      await ada.get('channel').blur();
      await ada.get('channel-problem').filter({ hasText: /right "subscribe"/ }).waitFor();
      await ada.get('count').filter({ hasText: /^–$/ }).waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await guarded.stop();
    }
  });

  test('nobody there: says so, and that it goes on trying', async () => {
    const own = await startBroker();
    const ada = await Demo.open(context, own.http, { name: 'ada', channel });
    await own.stop();
    await ada.get('connection-title').filter({ hasText: 'Connection lost' }).waitFor();
    await ada.get('retry').waitFor();
    await ada.type('hb');
    await ada.get('typed-problem').filter({ hasText: 'Not connected' }).waitFor();
  });
});

/** @param {string} secret @param {object} claims */
function signed(secret, claims) {
  const encode = (/** @type {string} */ text) => Buffer.from(text).toString('base64url');
  const body = `${encode('{"alg":"HS256","typ":"JWT"}')}.${encode(JSON.stringify(claims))}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}
