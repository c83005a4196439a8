/** The client against a running broker. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { client, freePort, loses, settled, sleep, startBroker, startWire, state, tellings, until } from './broker.js';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {Array<{close(): void}>} */
const clients = [];
let rooms = 0;

before(async () => {
  broker = await startBroker({ flags: ['--presence-timeout', '4s'] });
});
after(async () => {
  for (const each of clients) each.close();
  await broker.stop();
});

/** @param {string} user @param {import('../src/client.js').Options & {url?: string}} [options] */
function person(user, { url = broker.url, ...options } = {}) {
  const here = client(url, { user, ...options });
  clients.push(here);
  return here;
}

/** Somebody who watches a room of this test's own. @param {import('../src/client.js').Options & {url?: string, room?: string}} [options] */
async function observer({ room: name = `room-${++rooms}`, ...options } = {}) {
  const here = person('observer', options);
  const room = here.channel(name);
  const told = tellings(room);
  await room.subscribe();
  return { here, name, room, told };
}

/** @param {string} code */
const withCode = (code) => (/** @type {any} */ error) => error.name === 'HerenowError' && error.code === code;

describe('a room', () => {
  test('shows who is there, who comes, changes and goes', async () => {
    const { name, room, told } = await observer();
    assert.deepEqual([room.members, room.count, room.level, room.live], [[], 0, 'events', true]);
    const ada = person('ada').channel(name);
    await ada.join({ mood: 'happy' });
    await ada.setAttributes({ seat: 4 });
    await ada.setAttributes({ mood: null });
    await settled(room);
    assert.deepEqual(state(room.members), [['ada', { seat: 4 }]]);
    assert.equal(room.get('ada')?.user, 'ada');
    await ada.leave();
    await until('she is gone', () => room.count === 0);
    assert.deepEqual(told, [
      'join ada {"mood":"happy"}', 'updateAttributes ada {"mood":"happy","seat":4}',
      'updateAttributes ada {"seat":4}', 'leave ada {"seat":4} left',
    ]);
  });

  test('typing clears by itself', async () => {
    const { name, room, told } = await observer();
    const ada = person('ada').channel(name);
    await ada.join({ mood: 'happy' });
    await ada.setAttributes({ typing: true }, { ttl: 100 });
    await until('it cleared', () => told.length === 3);
    assert.deepEqual(told.slice(1), ['updateAttributes ada {"mood":"happy","typing":true}', 'updateAttributes ada {"mood":"happy"} expired']);
    assert.deepEqual(await room.getAttributes('ada'), { mood: 'happy' });
  });

  test('can be asked without being watched', async () => {
    const { name } = await observer();
    const ada = person('ada').channel(name);
    await ada.join({ mood: 'happy' });
    await person('bob').channel(name).join();
    assert.equal(await ada.getCount(), 2);
    const page = await ada.getMembers({ limit: 1 });
    assert.deepEqual([page.count, page.members.map(({ user }) => user)], [2, ['bob']]);
    assert.deepEqual((await ada.getMembers({ after: page.next })).members.map(({ user }) => user), ['ada']);
    assert.deepEqual(await ada.getAttributes(), { mood: 'happy' });
    assert.deepEqual([ada.members, ada.level], [[], null]);
  });

  test('at level count is a number', async () => {
    const { name, told, room } = await observer();
    await room.subscribe({ level: 'count' });
    assert.equal(room.level, 'count');
    await person('ada').channel(name).join();
    await until('it counts', () => room.count === 1);
    await room.subscribe({ level: 'events' });
    await until('there is a list', () => room.level === 'events');
    assert.deepEqual(state(room.members), [['ada', {}]]);
    assert.deepEqual(told, [], 'neither came nor went when the list did');
  });

  test('at level count has the newest, and what they carry, if that is asked for', async () => {
    const { name, told, room } = await observer();
    await room.subscribe({ level: 'count', recent: 2, recentAttributes: true });
    for (const user of ['ada', 'bob', 'cy']) await person(user).channel(name).join({ face: user });
    await until('it counts', () => room.count === 3);
    assert.deepEqual(room.members.map(({ user, attributes }) => [user, attributes.face]), [['cy', 'cy'], ['bob', 'bob']]);
    await person('bob').channel(name).join({ face: 'another' });
    await until('it shows', () => room.get('bob').attributes.face === 'another');
    await room.subscribe({ level: 'count', recent: 1 });
    await until('there is one', () => room.members.length === 1);
    assert.deepEqual(state(room.members), [['cy', {}]]);
    await assert.rejects(room.subscribe({ level: 'count', recent: 201 }), { code: 'invalid_field', field: 'recent' });
    assert.deepEqual(told, [], 'a badge tells of nobody who came or went');
  });

  test('is forgotten by who watches no longer', async () => {
    const { name, room, told } = await observer();
    await room.unsubscribe();
    assert.deepEqual([room.live, room.level, room.count], [false, null, 0]);
    const ada = person('ada').channel(name);
    await ada.join();
    assert.equal(await room.getCount(), 1);
    assert.deepEqual(told, []);
    await room.subscribe();
    assert.equal(room.count, 1);
  });

  test('changes are told to whoever listens', async () => {
    const { name, room } = await observer();
    let changes = 0;
    room.on('change', (same) => { changes += 1; assert.equal(same, room); });
    const ada = person('ada').channel(name);
    await ada.join();
    await until('it is told', () => changes > 0);
    const stop = room.on('join', () => assert.fail('no more'));
    stop();
    room.on('change', () => {})();
    await person('bob').channel(name).join();
    await settled(room);
  });
});

describe('two tabs of one user', () => {
  test('are one member, and a bare join keeps what the other has set', async () => {
    const { name, room, told } = await observer();
    const [tab1, tab2] = [person('ada').channel(name), person('ada').channel(name)];
    await tab1.join({ mood: 'happy' });
    await tab2.join();
    await tab1.leave();
    await settled(room);
    assert.deepEqual(told, ['join ada {"mood":"happy"}']);
  });

  test('what one sets, the other says after a loss', async () => {
    const wire = await startWire(broker.port);
    const { name, room, told } = await observer();
    const here = person('ada', { url: wire.url });
    const [tab1, tab2] = [here.channel(name), person('ada').channel(name)];
    await tab1.subscribe();
    await tab1.join({ mood: 'happy' });
    await tab2.join();
    await tab2.setAttributes({ mood: 'sad' });
    await until('the first has heard', () => tab1.get('ada')?.attributes.mood === 'sad');
    await tab2.leave();
    await loses(here, wire.cut);
    await until('it is back', () => tab1.joined === 'in');
    await settled(room);
    assert.deepEqual(told, ['join ada {"mood":"happy"}', 'updateAttributes ada {"mood":"sad"}']);
    await wire.stop();
  });
});

describe('a short loss', () => {
  test('is seen by nobody, on either side', async () => {
    const wire = await startWire(broker.port);
    const { name, room, told } = await observer();
    const here = person('ada', { url: wire.url });
    const ada = here.channel(name);
    const hers = tellings(ada);
    await ada.join({ mood: 'happy' });
    await ada.setAttributes({ seat: 4 });
    await person('bob').channel(name).join();
    await ada.subscribe();
    await loses(here, wire.cut);
    assert.equal(ada.live, false);
    assert.deepEqual(state(ada.members), [['ada', { mood: 'happy', seat: 4 }], ['bob', {}]], 'what is shown stays');
    await until('it is back', () => ada.joined === 'in' && ada.live);
    await settled(room);
    assert.deepEqual(hers, []);
    assert.deepEqual(told, ['join ada {"mood":"happy"}', 'updateAttributes ada {"mood":"happy","seat":4}', 'join bob {}']);
    await wire.stop();
  });

  test('what is asked meanwhile is answered after it', async () => {
    const wire = await startWire(broker.port);
    const { name, room } = await observer();
    const here = person('ada', { url: wire.url });
    const ada = here.channel(name);
    await ada.join();
    await loses(here, wire.cut);
    assert.equal(ada.joined, 'joining');
    const [, count] = await Promise.all([ada.setAttributes({ mood: 'back' }), ada.getCount()]);
    assert.equal(count, 1);
    await settled(room);
    assert.deepEqual(room.get('ada')?.attributes, { mood: 'back' });
    await wire.stop();
  });

  test('typing goes on for the rest of its time, and clears', async () => {
    const wire = await startWire(broker.port);
    const { name, told, room } = await observer();
    const here = person('ada', { url: wire.url });
    const ada = here.channel(name);
    await ada.join({ mood: 'happy' });
    await ada.setAttributes({ typing: true }, { ttl: 1_500 });
    await loses(here, wire.cut);
    await until('it is back', () => ada.joined === 'in');
    await until('it cleared', () => told.at(-1)?.endsWith('expired'));
    assert.deepEqual(room.get('ada')?.attributes, { mood: 'happy' });
    await loses(here, wire.cut);
    await until('it is back', () => ada.joined === 'in');
    await settled(room);
    assert.deepEqual(room.get('ada')?.attributes, { mood: 'happy' }, 'and does not come back');
    await wire.stop();
  });

  test('of which the socket knows nothing is found out by a heartbeat, and is no leaving', { timeout: 60_000 }, async () => {
    const wire = await startWire(broker.port);
    const { name, told, room } = await observer();
    const here = person('ada', { url: wire.url });
    const ada = here.channel(name);
    await ada.join({ mood: 'happy' });
    // The old connection stays dead; new ones come through.
    await loses(here, wire.freeze);
    await until('it is back', () => ada.joined === 'in');
    await settled(room);
    assert.deepEqual(told.filter((line) => line.startsWith('leave')), []);
    await wire.stop();
  });

  test('who hides stays hidden, whatever is said later and lost meanwhile', async () => {
    const wire = await startWire(broker.port);
    const { name, room, told } = await observer();
    const here = person('ada', { url: wire.url });
    const ada = here.channel(name);
    await ada.join({ mood: 'happy' }, { visibleTo: [] });
    await ada.join({ mood: 'sad' });
    await loses(here, wire.cut);
    await until('it is back', () => ada.joined === 'in');
    assert.deepEqual(await ada.getAttributes(), { mood: 'sad' });
    await settled(room);
    assert.deepEqual([told, room.count], [[], 0]);
    await wire.stop();
  });

  test('an absence with an end: only what changed is told', async () => {
    const wire = await startWire(broker.port);
    const { here, name, room, told } = await observer({ url: wire.url, firstRetryMs: 300, random: () => 1 });
    const [ada, bob, cy] = ['ada', 'bob', 'cy'].map((user) => person(user).channel(name));
    await Promise.all([ada.join(), bob.join(), cy.join({ n: 1 })]);
    await settled(room);
    told.length = 0;
    await loses(here, wire.cut);
    await Promise.all([bob.leave(), cy.setAttributes({ n: 2 }), person('di').channel(name).join()]);
    await until('it is back', () => room.live);
    await settled(room);
    assert.deepEqual([...told].sort(), ['join di {}', 'leave bob {} left', 'updateAttributes cy {"n":2}']);
    await wire.stop();
  });
});

describe('a broker that restarts', () => {
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGKILL'])) {
    test(`by ${signal}: nobody comes or goes who stayed`, async () => {
      let own = await startBroker({ port: await freePort() });
      const { url, port } = own;
      const { name, room, told } = await observer({ url, maxRetryMs: 8_000 });
      const people = ['ada', 'bob', 'cy'].map((user) => person(user, { url }).channel(name));
      await Promise.all(people.map((each, n) => each.join({ n })));
      const gone = person('gone', { url });
      await gone.channel(name).join();
      await settled(room);
      told.length = 0;
      await own.stop(signal);
      gone.close();
      await until('it is lost', () => !room.live);
      assert.equal(room.count, 4);
      own = await startBroker({ port });
      await until('all are back', () => people.every(({ joined }) => joined === 'in') && room.live, 30_000);
      await until('who did not come back is told', () => told.length > 0);
      assert.deepEqual(told, ['leave gone {}']);
      assert.deepEqual(state(room.members), [['ada', { n: 0 }], ['bob', { n: 1 }], ['cy', { n: 2 }]]);
      await own.stop();
    });
  }
});

describe('what is refused', () => {
  test('rejects with the code of the broker, and is not tried again', async () => {
    const ada = person('ada');
    await assert.rejects(ada.channel('$nope').join(), withCode('invalid_field'));
    await assert.rejects(ada.channel('').subscribe(), withCode('invalid_field'));
    await assert.rejects(ada.status({}), withCode('missing_field'));
    await assert.rejects(ada.request({ type: 'dance' }), withCode('unknown_type'));
    const room = ada.channel('refused');
    await assert.rejects(room.setAttributes({ a: 1 }), withCode('not_joined'));
    await room.join({ mood: 'happy' });
    await assert.rejects(room.setAttributes({ mood: 'x'.repeat(5_000) }), (/** @type {any} */ error) => (
      error.code === 'too_large' && error.field === 'attributes' && error.message.includes('4096')
    ));
    assert.deepEqual(await room.getAttributes(), { mood: 'happy' });
    assert.equal(ada.channel('$nope').joined, 'out');
  });

  test('what no promise tells is the client’s `error` for whoever looks later', async () => {
    const here = person('ada');
    const told = new Promise((resolve) => { here.on('error', resolve); });
    here.user('$nope').watch(() => assert.fail('nobody is called so'));
    const error = await told;
    assert.equal(here.error, error);
    assert.equal(here.error?.code, 'invalid_field');
  });

  test('what was refused does not spoil the next connection', async () => {
    const wire = await startWire(broker.port);
    const here = person('ada', { url: wire.url });
    const ada = here.channel(`room-${++rooms}`);
    await ada.join({ mood: 'happy' });
    await assert.rejects(ada.setAttributes({ mood: 'x'.repeat(5_000) }), withCode('too_large'));
    await loses(here, wire.cut);
    await until('it is back', () => ada.joined === 'in');
    assert.deepEqual(await ada.getAttributes(), { mood: 'happy' });
    await wire.stop();
  });

  test('a name against the rules ends the client, and says why', async () => {
    const nobody = person('$root');
    await assert.rejects(nobody.channel('room').join(), (/** @type {any} */ error) => (
      error.code === 'unauthenticated' && error.field === 'user' && error.closeCode === 4001
    ));
    assert.equal(nobody.state.phase, 'closed');
  });

  test('a closed client keeps nobody waiting', async () => {
    const ada = client('ws://127.0.0.1:1/ws', { user: 'ada' });
    const room = ada.channel('room');
    const open = [room.join(), room.subscribe(), room.getCount(), ada.status({ busy: true })];
    ada.close();
    for (const each of open) await assert.rejects(each, withCode('closed'));
    await assert.rejects(room.leave(), withCode('closed'));
    await assert.rejects(room.join(), withCode('closed'));
  });

  test('what another call overtakes is told so', async () => {
    const room = person('ada').channel(`room-${++rooms}`);
    const [joining, watching] = [room.join(), room.subscribe()];
    const rejected = [assert.rejects(joining, withCode('superseded')), assert.rejects(watching, withCode('superseded'))];
    await Promise.all([room.leave(), room.unsubscribe(), ...rejected]);
    assert.deepEqual([await room.getCount(), room.joined], [0, 'out']);
  });

  test('presence switched off is one clear error', async () => {
    const off = await startBroker({ flags: ['--disable-presence'] });
    const room = person('ada', { url: off.url }).channel('room');
    await assert.rejects(room.join(), withCode('presence_disabled'));
    await assert.rejects(room.subscribe(), withCode('presence_disabled'));
    await off.stop();
  });

  test('a grace that nobody asked for is never refused', async () => {
    const strict = await startBroker({ flags: ['--max-grace', '1s'] });
    const room = person('ada', { url: strict.url }).channel('room');
    await room.join();
    await assert.rejects(room.join({}, { graceMs: 5_000 }), withCode('invalid_field'));
    await strict.stop();
  });
});

describe('silence', () => {
  test('that ended a membership is followed by joining again', async () => {
    const { name, room, told } = await observer();
    const here = person('ada');
    const ada = here.channel(name);
    await ada.join({ mood: 'happy' });
    await settled(room);
    // The whole process is silent, as a laptop that sleeps.
    const end = performance.now() + 4_500;
    while (performance.now() < end);
    await until('she is back', () => told.length === 3);
    assert.deepEqual(told, ['join ada {"mood":"happy"}', 'timeout ada {"mood":"happy"} heartbeat', 'join ada {"mood":"happy"}']);
    await until('she knows', () => ada.joined === 'in');
  });
});

describe('users', () => {
  test('are watched, all of them in one frame, until nobody listens', async () => {
    const ada = person('ada');
    const name = `u${++rooms}`;
    /** @type {string[]} */
    const sent = [];
    ada.on('frame', ({ direction, text }) => { if (direction === 'out') sent.push(text); });
    /** @type {any[]} */
    const told = [];
    const stops = ['bob', 'cy'].map((user) => ada.user(`${name}-${user}`).watch((status) => told.push(status)));
    await until('both are told', () => told.length === 2);
    assert.deepEqual(sent.map((text) => JSON.parse(text).users), [[`${name}-bob`, `${name}-cy`]]);
    const bob = person(`${name}-bob`);
    await bob.status({ busy: true, waitTime: 5, text: 'at lunch' });
    await until('bob is busy', () => told.at(-1).busy);
    const { user, online, busy, waitTime, text } = /** @type {any} */ (ada.user(`${name}-bob`).status);
    assert.deepEqual({ user, online, busy, waitTime, text }, { user: `${name}-bob`, online: true, busy: true, waitTime: 5, text: 'at lunch' });
    for (const stop of stops) stop();
    await bob.status({ busy: false });
    await ada.getChannels();
    assert.equal(told.at(-1).busy, true, 'nobody listens');
  });

  test('the channels of a user are all of them, however many pages they take', async () => {
    const name = `pages-${++rooms}`;
    const user = `${name}-crowded`;
    const channels = Array.from({ length: 230 }, (_, n) => `${name}-at-${String(n).padStart(3, '0')}`);
    for (const channel of channels) {
      const answer = await fetch(`http://127.0.0.1:${broker.port}/v1/channels/${channel}/members/${user}`, { method: 'PUT' });
      assert.equal(answer.status, 201);
    }
    const ada = person(`${name}-ada`);
    assert.deepEqual(await ada.getChannels(user), channels);
    assert.deepEqual(await ada.getChannels(), []);
  });

  test('a reconnect tells nothing that is known', async () => {
    const wire = await startWire(broker.port);
    const ada = person('ada', { url: wire.url });
    const bob = person(`bob${++rooms}`);
    await bob.status({ busy: true });
    /** @type {any[]} */
    const told = [];
    ada.user(bob.me).watch((status) => told.push(status));
    await until('it is told', () => told.length === 1);
    await loses(ada, wire.cut);
    await until('it is back', () => ada.state.phase === 'open');
    await bob.status({ text: 'still here' });
    await until('it is told', () => told.at(-1).text === 'still here');
    assert.equal(told.length, 2);
    await wire.stop();
  });
});

describe('tokens', () => {
  const SECRET = 'a secret of at least thirty-two bytes';
  const encode = (/** @type {string | Buffer} */ text) => Buffer.from(text).toString('base64url');
  /** @param {object} claims */
  function sign(claims) {
    const body = `${encode('{"alg":"HS256","typ":"JWT"}')}.${encode(JSON.stringify(claims))}`;
    return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
  }
  const soon = (seconds = 60) => Math.floor(Date.now() / 1000) + seconds;
  /** @type {Awaited<ReturnType<typeof startBroker>>} */
  let guarded;
  before(async () => { guarded = await startBroker({ env: { HERENOW_JWT_SECRET: SECRET } }); });
  after(() => guarded.stop());

  test('are renewed on the same connection, long before they expire', async () => {
    let asked = 0;
    const ada = person('', { url: guarded.url, user: undefined, token: async () => sign({ sub: 'ada', exp: soon(2 + 60 * asked++) }) });
    const phases = new Set();
    const room = ada.channel('room');
    await room.join({ mood: 'happy' });
    assert.equal(ada.me, 'ada');
    ada.on('state', ({ phase }) => phases.add(phase));
    await until('it is renewed', () => asked === 2);
    await sleep(2_500);
    assert.equal(room.joined, 'in');
    assert.deepEqual([...phases], [], 'the first token has expired, and nobody noticed');
  });

  test('that cannot be renewed end the connection, and the next begins with a fresh one', async () => {
    let asked = 0;
    const ada = person('', { url: guarded.url, user: undefined, token: () => {
      asked += 1;
      if (asked === 2) throw new Error('no network');
      return sign({ sub: 'ada', exp: soon(asked === 1 ? 2 : 600) });
    } });
    /** @type {string[]} */
    const errors = [];
    ada.on('error', ({ code }) => errors.push(code));
    await ada.channel('room').join();
    await until('it is back', () => asked >= 3 && ada.channel('room').joined === 'in');
    assert.ok(errors.includes('token_failed'));
  });

  test('that are refused are told once, and not shown again', async () => {
    for (const token of ['nonsense', sign({ sub: 'ada', exp: soon() }).slice(0, -3)]) {
      const ada = person('', { url: guarded.url, user: undefined, token });
      let states = 0;
      ada.on('state', () => { states += 1; });
      await assert.rejects(ada.channel('room').join(), withCode('unauthenticated'));
      await sleep(200);
      assert.equal(states, 2, 'connecting, closed');
    }
  });

  test('say what is forbidden', async () => {
    const ada = person('', { url: guarded.url, user: undefined, token: sign({ sub: 'ada', exp: soon(), channels: { lobby: ['join'] } }) });
    await ada.channel('lobby').join();
    await assert.rejects(ada.channel('lobby').subscribe(), withCode('forbidden'));
    await assert.rejects(ada.channel('hall').join(), withCode('forbidden'));
  });

  test('that grant less than the last end what they do not grant, with an error', async () => {
    let asked = 0;
    const ada = person('', { url: guarded.url, user: undefined, token: () => (
      // The warning comes ten seconds ahead.
      sign(asked++ ? { sub: 'ada', exp: soon(600), channels: { hall: ['join', 'subscribe'] } } : { sub: 'ada', exp: soon(14) })
    ) });
    const [lobby, hall] = [ada.channel('lobby'), ada.channel('hall')];
    await Promise.all([lobby.join(), lobby.subscribe(), hall.join(), hall.subscribe()]);
    /** @type {string[]} */
    const errors = [];
    lobby.on('error', ({ code }) => errors.push(code));
    hall.on('error', ({ code }) => assert.fail(code));
    await until('it is told', () => errors.length === 2);
    assert.deepEqual(errors, ['forbidden', 'forbidden']);
    assert.deepEqual([lobby.joined, lobby.live, hall.joined, hall.live], ['out', false, 'in', true]);
  });
});
