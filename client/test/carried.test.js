/** What is said again on the next connection. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Carried } from '../src/carried.js';

test('a patch keeps what it does not name, and a null takes away', () => {
  const carried = new Carried({ mood: 'happy', seat: 4 });
  carried.set({ mood: 'sad', seat: null });
  assert.deepEqual(carried.lasting, { mood: 'sad', seat: null }, 'until the broker knows it');
  carried.set({ page: 2 }, undefined, true);
  assert.deepEqual(carried.lasting, { page: 2 });
});

test('who never said anything of attributes brings none, and does not wipe those of another tab', () => {
  const carried = new Carried();
  assert.equal(carried.lasting, undefined);
  carried.set({ typing: true }, 100);
  assert.equal(carried.lasting, undefined);
  carried.set({ mood: 'happy' });
  assert.deepEqual(carried.lasting, { mood: 'happy' });
  assert.deepEqual(new Carried({}).lasting, {});
});

test('what vanishes by itself is said for the rest of its time, and never for good', () => {
  const carried = new Carried({ mood: 'happy' });
  carried.set({ typing: true }, 5_000);
  assert.deepEqual(carried.lasting, { mood: 'happy' });
  assert.deepEqual(carried.passing(1_999.5), [{ attributes: { typing: true }, ttlMs: 3_001 }]);
  assert.deepEqual(carried.passing(5_000), []);
  carried.set({ typing: false });
  assert.deepEqual(carried.lasting, { mood: 'happy', typing: false });
  assert.deepEqual(carried.passing(0), []);
});

test('what was refused is taken back, unless something was written since', () => {
  const carried = new Carried({ mood: 'happy' });
  carried.set({ mood: 'x'.repeat(9_000) })(new Error('too large'));
  assert.deepEqual(carried.lasting, { mood: 'happy' });
  const undo = carried.set({ mood: 'sad' });
  carried.set({ seat: 4 });
  undo(new Error('refused'));
  assert.deepEqual(carried.lasting, { mood: 'sad', seat: 4 });
});

test('what another tab wrote over ours is its to say again, until it is as we wrote it', () => {
  const carried = new Carried({ mood: 'happy', seat: 4, at: { y: 1, x: [{ b: 2, a: 1 }] } });
  carried.set({ typing: true }, 100);
  const told = { page: 2, at: { x: [{ a: 1, b: 2 }], y: 1 } };
  carried.follow({ ...told, mood: 'sad' });
  assert.deepEqual(carried.lasting, { at: { y: 1, x: [{ b: 2, a: 1 }] } });
  assert.equal(carried.passing(0).length, 1);
  // An event of before may come behind the answer to what we wrote since.
  carried.follow({ ...told, mood: 'happy', seat: 4 });
  assert.deepEqual(carried.lasting, { mood: 'happy', seat: 4, at: { y: 1, x: [{ b: 2, a: 1 }] } });
});

test('a join merges, unless the broker does not know yet that the rest is to go', () => {
  const carried = new Carried({ mood: 'happy' });
  assert.equal(carried.saying().merge, false, 'the page said what there is');
  const first = carried.saying();
  const replaced = carried.set({ mood: 'sad' }, undefined, true);
  first.done();
  assert.equal(carried.saying().merge, false, 'it said so again meanwhile');
  replaced(null);
  assert.deepEqual({ ...carried.saying(), done: 0 }, { attributes: { mood: 'sad' }, merge: true, done: 0 });
  carried.set({}, undefined, true)(new Error('refused'));
  assert.equal(carried.saying().merge, true);
  assert.deepEqual({ ...new Carried().saying(), done: 0 }, { attributes: undefined, merge: true, done: 0 });
});

test('what was taken away is said until the broker knows it', () => {
  const carried = new Carried({ mood: 'happy', seat: 4 });
  const told = carried.set({ seat: null });
  assert.deepEqual(carried.saying().attributes, { mood: 'happy', seat: null });
  told(null);
  assert.deepEqual(carried.saying().attributes, { mood: 'happy' });
  carried.set({ mood: null });
  const { attributes, done } = carried.saying();
  assert.deepEqual(attributes, { mood: null });
  carried.set({ mood: 'back' });
  done();
  assert.deepEqual(carried.saying().attributes, { mood: 'back' }, 'written again meanwhile');
});

test('a mark is taken back to what was there before', () => {
  const carried = new Carried({ mood: 'happy' });
  assert.deepEqual(carried.without({ mood: 'away', hidden: true }), { mood: 'happy', hidden: null });
});

test('keys that a plain object would trip over', () => {
  const carried = new Carried(JSON.parse('{"__proto__":1,"constructor":2}'));
  assert.equal(JSON.stringify(carried.lasting), '{"__proto__":1,"constructor":2}');
  carried.set(JSON.parse('{"__proto__":true}'), 10);
  assert.equal(JSON.stringify(carried.passing(0)), '[{"attributes":{"__proto__":true},"ttlMs":10}]');
});
