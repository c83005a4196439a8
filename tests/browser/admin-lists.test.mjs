/** What the operator's page does with long lists and with numbers, without a browser. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pages } from '../../web-demo/admin/pages.js';
import { curve, HOUR_MS, rates, span } from '../../web-demo/admin/plot.js';
import { attributesText, duration, inBytes, perSecond, sourceText } from '../../web-demo/admin/words.js';

/** A list as the broker has it, that may change between two pages. @param {number} length */
function source(length) {
  const all = Array.from({ length }, (_, index) => length - index);
  /** @type {Array<{cursor: number | undefined, limit: number}>} */
  const asked = [];
  return {
    all,
    asked,
    /** @param {number | undefined} cursor the last one that came @param {number} limit */
    async load(cursor, limit) {
      asked.push({ cursor, limit });
      const behind = cursor === undefined ? all : all.filter((each) => each < cursor);
      const items = behind.slice(0, limit);
      return { items, next: behind.length > limit ? items.at(-1) : undefined, total: all.length };
    },
  };
}

/** @param {ReturnType<typeof source>} from */
function read(from) {
  return /** @type {Pages<number>} */ (new Pages((cursor, limit) => from.load(cursor, limit), () => {}));
}

describe('pages', () => {
  test('no more is read than is looked at', async () => {
    const from = source(1_000);
    const pages = read(from);
    await pages.refresh(0, 20);
    assert.equal(from.asked.length, 1);
    assert.deepEqual([pages.length, pages.loaded, pages.item(0), pages.item(99), pages.item(100)], [1_000, 100, 1_000, 901, undefined]);
    assert.ok(pages.lacks(100) && !pages.lacks(99));
    await pages.reach(250);
    assert.deepEqual([pages.loaded, pages.item(250), from.asked.length], [300, 750, 3]);
  });

  test('who wants to be far below reads more at once', async () => {
    const from = source(10_000);
    const pages = read(from);
    await pages.refresh(0, 20);
    await pages.reach(9_999);
    assert.equal(pages.item(9_999), 1);
    assert.ok(from.asked.length < 25, `${from.asked.length}`);
    assert.equal(pages.length, 10_000);
    assert.ok(!pages.hasMore);
  });

  test('what is looked at is read anew, and what no longer goes on there is forgotten', async () => {
    const from = source(1_000);
    const pages = read(from);
    await pages.refresh(0, 20);
    await pages.reach(399);
    from.asked.length = 0;
    // In the midst somebody goes: the page that had it ends further down, and the next begins elsewhere.
    from.all.splice(250, 1);
    await pages.refresh(240, 260);
    assert.deepEqual(from.asked.map(({ cursor }) => cursor), [801]);
    assert.deepEqual([pages.item(249), pages.item(250), pages.loaded, pages.length], [751, 749, 300, 999]);
    await pages.reach(399);
    const rows = Array.from({ length: 400 }, (_, index) => pages.item(index));
    assert.deepEqual(rows, from.all.slice(0, 400));
    // Nothing changed: what stands below goes on as before.
    await pages.refresh(0, 20);
    assert.equal(pages.loaded, 400);
    // Newcomers come at the top.
    from.all.unshift(1_001, 1_002);
    await pages.refresh(0, 20);
    assert.deepEqual([pages.item(0), pages.item(2), pages.loaded], [1_001, 1_000, 100]);
  });

  test('what comes late belongs to the list before', async () => {
    const from = source(300);
    /** @type {(page: any) => void} */
    let late = () => {};
    const pages = /** @type {Pages<number>} */ (new Pages(() => new Promise((resolve) => { late = resolve; }), () => {}));
    const first = pages.refresh(0, 20);
    const answer = await from.load(undefined, 100);
    pages.clear();
    late(answer);
    await first;
    assert.deepEqual([pages.length, pages.item(0)], [0, undefined]);
  });

  test('an empty list is whole', async () => {
    const pages = read(source(0));
    await pages.refresh(0, 0);
    assert.deepEqual([pages.length, pages.hasMore, pages.lacks(0)], [0, false, false]);
  });

  test('a refusal is told, and the list can be read on', async () => {
    const from = source(300);
    let fails = true;
    const pages = /** @type {Pages<number>} */ (new Pages(async (cursor, limit) => {
      if (cursor !== undefined && fails) throw new Error('no');
      return from.load(cursor, limit);
    }, () => {}));
    await pages.refresh(0, 20);
    await assert.rejects(pages.reach(150), /no/);
    fails = false;
    await pages.reach(150);
    assert.equal(pages.item(150), 150);
  });
});

describe('plots', () => {
  test('rates are what was counted between two samples, a second', () => {
    const samples = [{ at: 0, joins: 5 }, { at: 10_000, joins: 25 }, { at: 20_000, joins: 25 }, { at: 30_000, joins: 3 }];
    // What counts began anew before the last one.
    assert.deepEqual(rates(samples, (it) => it.joins), [{ at: 10_000, value: 2 }, { at: 20_000, value: 0 }]);
  });

  test('an hour fits into the box, with now at its right edge', () => {
    const now = 2 * HOUR_MS;
    const points = Array.from({ length: 361 }, (_, index) => ({ at: now - HOUR_MS + index * 10_000, value: index }));
    const { line, area, most, least } = curve(points, now, HOUR_MS);
    assert.deepEqual([most, least], [360, 0]);
    assert.match(line, /^M0\.0 [\d.]+L.*L240\.0 4\.0$/);
    assert.match(area, /L240\.0 48Z$/);
    assert.equal(line.split('M').length, 2);
  });

  test('a broker that has just begun has a short past', () => {
    const now = 2 * HOUR_MS;
    const spans = [[], [{ at: now - 1_000 }], [{ at: now - 600_000 }], [{ at: 0 }]].map((samples) => span(samples, now));
    assert.deepEqual(spans, [120_000, 120_000, 600_000, HOUR_MS]);
  });

  test('where nothing was sampled there is a hole, and one point is no curve', () => {
    const now = HOUR_MS;
    const at = (/** @type {number} */ minute) => ({ at: minute * 60_000, value: 1 });
    const { line } = curve([at(1), at(1.5), at(30), at(30.5)], now, HOUR_MS);
    assert.equal(line.split('M').length, 3);
    assert.equal(curve([at(1)], now, HOUR_MS).line, '');
    assert.deepEqual(curve([], now, HOUR_MS), { line: '', area: '', most: 0, least: 0 });
  });
});

test('words', () => {
  assert.deepEqual([0, 999, 1024, 1536, 5 * 1024 ** 3].map(inBytes), ['0 B', '999 B', '1 KiB', '1.5 KiB', '5 GiB']);
  assert.deepEqual([4_000, 61_000, 3_700_000, 90_000_000].map(duration), ['4 s', '1 min', '1 h 1 min', '1 d 1 h']);
  assert.deepEqual([0, 0.25, 1234].map(perSecond), ['0/s', '0.3/s', '1,234/s']);
  assert.equal(attributesText({ mood: 'calm', seat: { row: 3 } }), 'mood: calm · seat: {"row":3}');
  const sources = [{ kind: 'connection', connection: 'c7', lost: true }, { kind: 'lease' }, { kind: 'node', node: 'ab' }];
  assert.deepEqual(sources.map(sourceText), ['c7, lost', 'lease', 'node ab']);
});
