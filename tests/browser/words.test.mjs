/** What a person reads. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HerenowError } from '../../clients/javascript/src/index.js';
import { Meter, curve } from '../../web-demo/meter.js';
import {
  batchingWords, captionWords, connectionWords, eventWords, hue, initials, levelChangeWords, levelNote, membershipWords, moodOf, moodPicture,
  nobodyWords, pigName, problemWords, randomName, reactionOf, recipes, shellWord, shorthandName, silenceWords, typingWords,
  watcherWords,
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

describe('what happens', () => {
  /** @param {object} event */
  const words = (event) => eventWords(/** @type {any} */ ({ user: 'bob', channel: 'room', attributes: {}, ...event }))?.text;
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
    assert.equal(words({ event: 'updateAttributes', before: withMood(), ...withMood('calm') }), 'is now calm');
    assert.equal(words({ event: 'updateAttributes', before: withMood('calm'), ...withMood() }), 'cleared the mood');
    assert.equal(words({ event: 'updateAttributes', before: withMood('calm'), ...withMood(), reason: 'expired' }), 'has a mood that wore off');
    assert.equal(words({ event: 'updateAttributes', before: withMood('calm'), ...withMood('calm') }), undefined);
  });
});

test('the connection is told in words', () => {
  /** @param {string} code @param {number} [closeCode] */
  const error = (code, closeCode) => new HerenowError(code, `the words for ${code}`, { closeCode });
  assert.equal(connectionWords({ phase: 'connecting' }, false).title, 'Connecting…');
  assert.equal(connectionWords({ phase: 'open' }, true).title, 'Connected');
  assert.deepEqual(connectionWords({ phase: 'waiting', retryAt: 0, error: error('unreachable', 4100) }, true), { title: 'Connection lost', detail: 'this connection was too slow' });
  assert.deepEqual(connectionWords({ phase: 'waiting', retryAt: 0, error: error('unreachable', 1006) }, false), { title: 'Not connected', detail: 'the words for unreachable' });
  assert.match(connectionWords({ phase: 'closed', error: error('kicked', 4003) }, true).detail, /operator/);
  assert.deepEqual(connectionWords({ phase: 'closed', error: error('unauthenticated') }, true), { title: 'Refused', detail: 'the words for unauthenticated' });
  assert.deepEqual(connectionWords({ phase: 'closed', error: error('unsupported_protocol') }, false), { title: 'Disconnected', detail: 'page and broker are of different versions: reload' });
});

test('membership is told in words', () => {
  assert.match(membershipWords('out', true, false), /without being counted/);
  assert.match(membershipWords('in', true, true), /^You are in/);
  assert.equal(membershipWords('joining', true, true), 'Joining…');
  assert.match(membershipWords('joining', false, true), /be in once connected/);
});

test('the stage says who you are in it, and why nobody is', () => {
  assert.match(captionWords('in', true), /^You are one of them/);
  assert.match(captionWords('out', false), /^You are watching/);
  assert.doesNotMatch(captionWords('joining', true), /^You/);
  assert.equal(nobodyWords({ level: 'events', count: 3 }, true), '');
  assert.match(nobodyWords({ level: 'events', count: 0 }, true), /Nobody/);
  assert.match(nobodyWords({ level: null, count: 0 }, false), /without a connection/);
  assert.equal(nobodyWords({ level: null, count: 0 }, true), '');
});

test('avatars are told in words', () => {
  assert.equal(watcherWords({ user: 'ada', attributes: {} }, false), 'ada');
  assert.equal(watcherWords({ user: 'ada', attributes: { mood: 'happy', typing: true }, away: true }, true), 'ada (you, happy, typing, in another tab)');
  assert.deepEqual(['happy', 'my own', ''].map(moodPicture), ['happy', 'other', '']);
});

test('silence is told as what others make of it', () => {
  assert.match(silenceWords('crash', false), /ten seconds of grace/);
  assert.match(silenceWords('freeze', false), /connection is fine/);
  assert.match(silenceWords('freeze', true), /number alone/);
});

test('the level is told with what changes it', () => {
  assert.match(levelChangeWords('events', 1000), /^Beyond 1,000 /);
  assert.match(levelChangeWords('count', 50), /more than 50,/);
  assert.equal(levelChangeWords(null, 50), '');
  assert.match(levelNote('count'), /only counted/);
  assert.match(levelNote('events'), /one by one again/);
});

test('who is typing', () => {
  const people = ['ada', 'bob', 'cy'].map((user) => ({ user }));
  assert.equal(typingWords([]), '');
  assert.equal(typingWords(people.slice(0, 1)), 'ada is typing…');
  assert.equal(typingWords(people.slice(0, 2)), 'ada and bob are typing…');
  assert.equal(typingWords(people), '3 people are typing…');
});

test('reactions are only those that there are', () => {
  assert.deepEqual(reactionOf({ reaction: { kind: 'heart', n: 1 } }), { kind: 'heart', n: 1 });
  for (const reaction of [undefined, null, 'heart', { kind: '<b>' }, { kind: 'constructor' }, [1]]) assert.equal(reactionOf({ reaction }), undefined);
});

describe('the meter', () => {
  test('counts frames and events of each second, for a minute', () => {
    const meter = new Meter();
    meter.hear('{"type":"presence","seq":1,"events":[{"event":"join","user":"a"},{"event":"leave","user":"b"}]}');
    meter.hear('{"type":"presence","seq":2,"events":[]}');
    meter.hear('{"type":"count","count":3}');
    meter.hear('{"type":"ok","id":1}');
    meter.tick(3);
    assert.deepEqual(meter.seconds, [{ frames: 3, events: 2, count: 3 }]);
    for (let second = 0; second < 70; second += 1) meter.tick(0);
    assert.equal(meter.seconds.length, 60);
    assert.deepEqual(meter.last(10), { frames: 0, events: 0 });
  });

  test('draws within its box, newest at the right edge', () => {
    assert.deepEqual(curve([1]), { line: '', area: '' });
    const { line, area } = curve([0, 5, 10]);
    assert.match(line, /^M[\d.]+ 22\.50L[\d.]+ 12\.00L60\.00 1\.50$/);
    assert.ok(area.startsWith(line) && area.endsWith('Z'));
  });

  test('draws two curves in one scale', () => {
    assert.match(curve([0, 5], 10).line, /^M[\d.]+ 22\.50L60\.00 12\.00$/);
  });

  test('says what batching saves', () => {
    assert.equal(batchingWords({ frames: 0, events: 0 }), '');
    assert.match(batchingWords({ frames: 10, events: 0 }), /^10 count frames/);
    assert.equal(batchingWords({ frames: 10, events: 25 }), '25 events in 10 frames over ten seconds: 2.5 a frame.');
    assert.match(batchingWords({ frames: 10, events: 10 }), /one a frame/);
  });
});

test('names are words of a shell and of the shorthand', () => {
  assert.equal(shorthandName('room'), 'room');
  assert.equal(shorthandName('my "room"'), '"my \\"room\\""');
  assert.equal(shellWord("it's"), "'it'\\''s'");
  assert.match(pigName(() => 0), /^pip-000$/);
  const [page, byHand, backEnd] = recipes({ origin: 'https://example.com', user: 'a b', channel: 'c/d', mood: '' });
  assert.match(page.text, /connect\("wss:\/\/example\.com\/ws", \{ user: "a b" \}\)/);
  assert.match(byHand.text, /user=a%20b'/);
  assert.match(backEnd.text, /channels\/c%2Fd\/count'/);
  const guarded = recipes({ origin: 'https://example.com', user: 'ada', channel: 'room', mood: '', guarded: true });
  assert.ok(guarded.every(({ text }) => !text.includes('ada')), 'who we are is in the token');
});

test('problems are sentences', () => {
  assert.equal(problemWords({ message: 'graceMs must be at most 60000' }), 'GraceMs must be at most 60000.');
  assert.equal(problemWords({ message: 'Already one.' }), 'Already one.');
  assert.equal(problemWords({ message: 'too fast', retryAfterMs: 1200 }), 'Too fast (try again in 2 s).');
});
