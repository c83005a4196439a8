/** Listeners, and what those of the page do wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Emitter } from '../src/emitter.js';
import { soon } from '../src/soon.js';
import { sleep } from './broker.js';

test('a listener that throws keeps no other from hearing, and its error is not swallowed', (t) => {
  /** @type {unknown[]} */
  const thrown = [];
  t.mock.method(globalThis, 'queueMicrotask', (/** @type {() => void} */ act) => {
    try {
      act();
    } catch (error) {
      thrown.push(error);
    }
  });
  const emitter = new Emitter();
  const error = new Error('of the page');
  /** @type {unknown[]} */
  const heard = [];
  emitter.on('change', () => { throw error; });
  emitter.on('change', (argument) => heard.push(argument));
  emitter.emit('change', 1);
  assert.deepEqual([heard, thrown], [[1], [error]]);
});

test('a listener ends by what `on` returned or by `off`, even while it is told', () => {
  const emitter = new Emitter();
  /** @type {string[]} */
  const heard = [];
  const stop = emitter.on('change', () => { heard.push('first'); stop(); });
  const second = () => heard.push('second');
  emitter.on('change', second);
  emitter.emit('change', null);
  emitter.off('change', second);
  emitter.off('other', second);
  emitter.emit('change', null);
  assert.deepEqual(heard, ['first', 'second']);
});

test('one listener that is given twice hears twice, and each removal takes its own', () => {
  const emitter = new Emitter();
  let heard = 0;
  const listener = () => { heard += 1; };
  const [first, second] = [emitter.on('change', listener), emitter.on('change', listener)];
  emitter.emit('change', null);
  assert.equal(heard, 2);
  first();
  first();
  emitter.emit('change', null);
  assert.equal(heard, 3, 'one was removed, however often');
  second();
  emitter.emit('change', null);
  assert.equal(heard, 3);
  emitter.on('change', listener);
  emitter.on('change', listener);
  emitter.off('change', listener);
  emitter.emit('change', null);
  assert.equal(heard, 4);
});

test('what is asked for soon comes once, and can be asked for again', async () => {
  let calls = 0;
  const ask = soon(() => { calls += 1; });
  ask();
  ask();
  assert.equal(calls, 0);
  await sleep(150);
  assert.equal(calls, 1);
  ask();
  await sleep(150);
  assert.equal(calls, 2);
});
