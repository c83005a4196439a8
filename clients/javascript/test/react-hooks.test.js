/** The hooks that choose, the provider, and what shows where there is no client yet. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { freePort, sleep, startBroker } from './broker.js';
import { window } from './dom.js';
import { SECRET, token, until } from './facade-helpers.js';

const { createElement: h, StrictMode, useEffect, useState } = await import('react');
const { createRoot, hydrateRoot } = await import('react-dom/client');
const { flushSync } = await import('react-dom');
const { renderToString } = await import('react-dom/server');
const hooks = await import('../src/react.js');
const {
  HerenowProvider, useChannel, useConnection, useCount, useError, useEvent, useHerenow, useJoined, useLive,
  useMember, useMembers, useOthers, useSelf, useStatus, useStatuses,
} = hooks;

let broker;
let here;
/** Somebody else. */
let host;
let hostRoom;
let main;
let root;
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
  hostRoom = host.channel(name);
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

const render = (...children) => flushSync(() => root.render(h(StrictMode, null, ...children)));
/** Long enough for whatever should not come. */
const quiet = () => sleep(150);

/** How often `Shown` was rendered; StrictMode calls a component twice for each. */
let renders = 0;
const rendered = (before) => (renders - before) / 2;
/** Shows as JSON what a hook reads of the room. */
function Shown({ read, join = false }) {
  renders += 1;
  return h('p', null, JSON.stringify(read(useChannel(here, name, { join }))) ?? 'nothing');
}

test('without a client every hook shows the first state, and goes on once there is one', async () => {
  let give;
  const All = () => {
    const [client, set] = useState(null);
    give = set;
    const room = useChannel(client, name, { join: true });
    useEvent(room, 'join', () => {});
    useEvent(client, 'state', () => {});
    return h('p', null, JSON.stringify([
      room?.name ?? null, useMembers(room).length, useOthers(room).length, useMember(room, 'ada'), useSelf(room)?.user ?? null,
      useCount(room), useLive(room), useJoined(room), useStatus(client, 'host')?.online ?? null,
      useStatuses(client, ['host']).map((status) => status?.online ?? null), useConnection(client).phase, useError(room), useError(client),
    ]));
  };
  render(h(All));
  assert.equal(main.textContent, '[null,0,0,null,null,0,false,"out",null,[null],"connecting",null,null]');
  flushSync(() => give(here));
  await until(() => main.textContent.startsWith(`["${name}",1,0,{"user":"ada"`) && main.textContent.includes('true,[true],"open"'));
  assert.match(main.textContent, /"ada",1,true,"in",true,\[true\],"open",null,null\]$/);
  flushSync(() => give(null));
  await until(() => main.textContent.startsWith('[null,0'));
  await until(async () => await host.channel(name).getCount() === 0);
});

test('without a name there is no channel', () => {
  render(h(() => h('p', null, String(useChannel(here, undefined)) + String(useChannel(here, '')) + String(useChannel(here, null)))));
  assert.equal(main.textContent, 'nullnullnull');
});

test('a member is followed by its user, and a selector keeps other changes from rendering', async () => {
  await hostRoom.join({ mood: 'happy', at: 1 });
  render(h(Shown, { read: (room) => useMember(room, 'host', (member) => member?.attributes.mood) }));
  await until(() => main.textContent === '"happy"');
  await quiet();
  const before = renders;
  await hostRoom.setAttributes({ at: 2 });
  await quiet();
  assert.equal(rendered(before), 0, 'what is chosen is the same');
  await hostRoom.setAttributes({ mood: 'sad' });
  await until(() => main.textContent === '"sad"');
  await hostRoom.leave();
  await until(() => main.textContent === 'nothing');
});

test('a selector that makes a new array each time renders only when what is in it differs', async () => {
  await hostRoom.join({ at: 1 });
  render(h(Shown, { read: (room) => useMembers(room, (members) => members.map(({ user }) => user)) }));
  await until(() => main.textContent === '["host"]');
  await quiet();
  const before = renders;
  await hostRoom.setAttributes({ at: 2 });
  await quiet();
  assert.equal(rendered(before), 0);
  await here.channel(name).join();
  await until(() => main.textContent === '["ada","host"]');
});

test('an equality of one’s own decides what renders', async () => {
  await hostRoom.join({ score: 10 });
  const near = (a, b) => Math.abs(a - b) < 5;
  render(h(Shown, { read: (room) => useMember(room, 'host', (member) => member?.attributes.score ?? 0, near) }));
  await until(() => main.textContent === '10');
  await hostRoom.setAttributes({ score: 12 });
  await quiet();
  assert.equal(main.textContent, '10');
  await hostRoom.setAttributes({ score: 20 });
  await until(() => main.textContent === '20');
});

test('a selector that reads what was rendered last shows it', async () => {
  await hostRoom.join({ mood: 'happy', place: 'home' });
  let choose;
  const Chosen = () => {
    const [key, set] = useState('mood');
    choose = set;
    return h('p', null, useMember(useChannel(here, name), 'host', (member) => member?.attributes[key]));
  };
  render(h(Chosen));
  await until(() => main.textContent === 'happy');
  flushSync(() => choose('place'));
  assert.equal(main.textContent, 'home');
});

test('ourselves and the others are told apart, and what we change renders no list of others', async () => {
  await hostRoom.join();
  render(
    h(Shown, { key: 1, join: { at: 1 }, read: (room) => useOthers(room, (others) => others.map(({ user }) => user)) }),
    h(() => h('i', null, JSON.stringify(useSelf(useChannel(here, name), (self) => self?.attributes.at ?? null)))),
  );
  await until(() => main.textContent === '["host"]1');
  await quiet();
  const before = renders;
  await here.channel(name).setAttributes({ at: 2 });
  await until(() => main.textContent === '["host"]2');
  await quiet();
  assert.equal(rendered(before), 0);
});

test('the statuses of several users come in the order of their ids, each watched once', async () => {
  const out = [];
  here.on('frame', ({ direction, text }) => direction === 'out' && out.push(JSON.parse(text)));
  const Friends = ({ ids }) => h('p', null, useStatuses(here, ids).map((status) => status?.online ?? '?').join());
  render(h(Friends, { ids: ['host', 'nobody', 'ada'] }));
  assert.equal(main.textContent, '?,?,?');
  await until(() => main.textContent === 'true,false,true');
  render(h(Friends, { ids: ['ada', 'host'] }));
  await until(() => main.textContent === 'true,true');
  await until(() => out.some(({ type }) => type === 'unwatch'));
  assert.deepEqual(out.map(({ type, users }) => `${type} ${users}`), ['watch host,nobody,ada', 'unwatch nobody']);
});

test('what was refused still shows to a component that comes later, until it is right again', async () => {
  const strict = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
  const ada = connect(strict.url, { token: token({ sub: 'ada', channels: { none: ['join'] } }), WebSocket });
  try {
    const Failing = () => {
      useChannel(ada, name, { join: true });
      return null;
    };
    const Told = () => h('p', null, useError(ada.channel(name))?.code ?? 'fine');
    render(h(Failing, { key: 1 }));
    await until(() => ada.channel(name).error);
    render(h(Failing, { key: 1 }), h(Told, { key: 2 }));
    assert.equal(main.textContent, 'forbidden');
    await ada.request({ type: 'auth', token: token({ sub: 'ada' }) });
    render(h(Failing, { key: 1 }), h(Told, { key: 2 }), h(Failing, { key: 3 }));
    await until(() => main.textContent === 'fine');
  } finally {
    ada.close();
    await strict.stop();
  }
});

test('a broker that cannot be reached shows as an error, until it is', async () => {
  const port = await freePort();
  const ada = connect(`ws://127.0.0.1:${port}/ws`, { user: 'ada', WebSocket, maxRetryMs: 50 });
  const Told = () => h('p', null, useError(ada)?.code ?? 'fine');
  try {
    await until(() => ada.error);
    render(h(Told));
    assert.equal(main.textContent, 'unreachable');
    const again = await startBroker({ port });
    await until(() => main.textContent === 'fine');
    await again.stop();
  } finally {
    ada.close();
  }
});

test('a child’s first effect sets attributes although the parent joins after it', async () => {
  const done = [];
  const Child = ({ room }) => {
    useEffect(() => {
      room.setAttributes({ ready: true }).then(() => done.push('set'), ({ code }) => done.push(code));
    }, [room]);
    return null;
  };
  const Parent = ({ join }) => h(Child, { room: useChannel(here, name, { join }) });
  render(h(Parent, { join: { mood: 'happy' } }));
  await until(() => done.length === 2);
  assert.deepEqual(done, ['set', 'set'], 'twice, in StrictMode');
  assert.deepEqual(await host.channel(name).getAttributes('ada'), { mood: 'happy', ready: true });
});

test('a child’s first effect where nobody joins is told so', async () => {
  const done = [];
  const Child = ({ room }) => {
    useEffect(() => void room.setAttributes({ ready: true }).catch(({ code }) => done.push(code)), [room]);
    return null;
  };
  render(h(Child, { room: here.channel(name) }));
  await until(() => done.length === 2);
  assert.deepEqual(done, ['not_joined', 'not_joined']);
});

const Place = ({ join = true }) => {
  const room = useChannel(useHerenow(), name, { join });
  return h('p', null, `${useHerenow() ? 'alive' : 'not yet'} ${useCount(room)}`);
};

test('a provider makes one client, in StrictMode too, and ends it', async () => {
  const connections = async () => (await host.request({ type: 'getChannels', user: 'bob' })).channels.length;
  let dialled = 0;
  class Counted extends WebSocket {
    constructor(...all) {
      super(...all);
      dialled += 1;
    }
  }
  const tree = () => h(HerenowProvider, { url: broker.url, user: 'bob', WebSocket: Counted, onNoise: () => {} }, h(Place));
  render(tree());
  await until(() => main.textContent === 'alive 1');
  render(tree());
  await quiet();
  assert.equal(dialled, 1, 'another function that is rendered is no other client');
  assert.equal(await connections(), 1);
  render();
  await until(async () => await connections() === 0);
});

test('another option is another client, and of functions the last counts', async () => {
  const strict = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } });
  try {
    const made = new Set();
    const Seen = () => {
      const client = useHerenow();
      if (client) made.add(client);
      return h('p', null, useConnection(client).phase);
    };
    const tree = (sub, graceMs) => h(HerenowProvider, { url: strict.url, token: () => token({ sub }), graceMs, WebSocket }, h(Seen));
    render(tree('bob', 1));
    await until(() => main.textContent === 'open');
    render(tree('carol', 1));
    await quiet();
    assert.equal(made.size, 1);
    render(tree('carol', 2));
    await until(() => made.size === 2 && main.textContent === 'open');
    assert.deepEqual([...made].map(({ me }) => me), ['bob', 'carol']);
    assert.equal([...made][0].state.phase, 'closed');
  } finally {
    await strict.stop();
  }
});

test('a provider hands on the client that it is given, and does not end it', async () => {
  render(h(HerenowProvider, { client: here }, h(Place)));
  await until(() => main.textContent === 'alive 1');
  render();
  await until(async () => await host.channel(name).getCount() === 0);
  assert.equal(here.state.phase, 'open');
});

test('without a provider, useHerenow says what is missing', () => {
  assert.throws(() => renderToString(h(Place)), /useHerenow needs a HerenowProvider above it/);
});

test('on a server a provider makes no client, and the page takes over what the server rendered', async () => {
  let dialled = 0;
  class Counted extends WebSocket {
    constructor(...all) {
      super(...all);
      dialled += 1;
    }
  }
  const tree = h(HerenowProvider, { url: broker.url, user: 'bob', WebSocket: Counted }, h(Place));
  main = window.document.createElement('div');
  main.innerHTML = renderToString(tree);
  assert.equal(main.textContent, 'not yet 0');
  await quiet();
  assert.equal(dialled, 0);
  const complaints = [];
  const hydrated = hydrateRoot(main, tree, { onRecoverableError: (error) => complaints.push(error) });
  await until(() => main.textContent === 'alive 1');
  assert.deepEqual(complaints, []);
  hydrated.unmount();
});

test('the hooks are marked for the browser, so that a server component may import them', async () => {
  assert.match(await readFile(new URL('../src/react.js', import.meta.url), 'utf8'), /^'use client';\n/);
});
