/** What a person reads. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  caughtUpWords, changeWords, connectionWords, howLong, hue, initials, moodOf, problemWords, randomName,
} from '../../web-demo/words.js';

describe('initials', () => {
  /** @type {Array<[string, string]>} */
  const cases = [
    ['ada', 'A'],
    ['Ada Lovelace', 'AL'],
    ['quiet-otter', 'QO'],
    ['ada.b_c d', 'AB'],
    ['ünsal Åse', 'ÜÅ'],
    ['ελένη παπ', 'ΕΠ'],
    ['نورا الخطيب', 'ن'],
    ['会議 室', '会'],
    ['👩‍👩‍👧‍👦 family', '👩‍👩‍👧‍👦'],
    ['<b>x</b>', 'BX'],
    ['42', '4'],
    ['---', '-'],
    ['   ', '?'],
    [' ', '?'],
  ];
  for (const [name, expected] of cases) {
    test(JSON.stringify(name), () => assert.equal(initials(name), expected));
  }

  test('a heap of accents is cut', () => {
    assert.ok(initials(`z${'\u0335'.repeat(60)}`).length <= 8);
  });
});

test('colours are stable, and differ for names that are alike', () => {
  assert.equal(hue('ada'), hue('ada'));
  const hues = new Set(Array.from({ length: 20 }, (_, i) => Math.round(hue(`user-${i}`) / 10)));
  assert.ok(hues.size >= 10, `20 names had only ${hues.size} colours`);
});

test('names for the nameless are within the rules', () => {
  assert.match(randomName(), /^[a-z]+-[a-z]+$/);
  assert.match(randomName(() => 0.999999), /^[a-z]+-[a-z]+$/);
});

test('moods are read whatever they are', () => {
  assert.equal(moodOf({ mood: 'calm' }), 'calm');
  assert.equal(moodOf({ mood: 3 }), '3');
  assert.equal(moodOf({ mood: { a: [1] } }), '{"a":[1]}');
  assert.equal(moodOf({}), '');
  assert.equal(moodOf(undefined), '');
  assert.equal(moodOf(JSON.parse('{"__proto__":{"mood":"inherited"}}')), '');
});

test('times are rough', () => {
  assert.equal(howLong(-5000), 'just now'); // clocks differ
  assert.equal(howLong(59_999), 'just now');
  assert.equal(howLong(60_000), '1 min');
  assert.equal(howLong(3_600_000), '1 h');
  assert.equal(howLong(47 * 3_600_000), '47 h');
  assert.equal(howLong(48 * 3_600_000), '2 days');
});

describe('changes', () => {
  /** @param {object} change */
  const words = (change) => changeWords(/** @type {any} */ ({ user: 'bob', ...change }))?.text;
  /** @param {string} [mood] */
  const withMood = (mood) => ({ user: 'bob', joinedAt: 0, attributes: mood ? { mood } : {} });

  test('coming and going', () => {
    assert.equal(words({ event: 'join' }), 'joined');
    assert.equal(words({ event: 'leave', reason: 'left' }), 'left');
    assert.equal(words({ event: 'leave', reason: 'closed' }), 'left: closed the connection');
    assert.equal(words({ event: 'leave', reason: 'kicked' }), 'was removed by an operator');
    assert.equal(words({ event: 'leave', reason: 'something new' }), 'left');
  });

  test('timing out', () => {
    assert.equal(words({ event: 'timeout', reason: 'connection' }), 'timed out: connection lost');
    assert.equal(words({ event: 'timeout', reason: 'heartbeat', lastSeen: 0, at: 60_000 }), 'timed out: not heard for 60 s');
    assert.equal(words({ event: 'timeout', reason: 'node' }), 'timed out: no longer heard from');
  });

  test('moods', () => {
    assert.equal(words({ event: 'updateAttributes', before: withMood(), after: withMood('calm') }), 'is now calm');
    assert.equal(words({ event: 'updateAttributes', before: withMood('calm'), after: withMood() }), 'cleared the mood');
    assert.equal(words({ event: 'updateAttributes', before: withMood('calm'), after: withMood(), reason: 'expired' }), 'has a mood that wore off');
    assert.equal(words({ event: 'updateAttributes', before: withMood('calm'), after: withMood('calm') }), undefined);
  });

  test('what nobody told is only counted', () => {
    assert.equal(caughtUpWords([]), '');
    assert.equal(caughtUpWords([{ event: 'join', user: 'a' }, { event: 'leave', user: 'b' }, { event: 'leave', user: 'c' }]), 'Caught up: 1 came, 2 left meanwhile');
  });
});

test('the connection is told in words', () => {
  assert.equal(connectionWords({ phase: 'connecting' }).title, 'Connecting…');
  assert.deepEqual(connectionWords({ phase: 'waiting', retryAt: 0, code: 4100, reason: '' }), { title: 'Connection lost', detail: 'this connection was too slow' });
  assert.equal(connectionWords({ phase: 'waiting', retryAt: 0, code: 1006, reason: '' }).detail, '');
  assert.match(connectionWords({ phase: 'ended', code: 4003, reason: '' }).detail, /operator/);
  assert.equal(connectionWords({ phase: 'ended', code: 4042, reason: '' }).detail, 'code 4042');
});

test('problems are sentences', () => {
  const problem = /** @type {const} */ ({ about: 'typed', code: 'x' });
  assert.equal(problemWords({ ...problem, message: 'graceMs must be at most 60000' }), 'GraceMs must be at most 60000.');
  assert.equal(problemWords({ ...problem, message: 'Already one.' }), 'Already one.');
  assert.equal(problemWords({ ...problem, message: 'too fast', retryAfterMs: 1200 }), 'Too fast (try again in 2 s).');
});
