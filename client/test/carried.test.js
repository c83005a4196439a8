/** What is said again on the next connection. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Carried } from '../src/carried.js';

test('a patch keeps what it does not name, and a null takes away', () => {
  const carried = new Carried({ mood: 'happy', seat: 4 });
  carried.set({ mood: 'sad', seat: null });
  assert.deepEqual(carried.lasting, { mood: 'sad' });
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
  carried.set({ mood: 'x'.repeat(9_000) })();
  assert.deepEqual(carried.lasting, { mood: 'happy' });
  const undo = carried.set({ mood: 'sad' });
  carried.set({ seat: 4 });
  undo();
  assert.deepEqual(carried.lasting, { mood: 'sad', seat: 4 });
});

test('another tab changes the keys that are ours too, and lends us none', () => {
  const carried = new Carried({ mood: 'happy', seat: 4 });
  carried.set({ typing: true }, 100);
  carried.follow({ mood: 'sad', page: 2 });
  assert.deepEqual(carried.lasting, { mood: 'sad' });
  assert.equal(carried.passing(0).length, 1);
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
