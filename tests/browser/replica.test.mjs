/** The replica against the protocol's golden sequences, and what the sequences leave open. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Replica } from '../../web-demo/wire.js';

const VECTORS = new URL('../../protocol/vectors/replica.json', import.meta.url);
/** @type {Array<{name: string, frames: any[], expect: {seq: number, count: number, members: Record<string, object>}}>} */
const vectors = existsSync(VECTORS) ? JSON.parse(readFileSync(VECTORS, 'utf8')) : [];

/** @param {Replica} replica */
function stateOf({ seq, count, members }) {
  const attributes = [...members.values()].map((member) => [member.user, member.attributes]);
  return { seq, count, members: Object.fromEntries(attributes) };
}

describe('golden sequences', { skip: vectors.length === 0 && 'protocol/vectors/replica.json is not there' }, () => {
  for (const { name, frames, expect } of vectors) {
    test(name, () => {
      const { channel } = frames.find((frame) => frame.channel);
      const replica = new Replica(channel);
      for (const frame of frames) replica.apply(frame);
      assert.deepEqual(stateOf(replica), expect);
    });
  }
});

const AT = 1_795_348_641_000;

/** @param {string} user */
const member = (user, attributes = {}) => ({ user, attributes, joinedAt: AT });

/** @param {number} seq @param {ReturnType<typeof member>[]} members */
const snapshot = (seq, members, more = {}) => ({
  type: 'snapshot', channel: 'room', epoch: 'e1', seq, count: members.length, members, reason: 'subscribed', ...more,
});

/** @param {number} seq @param {number} count @param {...object} events */
const presence = (seq, count, ...events) => ({ type: 'presence', channel: 'room', seq, count, events });

/** @param {string} user */
const join = (user, attributes = {}) => ({ event: 'join', user, attributes, at: AT + 1 });

/** @param {...any} frames */
function replicaAfter(...frames) {
  const replica = new Replica('room');
  for (const frame of frames) replica.apply(frame);
  return replica;
}

/** @param {Replica} replica */
const names = (replica) => replica.newestFirst().map(({ user }) => user);

describe('order', () => {
  test('is newest first, across parts and joins', () => {
    const replica = replicaAfter(
      snapshot(3, [member('d'), member('c')], { count: 4, more: true }),
      snapshot(3, [member('b'), member('a')], { count: 4 }),
      presence(4, 6, join('e'), join('f')),
    );
    assert.deepEqual(names(replica), ['f', 'e', 'd', 'c', 'b', 'a']);
    assert.deepEqual(replica.newestFirst(2).map(({ user }) => user), ['f', 'e']);
  });

  test('puts whoever comes back first, and leaves whoever changed', () => {
    const replica = replicaAfter(
      snapshot(1, [member('c'), member('b'), member('a')]),
      presence(2, 2, { event: 'leave', user: 'a', reason: 'left', at: AT }),
      presence(3, 3, join('a')),
      presence(4, 3, { event: 'updateAttributes', user: 'b', attributes: { n: 1 }, at: AT }),
    );
    assert.deepEqual(names(replica), ['a', 'c', 'b']);
  });
});

describe('resuming', () => {
  test('needs a snapshot first', () => {
    const replica = new Replica('room');
    assert.equal(replica.known, false);
    assert.equal(replica.since, null);
    replica.apply(snapshot(7, [], { more: true }));
    assert.equal(replica.since, null);
  });

  test('goes on from the last frame', () => {
    assert.deepEqual(replicaAfter(snapshot(7, []), presence(8, 1, join('a'))).since, { epoch: 'e1', seq: 8 });
  });

  test('is no use after a gap, which is told once', () => {
    const replica = replicaAfter(snapshot(7, []));
    assert.equal(replica.apply(presence(9, 1, join('a'))).kind, 'gap');
    assert.equal(replica.apply(presence(10, 2, join('b'))).kind, 'ignored');
    assert.equal(replica.since, null);
    assert.equal(replica.apply(snapshot(10, [member('b'), member('a')])).kind, 'snapshot');
    assert.deepEqual(replica.since, { epoch: 'e1', seq: 10 });
  });

  test('a seq that goes back is a gap as well', () => {
    assert.equal(replicaAfter(snapshot(7, [])).apply(presence(6, 1, join('a'))).kind, 'gap');
  });

  test('a frame that repeats the seq is applied: it tells of members that not all may see', () => {
    const replica = replicaAfter(snapshot(7, [member('a')]));
    const outcome = replica.apply(presence(7, 1, join('hidden')));
    assert.equal(outcome.kind, 'presence');
    assert.deepEqual(names(replica), ['hidden', 'a']);
    assert.deepEqual(replica.since, { epoch: 'e1', seq: 7 });
  });

  test('forgets parts of a snapshot that the lost connection had begun', () => {
    const replica = replicaAfter(snapshot(7, [member('a')]), snapshot(9, [member('old')], { more: true }));
    replica.interrupted();
    replica.apply(snapshot(9, [member('b')]));
    assert.deepEqual(names(replica), ['b']);
  });
});

describe('a channel that is only counted', () => {
  const count = (seq, count, ...recent) => ({ type: 'count', channel: 'room', seq, count, recent: recent.map((user) => ({ user })) });
  const level = (level) => ({ type: 'level', channel: 'room', level, reason: 'size' });

  test('shows its number and the newest names, and nothing that is stale', () => {
    const replica = replicaAfter(snapshot(7, [member('b'), member('a', { mood: 'calm' })]), level('count'));
    const outcome = replica.apply(count(9, 1200, 'd', 'c'));
    assert.deepEqual(outcome, { kind: 'count', changes: [] });
    assert.equal(replica.count, 1200);
    assert.deepEqual(names(replica), ['d', 'c']);
    assert.deepEqual(replica.newestFirst(1), [{ user: 'd', attributes: {}, joinedAt: null }]);
    assert.equal(replica.members.size, 0);
    replica.apply(count(30, 1199, 'e', 'd'));
    assert.deepEqual(names(replica), ['e', 'd']);
  });

  test('can be known from the first frame on, without names too', () => {
    const replica = replicaAfter({ type: 'count', channel: 'room', seq: 3, count: 5 });
    assert.equal(replica.known, true);
    assert.deepEqual(names(replica), []);
  });

  test('has nothing to resume, and no frame to hold another against', () => {
    const replica = replicaAfter(snapshot(7, [member('a')]), count(9, 1200, 'd'));
    assert.equal(replica.since, null);
    assert.equal(replica.apply(presence(8, 2, join('x'))).kind, 'ignored');
    assert.equal(replica.apply(snapshot(5, [member('z')], { more: true })).kind, 'pending');
    replica.apply(count(10, 1201, 'd'));
    replica.apply(snapshot(5, [member('y')]));
    assert.deepEqual(names(replica), ['y'], 'the part before the count is void');
  });

  test('is listed again by a snapshot, of which nobody came just now', () => {
    const replica = replicaAfter(snapshot(7, [member('a')]), count(9, 1200, 'd'), level('events'));
    const outcome = replica.apply(snapshot(40, [member('c'), member('b')]));
    assert.deepEqual(outcome, { kind: 'snapshot', first: true, changes: [] });
    assert.deepEqual(names(replica), ['c', 'b']);
    assert.deepEqual(replica.since, { epoch: 'e1', seq: 40 });
  });

  test('of another name is none of our business', () => {
    const replica = replicaAfter(snapshot(7, [member('a')]));
    assert.equal(replica.apply({ ...count(9, 3, 'd'), channel: 'other' }).kind, 'ignored');
    assert.deepEqual(names(replica), ['a']);
  });
});

describe('what changed', () => {
  test('the first snapshot changes nothing: nobody came just now', () => {
    const outcome = new Replica('room').apply(snapshot(7, [member('a')]));
    assert.deepEqual(outcome, { kind: 'snapshot', first: true, changes: [] });
  });

  test('a later snapshot is compared with what was known', () => {
    const replica = replicaAfter(snapshot(7, [member('stays'), member('goes'), member('alters', { n: 1 })]));
    const outcome = replica.apply(snapshot(50, [member('comes'), member('stays'), member('alters', { n: 2 })]));
    assert.equal(outcome.kind, 'snapshot');
    const changes = 'changes' in outcome ? outcome.changes.map(({ event, user }) => `${event} ${user}`) : [];
    assert.deepEqual(changes, ['leave goes', 'updateAttributes alters', 'join comes']);
  });

  test('is told with before and after', () => {
    const replica = replicaAfter(snapshot(7, [member('a', { mood: 'calm' })]));
    const outcome = replica.apply(presence(8, 0, { event: 'timeout', user: 'a', reason: 'connection', lastSeen: AT, at: AT + 9 }));
    assert.deepEqual(outcome, {
      kind: 'presence',
      changes: [{
        event: 'timeout', user: 'a', before: member('a', { mood: 'calm' }), reason: 'connection', lastSeen: AT, at: AT + 9,
      }],
    });
  });

  test('events that this page does not know are passed over', () => {
    const replica = replicaAfter(snapshot(7, [member('a')]), presence(8, 1, { event: 'wave', user: 'a', at: AT }));
    assert.deepEqual(stateOf(replica), { seq: 8, count: 1, members: { a: {} } });
  });

  test('other channels are none of our business', () => {
    const replica = replicaAfter(snapshot(7, []));
    assert.equal(replica.apply({ ...presence(8, 1, join('a')), channel: 'other' }).kind, 'ignored');
    assert.equal(replica.seq, 7);
  });
});
