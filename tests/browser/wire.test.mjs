/** The wire against a WebSocket that exists only here, in time that passes only when told to. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { ANSWER_MS, LONGEST_WAIT_MS, STEADY_MS } from '../../web-demo/wire-link.js';
import { Wire, readTyped, reconnectDelay } from '../../web-demo/wire.js';

class FakeSocket {
  /** @type {FakeSocket[]} */
  static all = [];
  static get last() {
    return /** @type {FakeSocket} */ (FakeSocket.all.at(-1));
  }

  /** @type {any[]} */
  sent = [];
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number, reason: string}) => void) | null} */
  onclose = null;
  /** @type {number | null | undefined} null while nobody has closed it */
  closedWith = null;

  /** @param {string} url */
  constructor(url) {
    this.url = url;
    FakeSocket.all.push(this);
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(text.startsWith('{') ? JSON.parse(text) : text);
  }

  /** @param {number} [code] */
  close(code) {
    this.closedWith = code;
  }

  /** @param {object} frame */
  says(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  welcomes(user = 'ada') {
    this.says({ type: 'welcome', user, heartbeat: { intervalMs: 30_000, timeoutMs: 60_000 }, now: 5000 });
  }

  /** @param {number} code */
  ends(code, reason = '') {
    this.onclose?.({ code, reason });
  }

  /** The frames of one type that were sent. @param {string} type */
  sentOf(type) {
    return this.sent.filter((frame) => frame.type === type);
  }

  /** Confirms the last frame that was sent. */
  confirms(extra = {}) {
    this.says({ type: 'ok', id: this.sent.at(-1).id, ...extra });
  }
}

/** @type {any[]} */
let problems;
/** @type {string[]} */
let phases;
/** @type {any[]} */
let outcomes;
/** @type {boolean[]} */
let watchings;
/** @type {Wire} */
let wire;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1000 });
  FakeSocket.all = [];
  globalThis.WebSocket = /** @type {any} */ (FakeSocket);
  [problems, phases, outcomes, watchings] = [[], [], [], []];
  wire = new Wire({
    connection: (state) => phases.push(state.phase),
    membership: () => {},
    room: (outcome) => outcomes.push(outcome),
    watching: (watching) => watchings.push(watching),
    problem: (problem) => problems.push(problem),
    raw: () => {},
  });
});

afterEach(() => mock.timers.reset());

/** A wire that is connected and watches `room`. */
function watching() {
  wire.watch('room');
  wire.connect('ws://broker/ws?user=ada');
  FakeSocket.last.welcomes();
  return FakeSocket.last;
}

/** @param {number} seq @param {object[]} members */
const snapshot = (seq, members = []) => ({
  type: 'snapshot', channel: 'room', epoch: 'e1', seq, count: members.length, members, reason: 'subscribed',
});

/** Time enough for any wait. */
const passAWait = () => mock.timers.tick(LONGEST_WAIT_MS);

describe('reconnectDelay', () => {
  const loss = { code: 1006, failures: 0, goawayMs: null, random: 1 };

  test('doubles, up to a bound, with jitter downwards to a half', () => {
    assert.equal(reconnectDelay(loss), 500);
    assert.equal(reconnectDelay({ ...loss, failures: 3 }), 4000);
    assert.equal(reconnectDelay({ ...loss, failures: 3, random: 0 }), 2000);
    assert.equal(reconnectDelay({ ...loss, failures: 9999 }), LONGEST_WAIT_MS);
  });

  test('is what goaway says', () => {
    assert.equal(reconnectDelay({ ...loss, code: 1012, goawayMs: 1234 }), 1234);
    assert.equal(reconnectDelay({ ...loss, code: 1012, goawayMs: 0 }), 0);
  });

  test('is never for 4000 to 4099, whatever goaway said', () => {
    for (const code of [4000, 4001, 4003, 4008, 4099]) {
      assert.equal(reconnectDelay({ ...loss, code, goawayMs: 5 }), null);
    }
    for (const code of [1000, 1001, 1006, 1009, 1011, 1012, 3999, 4100, 4101, 4102]) {
      assert.notEqual(reconnectDelay({ ...loss, code }), null);
    }
  });
});

describe('a connection', () => {
  test('comes back after a loss and resumes where it was', () => {
    const first = watching();
    assert.equal(first.sentOf('subscribe')[0].since, undefined);
    first.says(snapshot(7));
    first.ends(1006);
    passAWait();
    assert.equal(FakeSocket.all.length, 2);
    FakeSocket.last.welcomes();
    assert.deepEqual(FakeSocket.last.sentOf('subscribe')[0].since, { epoch: 'e1', seq: 7 });
    assert.deepEqual(phases, ['connecting', 'open', 'waiting', 'connecting', 'open']);
  });

  test('stays away when told to, until a person asks', () => {
    watching().ends(4003);
    mock.timers.tick(3_600_000);
    assert.equal(FakeSocket.all.length, 1);
    assert.equal(phases.at(-1), 'ended');
    wire.retryNow();
    assert.equal(FakeSocket.all.length, 2);
  });

  test('waits as long as goaway says, not longer, not shorter', () => {
    const socket = watching();
    socket.says({ type: 'goaway', reconnectInMs: 700, reason: 'restart' });
    socket.ends(1012);
    mock.timers.tick(699);
    assert.equal(FakeSocket.all.length, 1);
    mock.timers.tick(1);
    assert.equal(FakeSocket.all.length, 2);
  });

  test('that fails again and again is tried less and less often', () => {
    watching();
    let waited = 0;
    for (let failures = 0; failures < 6; failures += 1) {
      FakeSocket.last.ends(1006);
      const before = FakeSocket.all.length;
      for (waited = 0; FakeSocket.all.length === before; waited += 100) mock.timers.tick(100);
      assert.ok(waited >= 250 * 2 ** failures, `attempt ${failures} came after ${waited} ms`);
    }
  });

  test('that held for a while is forgiven its past', () => {
    watching();
    for (let failures = 0; failures < 5; failures += 1) {
      FakeSocket.last.ends(1006);
      passAWait();
    }
    FakeSocket.last.welcomes();
    mock.timers.tick(STEADY_MS);
    FakeSocket.last.ends(1006);
    const before = FakeSocket.all.length;
    mock.timers.tick(500);
    assert.equal(FakeSocket.all.length, before + 1);
  });

  test('that never answers is given up', () => {
    wire.connect('ws://broker/ws');
    mock.timers.tick(ANSWER_MS);
    assert.equal(phases.at(-1), 'waiting');
    passAWait();
    assert.equal(FakeSocket.all.length, 2);
  });

  test('in place of another says goodbye to that one, and hears no more of it', () => {
    const first = watching();
    wire.connect('ws://broker/ws?user=bob');
    assert.equal(first.closedWith, 1000);
    first.welcomes('ada');
    FakeSocket.last.welcomes('bob');
    assert.equal(wire.user, 'bob');
  });
});

describe('heartbeats', () => {
  test('go out at the cadence of the welcome', () => {
    const socket = watching();
    for (let beats = 1; beats <= 3; beats += 1) {
      mock.timers.tick(30_000);
      assert.equal(socket.sentOf('heartbeat').length, beats);
      socket.says({ type: 'ok', id: 'hb' });
    }
  });

  test('go out at once when they are due', () => {
    const socket = watching();
    socket.says({ type: 'heartbeatDue', inMs: 20_000 });
    assert.equal(socket.sentOf('heartbeat').length, 1);
  });

  test('without an answer show that the connection is dead', () => {
    const socket = watching();
    mock.timers.tick(30_000);
    mock.timers.tick(ANSWER_MS);
    assert.equal(phases.at(-1), 'waiting');
    assert.notEqual(socket.closedWith, null);
  });

  test('are answered by anything that is heard', () => {
    const socket = watching();
    mock.timers.tick(30_000);
    socket.says({ type: 'presence', channel: 'elsewhere', seq: 1, count: 0, events: [] });
    mock.timers.tick(ANSWER_MS);
    assert.equal(phases.at(-1), 'open');
  });

  test('end with their connection', () => {
    const socket = watching();
    socket.ends(1006);
    const before = socket.sent.length;
    mock.timers.tick(120_000);
    assert.equal(socket.sent.length, before);
  });
});

describe('membership', () => {
  test('is confirmed by the broker, and asked for again on the next connection, before subscribing', () => {
    const socket = watching();
    wire.join({ mood: 'calm' });
    assert.equal(wire.membership, 'joining');
    socket.confirms({ channel: 'room' });
    assert.equal(wire.membership, 'in');
    socket.ends(1006);
    assert.equal(wire.membership, 'joining');
    passAWait();
    FakeSocket.last.welcomes();
    assert.deepEqual(FakeSocket.last.sent.map(({ type }) => type), ['join', 'subscribe']);
    assert.deepEqual(FakeSocket.last.sent[0].attributes, { mood: 'calm' });
  });

  test('can be asked for before there is a connection', () => {
    wire.watch('room');
    wire.connect('ws://broker/ws');
    wire.join({});
    FakeSocket.last.welcomes();
    assert.equal(FakeSocket.last.sentOf('join').length, 1);
  });

  test('brings back the attributes as they were last, by whatever way they were set', () => {
    const socket = watching();
    socket.says(snapshot(1));
    wire.join({ mood: 'calm', n: 1 });
    socket.confirms();
    wire.setAttributes({ mood: null });
    assert.deepEqual(socket.sent.at(-1), { ...socket.sent.at(-1), attributes: { mood: null }, merge: true });
    socket.ends(1006);
    passAWait();
    FakeSocket.last.welcomes();
    assert.deepEqual(FakeSocket.last.sent[0].attributes, { n: 1 });
    FakeSocket.last.says({ type: 'ok', id: FakeSocket.last.sent[0].id });
    FakeSocket.last.says({
      type: 'presence', channel: 'room', seq: 2, count: 1,
      events: [{ event: 'join', user: 'ada', attributes: { typed: true }, at: 1 }],
    });
    FakeSocket.last.ends(1006);
    passAWait();
    FakeSocket.last.welcomes();
    assert.deepEqual(FakeSocket.last.sent[0].attributes, { typed: true });
  });

  test('ends with leave, and does not come back', () => {
    const socket = watching();
    wire.join({});
    socket.confirms();
    wire.leave();
    assert.equal(wire.membership, 'out');
    assert.equal(socket.sent.at(-1).type, 'leave');
    socket.ends(1006);
    passAWait();
    FakeSocket.last.welcomes();
    assert.equal(FakeSocket.last.sentOf('join').length, 0);
  });

  test('that the broker removed for silence is asked for again', () => {
    const socket = watching();
    wire.join({ mood: 'tired' });
    socket.confirms();
    socket.says({ type: 'removed', channels: ['other'], reason: 'heartbeat' });
    assert.equal(socket.sentOf('join').length, 1);
    socket.says({ type: 'removed', channels: ['other', 'room'], reason: 'heartbeat' });
    assert.equal(socket.sentOf('join').length, 2);
    assert.equal(wire.membership, 'joining');
  });

  test('that is refused is not asked for again', () => {
    const socket = watching();
    wire.join({});
    socket.says({ type: 'error', id: socket.sent.at(-1).id, code: 'channel_full', message: 'channel is full' });
    assert.equal(wire.membership, 'out');
    assert.equal(problems[0].about, 'join');
    socket.ends(1006);
    passAWait();
    FakeSocket.last.welcomes();
    assert.equal(FakeSocket.last.sentOf('join').length, 0);
  });

  test('is over when the broker says not to come back', () => {
    const socket = watching();
    wire.join({});
    socket.confirms();
    socket.ends(4003);
    assert.equal(wire.membership, 'out');
  });

  test('does not follow to another channel', () => {
    const socket = watching();
    wire.join({});
    socket.confirms();
    wire.watch('other');
    assert.deepEqual(socket.sent.slice(-3).map(({ type, channel }) => `${type} ${channel}`), ['leave room', 'unsubscribe room', 'subscribe other']);
    assert.equal(wire.membership, 'out');
  });
});

describe('a channel that is only counted', () => {
  test('is watched, and asked for from the start after a loss', () => {
    const socket = watching();
    socket.says(snapshot(7));
    watchings = [];
    socket.says({ type: 'level', channel: 'room', level: 'count', reason: 'size' });
    socket.says({ type: 'count', channel: 'room', seq: 9, count: 1200, recent: [{ user: 'd' }] });
    assert.deepEqual(watchings, [true]);
    assert.equal(outcomes.at(-1).kind, 'count');
    assert.equal(wire.room?.count, 1200);
    socket.ends(1006);
    passAWait();
    FakeSocket.last.welcomes();
    assert.equal(FakeSocket.last.sentOf('subscribe')[0].since, undefined);
    assert.equal(wire.room?.count, 1200, 'what is known is shown until there is better');
  });
});

describe('a gap', () => {
  test('is healed by one new subscription, from a snapshot', () => {
    const socket = watching();
    socket.says(snapshot(7));
    for (const seq of [9, 10, 11]) socket.says({ type: 'presence', channel: 'room', seq, count: 0, events: [] });
    assert.equal(socket.sentOf('subscribe').length, 2);
    assert.equal(socket.sent.at(-1).since, undefined);
    assert.equal(outcomes.length, 1);
    socket.says(snapshot(11));
    assert.equal(outcomes.length, 2);
  });
});

describe('typed frames', () => {
  test('go out as they are, if there is a connection', () => {
    assert.equal(wire.sendTyped('help'), false);
    const socket = watching();
    assert.equal(wire.sendTyped('help'), true);
    assert.equal(socket.sent.at(-1), 'help');
  });

  test('move the page in and out', () => {
    const socket = watching();
    socket.says(snapshot(1));
    wire.sendTyped('join room mood=odd');
    assert.equal(wire.membership, 'out');
    socket.says({
      type: 'presence', channel: 'room', seq: 2, count: 1,
      events: [{ event: 'join', user: 'ada', attributes: { mood: 'odd' }, at: 1 }],
    });
    assert.equal(wire.membership, 'in');
    wire.sendTyped('leave room');
    assert.equal(wire.membership, 'out');
  });

  test('of other channels, or refused, do not', () => {
    const socket = watching();
    socket.says(snapshot(1));
    wire.sendTyped('join elsewhere');
    wire.sendTyped('join room oops');
    socket.says({ type: 'error', code: 'invalid_field', message: 'attributes are typed as key=value' });
    assert.equal(problems[0].about, 'typed');
    socket.says({
      type: 'presence', channel: 'room', seq: 2, count: 1,
      events: [{ event: 'join', user: 'ada', attributes: {}, at: 1 }],
    });
    assert.equal(wire.membership, 'out', 'that was another tab of ours');
  });

  test('can stop the watching, and begin it again', () => {
    const socket = watching();
    socket.says(snapshot(1));
    wire.sendTyped('unsub room');
    wire.watchAgain();
    socket.confirms({ resumed: true });
    assert.deepEqual(watchings.slice(-2), [false, true]);
  });

  test('are read as the broker reads them', () => {
    assert.deepEqual(readTyped('join room mood=happy'), { type: 'join', channel: 'room' });
    assert.deepEqual(readTyped('  leave   "my room" '), { type: 'leave', channel: 'my room' });
    assert.deepEqual(readTyped('help'), { type: undefined, channel: undefined });
    assert.equal(readTyped('{"type":"leave","channel":"room"}').channel, 'room');
    assert.deepEqual(readTyped('null'), {});
  });
});
