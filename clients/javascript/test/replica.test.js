/** The replica against the protocol's golden sequences, and what those leave open. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as replica from '../src/replica.js';

/** @type {Array<{name: string, frames: any[], expect: any}>} */
const vectors = JSON.parse(readFileSync(new URL('../../../protocol/vectors/replica.json', import.meta.url), 'utf8'));

/** Folds frames as a channel does, but for the answers of a subscribe. @param {any[]} frames @param {replica.Replica} [from] */
function fold(frames, from = replica.NOTHING) {
  /** @type {replica.Change[]} */
  const changes = [];
  let now = from;
  for (const frame of deepFreeze(frames)) {
    if (frame.type === 'welcome') now = replica.interrupted(now).replica;
    if (frame.type === 'ok' && frame.resumed) now = replica.resumed(now).replica;
    const step = replica.apply(now, frame);
    now = step.replica;
    changes.push(...step.changes);
  }
  return { replica: now, changes };
}

/** Nothing may change what it was given. @param {any} value @returns {any} */
function deepFreeze(value) {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

describe('golden sequences', () => {
  for (const { name, frames, expect, away } of vectors) {
    test(name, () => {
      // In the end: whom a history that ended knew has gone by then.
      const { replica: now } = replica.settle(fold(frames).replica);
      const listed = now.level === 'count' ? [] : [...now.members.values()];
      assert.deepEqual({
        seq: now.seq,
        count: replica.count(now),
        members: Object.fromEntries(listed.map(({ user, attributes }) => [user, attributes])),
      }, { seq: expect.seq, count: expect.count, members: expect.members });
      const info = listed.filter((member) => Object.keys(member.info ?? {}).length);
      if (away) assert.deepEqual(listed.filter((member) => member.away).map(({ user }) => user).sort(), away);
      if (expect.info) assert.deepEqual(Object.fromEntries(info.map((member) => [member.user, member.info])), expect.info);
    });
  }

  test('are all there', () => assert.ok(vectors.length > 40));
});

const AT = 1_795_348_641_000;
/** @param {string} user @param {object} [attributes] */
const member = (user, attributes = {}) => ({ user, attributes, joinedAt: AT });
/** @param {number} seq @param {any[]} members @param {object} [more] */
const snapshot = (seq, members, more = {}) => ({
  type: 'snapshot', channel: 'room', epoch: 'e1', seq, count: members.length, members, reason: 'subscribed', ...more,
});
/** @param {number} seq @param {number} count @param {...object} events */
const presence = (seq, count, ...events) => ({ type: 'presence', channel: 'room', seq, count, events });

describe('a node that does not know all yet', () => {
  const known = fold([snapshot(3, [member('ada'), member('bob')])]).replica;
  const partial = snapshot(9, [member('ada')], { epoch: 'e2', partial: true });

  test('names some, and nobody has left', () => {
    const { replica: now, changes } = fold([partial], known);
    assert.deepEqual([...now.members.keys()].sort(), ['ada', 'bob']);
    assert.deepEqual(changes, []);
    assert.equal(replica.count(now), 2);
    const step = replica.settle(now);
    assert.deepEqual([step.replica.members.size, step.changes], [2, []], 'however long it takes');
  });

  test('and when it does, whoever is not there has gone, and nobody else came', () => {
    const whole = snapshot(10, [member('cy'), member('ada')], { epoch: 'e2', reason: 'resync' });
    const { replica: now, changes } = fold([partial, whole], known);
    assert.deepEqual([...now.members.keys()].sort(), ['ada', 'cy']);
    assert.deepEqual(changes.map(({ event, user }) => [event, user]), [['leave', 'bob']]);
    assert.deepEqual([now.partial, replica.count(now)], [undefined, 2]);
    assert.deepEqual(fold([presence(11, 3, { event: 'join', user: 'dee', attributes: {}, at: AT })], now)
      .changes.map(({ event, user }) => [event, user]), [['join', 'dee']]);
  });
});
/** @param {string} user @param {object} [attributes] */
const join = (user, attributes = {}) => ({ event: 'join', user, attributes, at: AT + 1 });
/** @param {replica.Change[]} changes */
const told = (changes) => changes.map(({ event, user }) => `${event} ${user}`);
/** @param {replica.Replica} now */
const names = (now) => replica.newestFirst(now).map(({ user }) => user);

describe('a slow connection', () => {
  test('hears of real changes only, though some is told again', () => {
    const before = fold([snapshot(1, [member('ada'), member('bob')])]).replica;
    const { replica: now, changes } = fold([
      snapshot(5, [member('cid', { n: 2 })], { count: 2, more: true }),
      snapshot(5, [member('ada')], { count: 2 }),
      presence(6, 3, { event: 'join', user: 'cid', attributes: { n: 2 }, at: AT }),
      presence(7, 2, { event: 'leave', user: 'bob', reason: 'left', at: AT }),
      presence(8, 2, { event: 'join', user: 'cid', attributes: { n: 3 }, at: AT }),
      presence(9, 2, { event: 'updateAttributes', user: 'dan', attributes: {}, at: AT }),
    ], before);
    assert.deepEqual(changes.map(({ event, user }) => `${event} ${user}`), [
      'leave bob', 'join cid', 'updateAttributes cid',
    ]);
    assert.deepEqual([...now.members.keys()], ['ada', 'cid']);
  });
});

describe('order', () => {
  test('is newest first, across parts and joins', () => {
    const { replica: now } = fold([
      snapshot(3, [member('d'), member('c')], { count: 4, more: true }),
      snapshot(3, [member('b'), member('a')], { count: 4 }),
      presence(4, 6, join('e'), join('f')),
    ]);
    assert.deepEqual(names(now), ['f', 'e', 'd', 'c', 'b', 'a']);
  });

  test('puts whoever comes back first, and leaves whoever changed', () => {
    const { replica: now } = fold([
      snapshot(1, [member('c'), member('b'), member('a')]),
      presence(2, 2, { event: 'leave', user: 'a', reason: 'left', at: AT }),
      presence(3, 3, join('a')),
      presence(4, 3, { event: 'updateAttributes', user: 'b', attributes: { n: 1 }, at: AT }),
    ]);
    assert.deepEqual(names(now), ['a', 'c', 'b']);
  });
});

describe('what is told', () => {
  test('nothing of the first snapshot, nor of one that shows the same', () => {
    const first = fold([snapshot(1, [member('b', { n: 1 }), member('a')])]);
    assert.deepEqual(first.changes, []);
    const again = fold([snapshot(9, [member('b', { n: 1 }), member('a')])], replica.interrupted(first.replica).replica);
    assert.deepEqual(again.changes, []);
  });

  test('of a later snapshot of the same history, the differences', () => {
    const { changes } = fold([
      snapshot(1, [member('c'), member('b'), member('a')]),
      snapshot(9, [member('d'), member('c', { n: 1 }), member('a')], { reason: 'resync' }),
    ]);
    assert.deepEqual(told(changes), ['leave b', 'updateAttributes c', 'join d']);
    assert.equal(changes[0].reason, undefined, 'nobody told why');
  });

  test('of a frame, what it says, with the member before and after', () => {
    const { changes } = fold([
      snapshot(1, [member('a', { n: 1 })]),
      presence(2, 1, { event: 'updateAttributes', user: 'a', attributes: { n: 2 }, at: AT + 5 }),
      presence(3, 0, { event: 'timeout', user: 'a', reason: 'connection', lastSeen: AT, at: AT + 6 }),
    ]);
    assert.deepEqual(told(changes), ['updateAttributes a', 'timeout a']);
    assert.deepEqual([changes[0].before?.attributes, changes[0].after?.attributes], [{ n: 1 }, { n: 2 }]);
    const { reason, lastSeen, at, before } = changes[1];
    assert.deepEqual({ reason, lastSeen, at, before: before?.attributes }, { reason: 'connection', lastSeen: AT, at: AT + 6, before: { n: 2 } });
  });

  test('nothing of people who are not known, nor of events that are not', () => {
    const { changes, replica: now } = fold([
      snapshot(1, [member('a')]),
      presence(2, 1, { event: 'leave', user: 'b', reason: 'left', at: AT }, { event: 'dance', user: 'a', at: AT }),
    ]);
    assert.deepEqual(changes, []);
    assert.deepEqual(names(now), ['a']);
  });

  test('nothing when the list gives way to a number, or comes back', () => {
    const { changes } = fold([
      snapshot(1, [member('b'), member('a')]),
      { type: 'count', channel: 'room', seq: 7, count: 900, recent: [{ user: 'z' }] },
      snapshot(9, [member('q')], { reason: 'level' }),
    ]);
    assert.deepEqual(changes, []);
  });
});

describe('a history that ended', () => {
  const restart = { epoch: 'e2' };
  const before = fold([snapshot(5, [member('c'), member('b', { n: 1 }), member('a')])]).replica;

  test('keeps those who are still to come back, and counts them', () => {
    const { replica: now, changes } = fold([snapshot(0, [member('a')], restart)], before);
    assert.deepEqual(changes, []);
    assert.deepEqual(names(now), ['a', 'c', 'b']);
    assert.equal(replica.count(now), 3);
  });

  test('tells of those who come back only what is new', () => {
    const { replica: now, changes } = fold([
      snapshot(0, [member('a')], restart),
      presence(1, 2, join('b', { n: 2 })),
      presence(2, 3, join('c')),
    ], before);
    assert.deepEqual(told(changes), ['updateAttributes b']);
    assert.equal(replica.count(now), 3);
    assert.equal(now.missing.size, 0);
  });

  test('tells in the end of those who do not', () => {
    const { replica: now } = fold([snapshot(0, [member('a')], restart), presence(1, 2, join('b', { n: 1 }))], before);
    const step = replica.settle(now);
    assert.deepEqual(told(step.changes), ['leave c']);
    assert.deepEqual(names(step.replica), ['b', 'a']);
    assert.equal(replica.count(step.replica), 2);
  });

  test('goes on being kept through another snapshot of the new one', () => {
    const { replica: now, changes } = fold([
      snapshot(0, [], restart),
      snapshot(4, [member('a')], { ...restart, reason: 'resync' }),
    ], before);
    assert.deepEqual(changes, []);
    assert.deepEqual(names(now).sort(), ['a', 'b', 'c']);
  });

  test('does not bring back who leaves for good', () => {
    const { replica: now, changes } = fold([
      snapshot(0, [], restart),
      presence(1, 1, join('a')),
      presence(2, 0, { event: 'leave', user: 'a', reason: 'left', at: AT }),
    ], before);
    assert.deepEqual(told(changes), ['leave a']);
    assert.equal(replica.count(now), 2);
  });
});

describe('resuming', () => {
  test('needs a snapshot, and goes on from its last frame', () => {
    assert.equal(replica.since(replica.NOTHING), undefined);
    const { replica: now } = fold([snapshot(5, []), presence(6, 1, join('a'))]);
    assert.equal(JSON.stringify(replica.since(replica.interrupted(now).replica)), '{"epoch":"e1","seq":6}');
  });

  test('is not possible after a gap or a count', () => {
    const gap = replica.apply(fold([snapshot(5, [])]).replica, presence(7, 1, join('a')));
    assert.equal(gap.gap, true);
    assert.equal(replica.since(gap.replica), undefined);
    const counted = fold([snapshot(5, []), { type: 'count', channel: 'room', seq: 9, count: 3 }]);
    assert.equal(replica.since(counted.replica), undefined);
  });

  test('frames wait for the answer', () => {
    const lost = replica.interrupted(fold([snapshot(5, [])]).replica).replica;
    assert.deepEqual(names(fold([presence(6, 1, join('a'))], lost).replica), []);
    assert.deepEqual(names(fold([presence(6, 1, join('a'))], replica.resumed(lost).replica).replica), ['a']);
  });
});
