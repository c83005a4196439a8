/** The broker in memory tells what a real one tells, and does what tests ask of it. */

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { fakeBroker } from '../src/testing.js';
import { startBroker, tellings, until } from './broker.js';
import { SECRET, token } from './facade-helpers.js';

let real;
const open = new Set();
before(async () => {
  real = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET }, flags: ['--roster-limit', '3'] });
});
after(() => real.stop());
afterEach(() => {
  for (const each of open) each.close();
  open.clear();
});

/** By name: who connects, to the real broker and to the fake. */
const BROKERS = {
  real: () => (claims, options) => connect(real.url, { token: () => token(claims), WebSocket, firstRetryMs: 20, maxRetryMs: 50, ...options }),
  fake: () => {
    const broker = fakeBroker({ limits: { roster: 3 } });
    return (claims, options) => broker.connect({ token: () => token(claims), ...options });
  },
};

let scripts = 0;
/** Runs a script against both, and expects the same of both. */
function alike(name, script) {
  test(`the same as a broker tells: ${name}`, async () => {
    const channel = `room-${++scripts}`;
    const told = {};
    for (const [kind, begin] of Object.entries(BROKERS)) {
      const join = begin();
      const people = (claims, options) => {
        const here = join({ sub: claims, ...(typeof claims === 'object' && claims) }, options);
        open.add(here);
        return here;
      };
      const lines = [];
      await script({ people, channel, note: (...all) => lines.push(all.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join(' ')) });
      told[kind] = lines;
    }
    assert(told.real.length > 0);
    // Between two who watch there is no order.
    const byTeller = (lines) => lines.toSorted((a, b) => (a.split(' ')[0] < b.split(' ')[0] ? -1 : Number(a.split(' ')[0] > b.split(' ')[0])));
    assert.deepEqual(byTeller(told.fake), byTeller(told.real));
  });
}

/** Watches as somebody of whom the script is told everything. */
async function watcher({ people, channel, note }, claims = { sub: 'eve' }, options = {}) {
  const eve = people(claims);
  const room = eve.channel(channel);
  for (const event of ['join', 'leave', 'timeout', 'updateAttributes']) {
    room.on(event, ({ user, attributes, reason, info }) => note(claims.sub, event, user, attributes, reason ?? '-', info ?? '-'));
  }
  await room.subscribe(options);
  return room;
}
const has = (room, isSo) => until(String(isSo), () => isSo(room));

alike('coming, changing, expiring, going', async (scene) => {
  const room = await watcher(scene);
  const bob = scene.people({ sub: 'bob', info: { name: 'Bob' } });
  const ours = bob.channel(scene.channel);
  await ours.join({ mood: 'happy', at: 1 });
  await has(room, ({ count }) => count === 1);
  await ours.setAttributes({ at: null, mood: 'sad' });
  await has(room, (room) => room.get('bob').attributes.mood === 'sad');
  await ours.setAttributes({ typing: true }, { ttl: 200 });
  await has(room, (room) => room.get('bob').attributes.typing);
  await has(room, (room) => !room.get('bob').attributes.typing);
  await ours.setAttributes({ only: 1 }, { replace: true });
  await has(room, (room) => room.get('bob').attributes.only);
  scene.note(await room.getAttributes('bob'), await room.getCount(), (await room.getMembers()).members.map(({ user, info }) => [user, info]));
  scene.note(await bob.getChannels());
  await ours.leave();
  await has(room, ({ count }) => count === 0);
  scene.note(room.members, room.live, room.level, ours.joined);
});

alike('a page that closes, a second tab, a loss within the grace and beyond it', async (scene) => {
  const room = await watcher(scene);
  const [one, two] = [scene.people({ sub: 'bob' }), scene.people({ sub: 'bob' })];
  await one.channel(scene.channel).join({ from: 'one' });
  await has(room, ({ count }) => count === 1);
  await two.channel(scene.channel).join();
  one.close();
  await two.channel(scene.channel).setAttributes({ two: 2 });
  await has(room, (room) => room.get('bob').attributes.two);
  two.close();
  await has(room, ({ count }) => count === 0);
});

alike('what is refused', async (scene) => {
  const bob = scene.people({ sub: 'bob' });
  const room = bob.channel(scene.channel);
  const code = (promise) => promise.then(() => 'done', ({ code, field }) => `${code} ${field ?? ''}`);
  scene.note(await code(room.setAttributes({ a: 1 })));
  scene.note(await code(bob.request({ type: 'setAttributes', channel: scene.channel, attributes: {} })));
  scene.note(await code(room.getAttributes('nobody')));
  scene.note(await code(room.join({ long: 'x'.repeat(5_000) })), room.joined, room.error?.code);
  scene.note(await code(bob.channel('x'.repeat(300)).subscribe()));
  scene.note(await code(room.subscribe({ level: 'count', recent: 201 })), await code(room.subscribe({ recent: -1 })));
  scene.note(await code(bob.request({ type: 'dance' })), await code(bob.request({ type: 'join' })));
  scene.note(await code(room.join({ short: 'x' })), room.joined, room.error);
});

alike('who may be seen by some alone', async (scene) => {
  const everyone = await watcher(scene);
  const blue = await watcher(scene, { sub: 'fay', roles: ['team:blue'] });
  const bob = scene.people({ sub: 'bob', roles: ['team:blue'] }).channel(scene.channel);
  await bob.join({ a: 1 }, { visibleTo: ['team:blue'] });
  await has(blue, (room) => room.get('bob'));
  scene.note(everyone.members.length, blue.members.length, everyone.count, blue.count);
  await bob.join(undefined, { visibleTo: ['any'] });
  await has(everyone, ({ count }) => count === 1);
  await bob.leave();
  await has(everyone, ({ count }) => count === 0);
});

alike('a channel that outgrows the roster, and shrinks again', async (scene) => {
  const room = await watcher(scene);
  const count = scene.people({ sub: 'fay' }).channel(scene.channel);
  await count.subscribe({ level: 'count' });
  const crowd = [];
  for (const user of ['a', 'b', 'c', 'd']) {
    crowd.push(scene.people({ sub: user }).channel(scene.channel));
    await crowd.at(-1).join();
    await has(room, (room) => room.count === crowd.length);
  }
  await has(room, ({ level }) => level === 'count');
  scene.note(room.members.map(({ user }) => user));
  await crowd[0].leave();
  await crowd[1].leave();
  await has(room, ({ level }) => level === 'events');
  scene.note(room.members.map(({ user }) => user));
  await has(count, (room) => room.count === 2);
  scene.note(count.members.length, count.level);
});

alike('a badge with the newest faces', async (scene) => {
  const badge = scene.people({ sub: 'fay' }).channel(scene.channel);
  const faces = () => scene.note(badge.level, badge.count, badge.members.map(({ user, attributes, info }) => [user, attributes, info]));
  await badge.subscribe({ level: 'count', recent: 2, recentAttributes: true });
  faces();
  const crowd = ['a', 'b', 'c'].map((user) => scene.people({ sub: user, info: { name: `Name of ${user}` } }).channel(scene.channel));
  for (const each of crowd) await each.join();
  await has(badge, ({ count }) => count === 3);
  faces();
  // An avatar that is chosen later.
  await crowd[2].setAttributes({ face: 'c.png' });
  await has(badge, (room) => room.get('c').attributes.face);
  faces();
  await crowd[2].leave();
  await has(badge, ({ count }) => count === 2);
  faces();
  await badge.subscribe({ level: 'count', recent: 1 });
  await has(badge, ({ members }) => members.length === 1);
  faces();
  await badge.subscribe({ level: 'count' });
  await has(badge, ({ members }) => members.length === 0);
  faces();
});

alike('statuses', async (scene) => {
  const eve = scene.people({ sub: 'eve' });
  const name = `bob-${scene.channel}`;
  const seen = [];
  eve.user(name).watch(({ online, busy, text, waitTime, invisible }) => seen.push([online, busy, text, waitTime, invisible]));
  await until('known', () => seen.length === 1);
  const bob = scene.people({ sub: name }, { lazy: false });
  await until('online', () => seen.at(-1)[0]);
  await bob.status({ busy: true, text: 'lunch', waitTime: 5 });
  await until('busy', () => seen.at(-1)[1]);
  await bob.status({ busy: false, text: null, waitTime: null });
  await until('free', () => !seen.at(-1)[1]);
  bob.close();
  await until('offline', () => !seen.at(-1)[0]);
  scene.note(seen);
});

alike('being away: of all pages of a user, in a channel, in the list and in the status', async (scene) => {
  const room = await watcher(scene);
  room.on('updateAttributes', ({ user, away, attributes }) => scene.note(user, 'is away', String(away), attributes));
  const name = `bob-${scene.channel}`;
  const seen = [];
  const status = scene.people({ sub: 'fay' }).user(name);
  status.watch(({ online, away }) => seen.push([online, String(away)]));
  const [one, two] = [scene.people({ sub: name }), scene.people({ sub: name })];
  await one.channel(scene.channel).join({ n: 1 });
  await two.channel(scene.channel).join();
  const isAway = (wanted) => has(room, (each) => Boolean(each.get(name)?.away) === wanted);
  await one.channel(scene.channel).away();
  scene.note('one of two', Boolean(room.get(name).away));
  await two.channel(scene.channel).away();
  await isAway(true);
  await two.channel(scene.channel).setAttributes({ n: 2 });
  await has(room, (each) => each.get(name).attributes.n === 2);
  scene.note('it writes', Boolean(room.get(name).away));
  scene.note((await room.getMembers()).members.map(({ away }) => String(away)));
  await one.channel(scene.channel).away(false);
  await isAway(false);
  await one.away();
  await isAway(true);
  await until('the status tells', () => seen.at(-1)?.[1] === 'true');
  await two.away();
  await two.channel(`${scene.channel}-later`).join();
  const later = await watcher({ ...scene, channel: `${scene.channel}-later` }, { sub: 'gus' });
  scene.note('a later join', Boolean(later.get(name)?.away));
  one.close();
  scene.note('a second that is left', await has(room, (each) => each.get(name)?.away), seen.at(-1));
  await two.channel(scene.channel).away(false);
  await two.away(false);
  await isAway(false);
  await until('the status tells', () => seen.at(-1)[1] === 'undefined');
  two.close();
  await has(room, ({ count }) => count === 0);
});

alike('merging: what a join and a write keep of what is there', async (scene) => {
  const room = await watcher(scene);
  const bob = scene.people({ sub: 'bob' });
  const say = (type, more) => bob.request({ type, channel: scene.channel, ...more }, () => undefined);
  const shows = async (wanted) => {
    await has(room, (each) => JSON.stringify(each.get('bob')?.attributes) === wanted);
    scene.note(await room.getAttributes('bob'));
  };
  await say('join', { attributes: { a: 1, b: { c: 1 } }, merge: true });
  await shows('{"a":1,"b":{"c":1}}');
  await say('join', { attributes: { a: null, b: { d: 2 } }, merge: true });
  await shows('{"b":{"d":2}}');
  await say('join', { merge: true });
  await say('join', {});
  await shows('{"b":{"d":2}}');
  await say('join', { attributes: { e: 3, f: null } });
  await shows('{"e":3}');
  await say('setAttributes', { attributes: { g: 4, e: null }, merge: true });
  await shows('{"g":4}');
  await say('setAttributes', { attributes: { h: 5 }, merge: true, ttlMs: 200 });
  await shows('{"g":4,"h":5}');
  await say('join', { attributes: { g: 6 }, merge: true });
  await shows('{"g":6,"h":5}');
  await shows('{"g":6}');
  await say('setAttributes', { attributes: { i: null, j: 7 } });
  await shows('{"j":7}');
});

test('what happens in one turn is told as its net effect', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada' });
  const room = here.channel('room');
  const lines = tellings(room);
  await room.subscribe();
  broker.join('room', 'bob', { mood: 'happy' });
  broker.setAttributes('room', 'bob', { mood: 'sad' });
  broker.join('room', 'cy');
  broker.leave('room', 'cy');
  await until('bob', () => room.count === 1);
  assert.deepEqual(lines, ['join bob {"mood":"sad"}']);
  here.close();
});

test('others come and go, and are lost, by a line each', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada' });
  const room = here.channel('room');
  const lines = tellings(room);
  await room.subscribe();
  for (const act of [
    () => broker.join('room', 'bob', { a: 1 }, { info: { name: 'Bob' } }),
    () => broker.setAttributes('room', 'bob', { b: 2 }),
    () => broker.timeout('room', 'bob'),
    () => broker.join('room', 'bob'),
    () => broker.leave('room', 'bob'),
  ]) {
    const before = lines.length;
    act();
    await until('told', () => lines.length > before);
  }
  assert.deepEqual(lines, ['join bob {"a":1}', 'updateAttributes bob {"a":1,"b":2}', 'timeout bob {"a":1,"b":2} heartbeat', 'join bob {}', 'leave bob {} left']);
  assert.throws(() => broker.leave('room', 'zoe'), /zoe is no member of room/);
  here.close();
});

test('we are lost, and come back', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada' });
  const room = here.channel('room');
  const lines = tellings(room);
  await room.subscribe();
  await room.join({ mood: 'happy' });
  broker.timeout('room', 'ada');
  await until('back', () => lines.length === 3);
  assert.deepEqual(lines.map((line) => line.split(' ')[0]), ['join', 'timeout', 'join']);
  here.close();
});

test('errors come when they are asked for, until they are not', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada' });
  const room = here.channel('room');
  const end = broker.refuse('join', { code: 'forbidden', message: 'no' });
  await assert.rejects(room.join(), { code: 'forbidden', message: 'no' });
  end();
  await room.join();
  broker.refuse(({ type, attributes }) => type === 'setAttributes' && attributes.rude, { code: 'too_large' });
  await room.setAttributes({ rude: false });
  await assert.rejects(room.setAttributes({ rude: true }), { code: 'too_large' });
  assert.deepEqual(broker.members('room'), [{ user: 'ada', attributes: { rude: false } }]);
  here.close();
});

test('a network that fails, a broker that is gone, a user that is signed out', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada' });
  const room = here.channel('room');
  await room.subscribe();
  await room.join({ mood: 'happy' });
  const lines = tellings(room);
  const lost = new Promise((resolve) => here.on('state', ({ phase }) => phase === 'waiting' && resolve()));
  broker.cut();
  await lost;
  broker.join('room', 'bob');
  await until('back', () => room.live && room.joined === 'in');
  assert.deepEqual(lines, ['join bob {}'], 'within the grace nobody notices');
  broker.stop();
  await until('waits', () => here.state.phase === 'waiting');
  assert.equal(here.error.code, 'unreachable');
  broker.start();
  await until('open', () => here.state.phase === 'open' && room.joined === 'in');
  broker.kick('ada');
  await until('closed', () => here.state.phase === 'closed');
  assert.equal(here.state.error.code, 'kicked');
  assert.deepEqual(broker.members('room').map(({ user }) => user), ['bob']);
  assert.equal(here.error.code, 'kicked');
});

test('what the app sent can be looked at', async () => {
  const broker = fakeBroker();
  const here = broker.connect({ user: 'ada & bob + cy' });
  await here.channel('room').join({ mood: 'happy' });
  assert.equal(here.me, 'ada & bob + cy');
  const [{ user, frame }] = broker.received;
  assert.deepEqual([user, frame.type, frame.channel, frame.attributes], [here.me, 'join', 'room', { mood: 'happy' }]);
  broker.status('bob', { online: true, busy: true });
  const seen = await new Promise((resolve) => here.user('bob').watch(resolve));
  assert.deepEqual([seen.online, seen.busy], [true, true]);
  here.close();
});
