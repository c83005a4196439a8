/** What our member carries, and what of it is said when. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Carried } from '../src/carried.js';
import { copy } from '../src/json.js';

/** Such as a join with attributes leaves it. @param {object} [attributes] */
function carrying(attributes) {
  const carried = new Carried();
  if (attributes) carried.set(copy(attributes, 'attributes'), { replace: true });
  return carried;
}

/** What a join would say, and what behind it. @param {Carried} carried */
function joins(carried, now = 0) {
  const [join, ...behind] = carried.say(now, true);
  return { ...join, behind };
}

/** The same, and the broker does it. @param {Carried} carried */
function joined(carried, now = 0) {
  const said = carried.say(now, true);
  for (const { settle } of said) settle(null);
  return said[0].attributes;
}

/** @param {ReturnType<Carried['say']>} frames */
const plain = (frames) => frames.map(({ attributes, merge, ttlMs }) => ({ attributes, merge, ttlMs }));

const refused = /** @type {any} */ (new Error('too large'));

test('a patch keeps what it does not name, and a null takes away', () => {
  const carried = carrying({ mood: 'happy', seat: 4 });
  carried.set({ mood: 'sad', seat: null });
  assert.deepEqual(joins(carried).attributes, { mood: 'sad', seat: null }, 'until the broker knows it');
  carried.set({ page: 2 }, { replace: true });
  assert.deepEqual(joins(carried).attributes, { page: 2 });
});

test('who never said anything of attributes brings none, and does not wipe those of another tab', () => {
  const carried = carrying();
  assert.equal(joins(carried).attributes, undefined);
  carried.set({ typing: true }, { until: 100 });
  assert.equal(joins(carried).attributes, undefined);
  carried.set({ mood: 'happy' });
  assert.deepEqual(joins(carried).attributes, { mood: 'happy' });
  assert.deepEqual(joins(carrying({})).attributes, {});
});

test('what vanishes by itself is said for the rest of its time, and never for good', () => {
  const carried = carrying({ mood: 'happy' });
  carried.set({ typing: true }, { until: 5_000 });
  assert.deepEqual(joins(carried, 0).attributes, { mood: 'happy' });
  assert.deepEqual(plain(joins(carried, 1_999.5).behind), [{ attributes: { typing: true }, merge: true, ttlMs: 3_001 }]);
  joined(carried, 1_999.5);
  assert.deepEqual(joins(carried, 5_000).behind, [], 'the broker knows when');
  carried.set({ typing: true }, { until: 6_000 });
  assert.deepEqual(joins(carried, 6_000).behind, [], 'it is over');
  carried.set({ typing: false });
  assert.deepEqual(joins(carried, 6_000).attributes, { mood: 'happy', typing: false });
});

test('what ended before it could be said takes away what was there before', () => {
  const carried = carrying({ typing: 'long ago' });
  joined(carried);
  carried.set({ typing: true }, { until: 100 });
  const [{ attributes, ttlMs }] = carried.say(200);
  assert.deepEqual([attributes, ttlMs], [{ typing: null }, undefined]);
});

test('writes fold until they are said, and a write of its own time is a frame of its own', () => {
  const carried = carrying({});
  joined(carried);
  for (let n = 0; n < 100; n += 1) carried.set({ n });
  carried.set({ typing: true }, { until: 500 });
  carried.set({ seat: 4, n: 100 });
  assert.deepEqual(plain(carried.say(0)), [
    { attributes: { n: 100, seat: 4 }, merge: true, ttlMs: undefined }, { attributes: { typing: true }, merge: true, ttlMs: 500 },
  ]);
  assert.deepEqual(carried.say(0), []);
});

test('what was not heard is said again as it is by then', () => {
  const carried = carrying({});
  joined(carried);
  carried.set({ n: 1, m: 1 });
  const [first] = carried.say(0);
  carried.set({ n: 2 });
  const [second] = carried.say(0);
  first.again();
  second.settle(null);
  assert.deepEqual(carried.say(0)[0].attributes, { m: 1, n: 2 });
});

test('whoever wrote is told once what it wrote, or something newer, was answered', () => {
  const carried = carrying({});
  joined(carried);
  /** @type {string[]} */
  const told = [];
  carried.set({ n: 1 }, { settle: () => told.push('first') });
  const [first] = carried.say(0);
  first.again();
  carried.set({ n: 2 }, { settle: (error) => told.push(`second ${error}`) });
  const gone = carried.set({ n: 3 }, { settle: () => told.push('nobody waits') });
  gone();
  const [again] = carried.say(0);
  assert.deepEqual(told, []);
  again.settle(null);
  assert.deepEqual(told.sort(), ['first', 'second null']);
});

test('what was refused is taken back, but for what was written since', () => {
  const carried = carrying({ mood: 'happy' });
  joined(carried);
  carried.set({ mood: 'x'.repeat(9_000) });
  const [huge] = carried.say(0);
  huge.settle(refused);
  assert.deepEqual(joined(carried), { mood: 'happy' });
  carried.set({ mood: 'y', page: 1 });
  const [other] = carried.say(0);
  carried.set({ mood: 'sad', seat: 4 });
  other.settle(refused);
  assert.deepEqual(joined(carried), { mood: 'sad', seat: 4 });
  carried.set({ only: 1 }, { replace: true });
  const [replaced] = carried.say(0);
  replaced.settle(refused);
  assert.deepEqual(joined(carried), { mood: 'sad', seat: 4 });
});

test('what another tab wrote over ours is its to say again, until it is as we wrote it', () => {
  const at = { y: 1, x: [{ b: 2, a: 1 }] };
  const carried = carrying({ mood: 'happy', seat: 4, at });
  carried.set({ typing: true }, { until: 100 });
  joined(carried);
  const told = { page: 2, typing: true, at: { x: [{ a: 1, b: 2 }], y: 1 } };
  carried.follow({ ...told, mood: 'sad' });
  assert.deepEqual(joins(carried).attributes, { at });
  assert.equal(joins(carried).behind.length, 1);
  // An event of before may come behind the answer to what we wrote since.
  carried.follow({ ...told, mood: 'happy', seat: 4 });
  assert.deepEqual(joins(carried).attributes, { mood: 'happy', seat: 4, at });
});

test('a join merges, unless the broker does not know yet that the rest is to go', () => {
  const carried = carrying({ mood: 'happy' });
  const [first] = carried.say(0, true);
  assert.equal(first.merge, false, 'the page said what there is');
  carried.set({ mood: 'sad' }, { replace: true });
  first.settle(null);
  const [second] = carried.say(0, true);
  assert.equal(second.merge, false, 'it said so again meanwhile');
  second.settle(null);
  assert.deepEqual(plain(carried.say(0, true)), [{ attributes: { mood: 'sad' }, merge: true, ttlMs: undefined }]);
  carried.set({}, { replace: true });
  carried.say(0)[0].settle(refused);
  assert.equal(joins(carried).merge, true);
  assert.deepEqual(plain(carrying().say(0, true)), [{ attributes: undefined, merge: true, ttlMs: undefined }]);
});

test('what was taken away is said until the broker knows it', () => {
  const carried = carrying({ mood: 'happy', seat: 4 });
  joined(carried);
  carried.set({ seat: null });
  const [told] = carried.say(0);
  assert.deepEqual(joins(carried).attributes, { mood: 'happy', seat: null });
  told.settle(null);
  assert.deepEqual(joined(carried), { mood: 'happy' });
  carried.set({ mood: null });
  const [join] = carried.say(0, true);
  assert.deepEqual(join.attributes, { mood: null });
  carried.set({ mood: 'back' });
  join.settle(null);
  assert.deepEqual(joins(carried).attributes, { mood: 'back' }, 'written again meanwhile');
});

test('a mark is taken back to what was there before', () => {
  assert.deepEqual(carrying({ mood: 'happy' }).without({ mood: 'away', hidden: true }), { mood: 'happy', hidden: null });
});

test('keys that a plain object would trip over', () => {
  const carried = carrying(JSON.parse('{"__proto__":1,"constructor":2}'));
  assert.equal(JSON.stringify(joined(carried)), '{"__proto__":1,"constructor":2}');
  carried.set(JSON.parse('{"__proto__":true}'), { until: 10 });
  assert.equal(JSON.stringify(plain(carried.say(0))), '[{"attributes":{"__proto__":true},"merge":true,"ttlMs":10}]');
});
