import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { fakeBroker } from '../src/testing.js';
import { sleep, startBroker } from './broker.js';
import { window } from './dom.js';
import { SECRET, token, until } from './facade-helpers.js';

const { createElement: h, StrictMode, useState } = await import('react');
const { createRoot } = await import('react-dom/client');
const { flushSync } = await import('react-dom');
const { renderToString } = await import('react-dom/server');
const hooks = await import('../src/react.js');
const { useChannel, useConnection, useCount, useEvent, useJoined, useLive, useMembers, useStatus } = hooks;

let broker;
let here;
/** Somebody else, who is told what others see of us. */
let host;
let hostRoom;
let heard;
/** What we sent: `type channel`, but for heartbeats. */
let sent;
let root;
let main;
let name;
let rooms = 0;

before(async () => {
  broker = await startBroker();
});
after(async () => {
  await broker.stop();
  window.close();
});

beforeEach(async () => {
  name = `room-${++rooms}`;
  here = connect(broker.url, { user: 'ada', WebSocket });
  host = connect(broker.url, { user: 'host', WebSocket });
  sent = [];
  here.on('frame', ({ direction, text }) => direction === 'out' && sent.push(JSON.parse(text)));
  heard = [];
  hostRoom = host.channel(name);
  for (const event of ['join', 'leave', 'timeout', 'updateAttributes']) {
    hostRoom.on(event, ({ user, attributes }) => heard.push(`${event} ${user} ${JSON.stringify(attributes)}`));
  }
  await Promise.all([hostRoom.subscribe(), until(() => here.state.phase === 'open')]);
  main = window.document.createElement('div');
  root = createRoot(main);
});
afterEach(async () => {
  root.unmount();
  await sleep(0);
  here.close();
  host.close();
});

const types = () => sent.map(({ type }) => type);
const render = (...children) => flushSync(() => root.render(h(StrictMode, null, ...children)));
/** Long enough for whatever should not come. */
const quiet = () => sleep(150);

let renders = 0;
/** StrictMode calls a component twice for each rendering. */
const rendered = (before) => (renders - before) / 2;

function Room({ options }) {
  renders += 1;
  const room = useChannel(here, name, options);
  const members = useMembers(room);
  const count = useCount(room);
  const text = `${useLive(room) ? 'live' : 'stale'} ${useJoined(room)} ${count}: ${members.map(({ user }) => user)}`;
  return h('p', null, text);
}

function Joined({ attributes = true }) {
  useChannel(here, name, { join: attributes });
  return null;
}

test('a component shows who is here, and renders again when that changes', async () => {
  await hostRoom.join();
  render(h(Room));
  assert.equal(main.textContent, 'stale out 0: ');
  await until(() => main.textContent === 'live out 1: host');
  await hostRoom.leave();
  await until(() => main.textContent === 'live out 0: ');
});

test('in StrictMode one component subscribes and joins once, and leaves once', async () => {
  render(h(Room, { options: { join: { mood: 'happy' } } }));
  await until(() => main.textContent === 'live in 1: ada');
  await quiet();
  assert.deepEqual(types(), ['join', 'subscribe']);
  assert.deepEqual(heard, ['join ada {"mood":"happy"}']);
  render();
  await until(() => heard.length === 2);
  await quiet();
  assert.deepEqual(types(), ['join', 'subscribe', 'leave', 'unsubscribe']);
  assert.deepEqual(heard.slice(1), ['leave ada {"mood":"happy"}']);
});

test('rendering again says nothing again, whatever object the options are', async () => {
  for (let at = 0; at < 3; at += 1) {
    render(h(Room, { options: { join: { mood: 'happy' } } }));
    await sleep(20);
  }
  await until(() => main.textContent === 'live in 1: ada');
  assert.deepEqual(types(), ['join', 'subscribe']);
});

test('two components of one channel do not end each other’s', async () => {
  render(h(Joined, { key: 1 }), h(Room, { key: 2, options: { join: true } }));
  await until(() => main.textContent === 'live in 1: ada');
  render(h(Joined, { key: 1 }));
  await quiet();
  assert.deepEqual(types(), ['join', 'subscribe']);
  assert.equal(here.channel(name).live, true);
  render();
  await until(() => heard.length === 2);
  assert.deepEqual(types(), ['join', 'subscribe', 'leave', 'unsubscribe']);
});

test('a component that is replaced by another of the same channel does not leave', async () => {
  render(h(Joined, { key: 'before' }));
  await until(() => heard.length === 1);
  render(h(Joined, { key: 'after' }));
  await quiet();
  assert.deepEqual(heard, ['join ada {}']);
  assert.deepEqual(types(), ['join', 'subscribe']);
});

test('who only watches leaves nobody, and who leaves goes on watching', async () => {
  render(h(Joined, { key: 1 }), h(Room, { key: 2 }));
  await until(() => main.textContent === 'live in 1: ada');
  render(h(Room, { key: 2 }));
  await until(() => main.textContent === 'live out 0: ');
  assert.deepEqual(types(), ['join', 'subscribe', 'leave']);
});

test('other attributes replace what the member carries, without leaving', async () => {
  render(h(Joined, { attributes: { mood: 'happy', at: 'home' } }));
  await until(() => heard.length === 1);
  render(h(Joined, { attributes: { mood: 'sad' } }));
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ['join ada {"at":"home","mood":"happy"}', 'updateAttributes ada {"mood":"sad"}']);
});

test('another name is another channel: the one is left, the other joined', async () => {
  const Named = ({ of }) => {
    useChannel(here, of, { join: true, level: null });
    return null;
  };
  render(h(Named, { of: name }));
  await until(() => heard.length === 1);
  render(h(Named, { of: `${name}-b` }));
  await until(() => here.channel(`${name}-b`).joined === 'in');
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ['join ada {}', 'leave ada {}']);
  assert(!types().includes('subscribe'), 'level null does not watch');
});

test('of several badges the one with most faces counts, and they share it', async () => {
  const Badge = (options) => {
    useChannel(here, name, options);
    return null;
  };
  const said = () => sent.filter(({ type }) => type === 'subscribe').map(({ level, recent, recentAttributes }) => [level, recent, recentAttributes]);
  render(h(Badge, { key: 1, level: 'count', recent: 5 }), h(Badge, { key: 2, level: 'count' }));
  await until(() => said().length === 1);
  render(h(Badge, { key: 1, level: 'count', recent: 5 }), h(Badge, { key: 2, level: 'count', recent: 20, recentAttributes: true }));
  await until(() => said().length === 2);
  render(h(Badge, { key: 1, level: 'count', recent: 5 }), h(Badge, { key: 2 }));
  await until(() => said().length === 3);
  render(h(Badge, { key: 2 }));
  await until(() => said().length === 4);
  assert.deepEqual(said(), [
    ['count', 5, undefined], ['count', 20, true], ['auto', 200, undefined], ['auto', undefined, undefined],
  ]);
});

test('of several levels the one that tells most counts', async () => {
  const Level = ({ level }) => {
    useChannel(here, name, { level });
    return null;
  };
  const levels = () => sent.filter(({ type }) => type === 'subscribe').map(({ level }) => level);
  render(h(Level, { key: 1, level: 'count' }));
  await until(() => here.channel(name).level === 'count');
  render(h(Level, { key: 1, level: 'count' }), h(Level, { key: 2, level: 'events' }));
  await until(() => here.channel(name).level === 'events');
  render(h(Level, { key: 1, level: 'count' }));
  await until(() => here.channel(name).level === 'count');
  assert.deepEqual(levels(), ['count', 'events', 'count']);
});

test('many changes in one frame of the page render once', async () => {
  let seq;
  here.on('frame', ({ direction, text }) => {
    if (direction === 'in') seq = JSON.parse(text).seq ?? seq;
  });
  render(h(Room));
  await until(() => main.textContent.startsWith('live'));
  await quiet();
  const before = renders;
  for (let at = 1; at <= 20; at += 1) {
    const event = { event: 'join', user: `user-${at}`, attributes: {}, at };
    here.channel(name).frame({ type: 'presence', channel: name, seq: seq + at, count: at, events: [event] });
  }
  await until(() => main.textContent.startsWith('live out 20: user-20,'));
  await quiet();
  assert.equal(rendered(before), 1);
});

test('one change renders once', async () => {
  render(h(Room));
  await until(() => main.textContent.startsWith('live'));
  await quiet();
  const before = renders;
  await hostRoom.join();
  await until(() => main.textContent === 'live out 1: host');
  await quiet();
  assert.equal(rendered(before), 1);
});

test('a status is known while somebody shows it, and watched once', async () => {
  const Shown = () => {
    const status = useStatus(here, 'host');
    return h('p', null, status ? `${status.online} ${status.text ?? ''}` : 'unknown');
  };
  const both = [h(Shown, { key: 1 }), h(Shown, { key: 2 })];
  render(...both);
  assert.equal(main.textContent, 'unknownunknown');
  await until(() => main.textContent === 'true true ');
  await host.status({ text: 'lunch' });
  await until(() => main.textContent === 'true lunchtrue lunch');
  render(both[0]);
  await quiet();
  assert.deepEqual(types(), ['watch']);
  render(h(Shown, { key: 3 }));
  assert.equal(main.textContent, 'true lunch', 'who takes over shows it at once');
  await quiet();
  assert.deepEqual(types(), ['watch']);
  render();
  await until(() => types().includes('unwatch'));
});

test('a status that is shown tells when it is not kept up to date, and when it is again', async () => {
  const broker = fakeBroker();
  const mine = broker.connect({ user: 'ada' });
  broker.status('host', { online: true });
  const Shown = () => {
    const status = useStatus(mine, 'host');
    return h('p', null, status ? `${status.online} ${status.live}` : 'unknown');
  };
  render(h(Shown));
  await until(() => main.textContent === 'true true');
  broker.stop();
  await until(() => main.textContent === 'true false');
  broker.start();
  await until(() => main.textContent === 'true true');
  render();
  mine.close();
});

test('the connection is shown as it is', async () => {
  const Shown = () => h('p', null, useConnection(here).phase);
  render(h(Shown));
  assert.equal(main.textContent, 'open');
  here.close();
  await until(() => main.textContent === 'closed');
});

test('an event is heard by the listener that was rendered last, once', async () => {
  const calls = [];
  let setLabel;
  const Hearing = () => {
    const [label, set] = useState('first');
    setLabel = set;
    useEvent(useChannel(here, name), 'join', ({ user }) => calls.push(`${label} ${user}`));
    return null;
  };
  render(h(Hearing));
  await until(() => here.channel(name).live);
  await hostRoom.join();
  await until(() => calls.length === 1);
  flushSync(() => setLabel('second'));
  await hostRoom.leave();
  await hostRoom.join();
  await until(() => calls.length === 2);
  assert.deepEqual(calls, ['first host', 'second host']);
  render();
  await hostRoom.leave();
  await hostRoom.join();
  await quiet();
  assert.equal(calls.length, 2);
});

test('what is refused is told by the channel, and tried again by whoever mounts next', async () => {
  const errors = [];
  const room = here.channel('x'.repeat(1_000));
  room.on('error', ({ code }) => errors.push(code));
  const Refused = () => {
    useChannel(here, room.name, { join: true });
    return null;
  };
  render(h(Refused, { key: 1 }));
  await until(() => errors.length === 2);
  assert.deepEqual(errors, ['invalid_field', 'invalid_field']);
  render(h(Refused, { key: 1 }), h(Refused, { key: 2 }));
  await until(() => errors.length === 4);
});

test('what was mounted while the broker refused us is said once it does not', async () => {
  const strict = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
  try {
    let ours = 'not-signed';
    here.close();
    here = connect(strict.url, { token: () => ours, WebSocket });
    const out = [];
    here.on('frame', ({ direction, text }) => direction === 'out' && out.push(JSON.parse(text).type));
    render(h(Room, { options: { join: true } }));
    await until(() => here.state.error?.code === 'unauthenticated');
    await quiet();
    assert.equal(main.textContent, 'stale joining 0: ', 'it asks for another token');
    ours = token({ sub: 'ada' });
    await until(() => main.textContent === 'live in 1: ada');
    assert.deepEqual(out, ['join', 'subscribe']);
  } finally {
    await strict.stop();
  }
});

test('what was mounted while we were thrown out is said once the page tries again', async () => {
  here.close();
  let dials = 0;
  // The first is refused for good: a kick.
  function Once(...args) {
    if (dials++) return new WebSocket(...args);
    const socket = { close() {} };
    setTimeout(() => socket.onclose({ code: 4003, reason: '' }));
    return socket;
  }
  here = connect(broker.url, { user: 'ada', WebSocket: Once });
  const out = [];
  here.on('frame', ({ direction, text }) => direction === 'out' && out.push(JSON.parse(text).type));
  await until(() => here.state.phase === 'closed');
  render(h(Room, { options: { join: true } }));
  await quiet();
  assert.equal(main.textContent, 'stale out 0: ');
  here.retry();
  await until(() => main.textContent === 'live in 1: ada');
  assert.deepEqual(out, ['join', 'subscribe']);
});

test('unmounted before the broker answers, nothing is left behind and nothing is told', async () => {
  const errors = [];
  here.channel(name).on('error', ({ code }) => errors.push(code));
  render(h(Room, { options: { join: true } }));
  await null; // the end of the turn: it is said
  render();
  await quiet();
  assert.deepEqual(types(), ['join', 'subscribe', 'leave', 'unsubscribe']);
  assert.equal(here.channel(name).joined, 'out');
  assert.deepEqual(errors, []);
  await host.channel(name).getCount().then((count) => assert.equal(count, 0));
});

test('mounted and unmounted in one turn, nothing is said at all', async () => {
  render(h(Room, { options: { join: true } }));
  render();
  await quiet();
  assert.deepEqual(types(), []);
});

test('on a server it renders the first state', async () => {
  await hostRoom.join();
  await here.channel(name).subscribe();
  assert.equal(renderToString(h(Room)), '<p>stale out 0: </p>');
});
