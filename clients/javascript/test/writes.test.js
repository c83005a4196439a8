/** What is written, said again, refused and awaited: what others see in the end is what was wanted last. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { beforeEach, describe, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { client, loses, settled, sleep, stage, startBroker, tellings, until } from './broker.js';

const { broker, wire, clients } = await stage();
let name = '';
let rooms = 0;
beforeEach(() => { name = `writes-${++rooms}`; });

/** @param {string} user @param {string} [url] @param {import('../src/client.js').Options} [options] */
function person(user, url = broker.url, options = {}) {
  const here = client(url, { user, ...options });
  clients.push(here);
  return here;
}

async function observer() {
  const room = person('observer').channel(name);
  const told = tellings(room);
  await room.subscribe();
  return { room, told };
}

/**
 * A broker that says of some frames that they came too fast.
 * @param {(frame: any) => boolean} refuses
 */
async function startStrict(refuses, retryAfterMs = 60) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  /** What was let through. @type {any[]} */
  const heard = [];
  server.on('connection', (near, { url }) => {
    const far = new WebSocket(`${broker.url.replace('/ws', '')}${url}`, 'herenow.v1');
    const open = once(far, 'open');
    far.on('message', (data) => near.send(String(data)));
    far.on('close', () => near.close());
    near.on('close', () => far.close());
    near.on('message', async (data) => {
      const frame = JSON.parse(String(data));
      if (refuses(frame)) {
        near.send(JSON.stringify({ type: 'error', id: frame.id, code: 'rate_limited', message: 'too fast', retryAfterMs }));
        return;
      }
      heard.push(frame);
      await open;
      far.send(String(data));
    });
  });
  return {
    url: `ws://127.0.0.1:${/** @type {any} */ (server.address()).port}/ws`,
    heard,
    async stop() {
      for (const socket of server.clients) socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}

/** @param {string} code */
const withCode = (code) => (/** @type {any} */ error) => error.name === 'HerenowError' && error.code === code;

/** @type {any} */
const circular = { self: null };
circular.self = circular;

describe('what JSON cannot say', () => {
  for (const [what, value] of /** @type {const} */ ([['an object that contains itself', circular], ['a BigInt', 5n]])) {
    test(`${what} is refused before it is stored, and spoils no other channel’s return`, async () => {
      const { room } = await observer();
      const here = person('ada', wire.url);
      const [bad, good] = [here.channel(`${name}-bad`), here.channel(name)];
      await assert.rejects(bad.join({ value }), withCode('invalid_attributes'));
      assert.equal(bad.joined, 'out');
      await bad.join({ mood: 'happy' });
      await assert.rejects(bad.setAttributes({ value }), withCode('invalid_attributes'));
      await assert.rejects(here.request({ type: 'getCount', channel: name, value }), withCode('invalid_frame'));
      await assert.rejects(bad.join({}, { whenHidden: { value } }), { name: 'HerenowError' });
      await good.join({ mood: 'happy' });
      await good.subscribe();
      await loses(here, wire.cut);
      await until('all are back', () => [bad, good].every(({ joined }) => joined === 'in') && good.live);
      assert.deepEqual(await bad.getAttributes(), { mood: 'happy' });
      await settled(room);
      assert.deepEqual(room.get('ada')?.attributes, { mood: 'happy' });
    });
  }

  test('nor is anything that is no object', async () => {
    const ada = person('ada').channel(name);
    for (const wrong of [[1], 'text', 5, null, () => {}]) {
      await assert.rejects(ada.join(/** @type {any} */ (wrong ?? [])), withCode('invalid_attributes'));
    }
    await assert.rejects(ada.setAttributes(/** @type {any} */ (null)), withCode('invalid_attributes'));
  });

  test('what the page does to its object afterwards changes nothing', async () => {
    const here = person('ada', wire.url);
    const ada = here.channel(name);
    /** @type {any} */
    const attributes = { list: [1] };
    await ada.join(attributes);
    attributes.list = attributes;
    await loses(here, wire.cut);
    await until('she is back', () => ada.joined === 'in');
    assert.deepEqual(await ada.getAttributes(), { list: [1] });
  });
});

describe('a frame that came too fast', () => {
  test('is not said behind a newer one: set 1, set 2 is never 1 again', async () => {
    const { told } = await observer();
    const strict = await startStrict(({ attributes }) => attributes?.n === 1);
    const ada = person('ada', strict.url).channel(name);
    await ada.join();
    await Promise.all([ada.setAttributes({ n: 1 }), ada.setAttributes({ n: 2 }), ada.setAttributes({ m: 3 })]);
    await sleep(200);
    assert.deepEqual(await ada.getAttributes(), { n: 2, m: 3 });
    assert.ok(!told.some((line) => line.includes('"n":1')), told.join('\n'));
    await strict.stop();
  });

  test('is said as long as nothing newer is', async () => {
    let refusals = 0;
    const strict = await startStrict(({ type }) => type === 'setAttributes' && refusals++ < 2);
    const ada = person('ada', strict.url).channel(name);
    await ada.join();
    await Promise.all([ada.setAttributes({ n: 1 }), ada.setAttributes({ m: 2 })]);
    assert.deepEqual(await ada.getAttributes(), { n: 1, m: 2 });
    await strict.stop();
  });

  test('makes nobody a ghost: join, leave is out; and join, leave, join is in', async () => {
    let joins = 0;
    const strict = await startStrict(({ type }) => type === 'join' && joins++ === 0);
    const ada = person('ada', strict.url).channel(name);
    await assert.rejects(Promise.all([ada.join(), ada.leave()]), withCode('superseded'));
    await sleep(200);
    assert.deepEqual([ada.joined, await ada.getCount()], ['out', 0]);
    await strict.stop();

    let leaves = 0;
    const other = await startStrict(({ type }) => type === 'leave' && leaves++ === 0);
    const bob = person('bob', other.url).channel(name);
    await bob.join({ n: 1 });
    await Promise.all([bob.leave(), bob.join({ n: 2 })]);
    await sleep(200);
    assert.deepEqual([bob.joined, await bob.getAttributes()], ['in', { n: 2 }]);
    await other.stop();
  });

  test('a replacement that came too fast wipes nothing that was written after it', async () => {
    let refusals = 0;
    const strict = await startStrict(({ type, merge }) => type === 'setAttributes' && !merge && refusals++ === 0);
    const ada = person('ada', strict.url).channel(name);
    await ada.join({ old: true });
    await Promise.all([ada.setAttributes({ n: 1 }, { replace: true }), ada.setAttributes({ m: 2 })]);
    assert.deepEqual(await ada.getAttributes(), { n: 1, m: 2 });
    await strict.stop();
  });

  test('a status, a subscription and a watch end as they were wanted last', async () => {
    /** @type {Set<string>} */
    const once = new Set();
    const strict = await startStrict(({ type }) => ['setStatus', 'subscribe', 'watch'].includes(type) && !once.has(type) && !!once.add(type));
    const here = person('ada', strict.url);
    const room = here.channel(name);
    const status = ['first', 'second', 'third'].map((text) => here.status({ text }));
    const watching = assert.rejects(room.subscribe(), withCode('superseded'));
    here.user('bob').watch(() => {})();
    const stop = here.user('cy').watch(() => {});
    await sleep(20);
    stop();
    await Promise.all([...status, watching, room.unsubscribe()]);
    await sleep(200);
    assert.deepEqual(strict.heard.filter(({ type }) => type === 'setStatus').map(({ text }) => text), ['first', 'second', 'third']);
    const last = (/** @type {string} */ what) => strict.heard.findLast(({ type }) => type.endsWith(what))?.type ?? `un${what}`;
    assert.deepEqual([last('subscribe'), last('watch')], ['unsubscribe', 'unwatch']);
    await strict.stop();
  });

  test('attributes with a time of their own are said behind a join that was refused', async () => {
    let joins = 0;
    const strict = await startStrict(({ type }) => type === 'join' && joins++ === 0);
    const ada = person('ada', strict.url).channel(name);
    await Promise.all([ada.join({ mood: 'happy' }), ada.setAttributes({ typing: true }, { ttl: 5_000 })]);
    assert.deepEqual(await ada.getAttributes(), { mood: 'happy', typing: true });
    await strict.stop();
  });
});

describe('writes that come faster than may be sent', () => {
  test('fold: the newest is seen soon, none is refused, and others’ frames are not held up', { timeout: 60_000 }, async () => {
    const strict = await startBroker({ flags: ['--max-frames-burst', '10'] });
    const room = person('observer', strict.url).channel(name);
    await room.subscribe();
    const here = person('ada', strict.url);
    const [ada, other] = [here.channel(name), here.channel(`${name}-other`)];
    await ada.join();
    let sent = 0;
    here.on('frame', ({ direction, text }) => { sent += Number(direction === 'out' && text.includes('"setAttributes"')); });
    /** @type {Promise<void>[]} */
    const writes = [];
    /** @type {number[]} */
    const late = [];
    room.on('updateAttributes', ({ attributes }) => late.push(performance.now() - Number(attributes.at)));
    let [slowest, last] = [0, 0];
    while (writes.length < 800) {
      for (const half of [0, 1]) writes.push(ada.setAttributes({ x: last += 1, half, at: performance.now() }));
      if (last % 100 === 0) {
        const began = performance.now();
        writes.push(other.getCount().then(() => { slowest = Math.max(slowest, performance.now() - began); }));
      }
      await sleep(8);
    }
    await Promise.all(writes);
    await until('the last is seen', () => room.get('ada')?.attributes.x === last);
    assert.ok(sent < writes.length, `${sent} frames for ${writes.length} writes`);
    late.sort((a, b) => a - b);
    // Before, this was 5 s and more by then; a bound for a machine that is busy with much else.
    assert.ok(late[Math.floor(late.length * 0.9)] < 1_000, `${late.at(-1)} ms`);
    assert.ok(slowest < 1_000, `a question took ${slowest} ms`);
    await strict.stop();
  });

  test('a broker that allows one frame at once is spoken to all the same', { timeout: 60_000 }, async () => {
    const strict = await startBroker({ flags: ['--max-frames-burst', '1'] });
    const here = person('ada', strict.url);
    const room = here.channel(name);
    await Promise.all([room.join({ n: 0 }), room.subscribe()]);
    await Promise.all(Array.from({ length: 20 }, (_, n) => room.setAttributes({ n })));
    assert.deepEqual(room.get('ada')?.attributes, { n: 19 });
    assert.equal(await room.getCount(), 1);
    here.close();
    await strict.stop();
  });

  test('written without a connection, all is said by the join, and by no more frames', async () => {
    const here = person('ada', wire.url);
    const ada = here.channel(name);
    await ada.join({ n: 0 });
    await loses(here, wire.cut);
    /** @type {string[]} */
    const sent = [];
    here.on('frame', ({ direction, text }) => direction === 'out' && sent.push(JSON.parse(text).type));
    await Promise.all(Array.from({ length: 1_200 }, (_, n) => ada.setAttributes({ n })));
    assert.deepEqual([await ada.getAttributes(), sent[0]], [{ n: 1_199 }, 'join']);
    assert.ok(sent.length <= 3, sent.join());
  });

  test('one that is refused takes nothing with it that was written before', async () => {
    const here = person('ada', wire.url);
    const ada = here.channel(name);
    await ada.join({ mood: 'happy' });
    const refused = assert.rejects(ada.setAttributes({ mood: 'x'.repeat(5_000) }), withCode('too_large'));
    await ada.setAttributes({ seat: 4 });
    await refused;
    await loses(here, wire.cut);
    await until('she is back', () => ada.joined === 'in');
    assert.deepEqual(await ada.getAttributes(), { mood: 'happy', seat: 4 });
  });
});

describe('a promise that is kept', () => {
  test('shows in a channel that is watched: join, setAttributes, leave', async () => {
    const ada = person('ada').channel(name);
    await ada.subscribe();
    for (let n = 0; n < 50; n += 1) {
      await ada.join({ n });
      assert.deepEqual([ada.count, ada.get('ada')?.attributes], [1, { n }]);
      await ada.setAttributes({ n, seat: { row: n, at: 1 } });
      assert.deepEqual(ada.get('ada')?.attributes, { n, seat: { row: n, at: 1 } });
      await ada.setAttributes({ n });
      await ada.leave();
      assert.deepEqual([ada.count, ada.get('ada')], [0, undefined]);
    }
    await person('bob').channel(name).join();
    await ada.subscribe({ level: 'count' });
    await ada.join();
    assert.equal(ada.count, 2);
  });

  test('never shows what the broker refused', async () => {
    const ada = person('ada').channel(name);
    await ada.subscribe();
    await ada.join({ mood: 'happy' });
    await assert.rejects(ada.setAttributes({ mood: 'x'.repeat(5_000) }), withCode('too_large'));
    assert.deepEqual(ada.get('ada')?.attributes, { mood: 'happy' });
  });

  test('waits for nothing that does not come: another tab of ours is still there', { timeout: 30_000 }, async () => {
    const [one, two] = [person('ada').channel(name), person('ada').channel(name)];
    await Promise.all([one.join(), two.join(), one.subscribe()]);
    await one.leave();
    assert.equal(one.count, 1);
  });
});

test('typing that ended while the machine slept is not said again', async (t) => {
  const { told } = await observer();
  const here = person('ada', wire.url);
  const ada = here.channel(name);
  await ada.join({ mood: 'happy' });
  await ada.setAttributes({ typing: true }, { ttl: 1_500 });
  await loses(here, wire.cut);
  // An hour with a closed lid: of the two clocks only one goes on.
  const now = Date.now;
  t.mock.method(Date, 'now', () => now() + 3_600_000);
  /** @type {string[]} */
  const said = [];
  here.on('frame', ({ direction, text }) => direction === 'out' && said.push(text));
  await until('she is back', () => ada.joined === 'in');
  await ada.getCount();
  assert.ok(!said.some((text) => text.includes('"typing":true')), said.join('\n'));
  // The member had it in grace, where it has its own time.
  await until('it ended', () => told.at(-1)?.endsWith('expired'));
  assert.equal(told.filter((line) => line.includes('typing')).length, 1);
  assert.deepEqual(await ada.getAttributes(), { mood: 'happy' });
});

test('a clock that is set back makes nothing last longer', async (t) => {
  const here = person('ada', wire.url);
  const ada = here.channel(name);
  await ada.join();
  await ada.setAttributes({ typing: true }, { ttl: 1_000 });
  const now = Date.now;
  t.mock.method(Date, 'now', () => now() - 3_600_000);
  /** @type {any[]} */
  const sent = [];
  here.on('frame', ({ direction, text }) => direction === 'out' && sent.push(JSON.parse(text)));
  await sleep(1_100);
  await loses(here, wire.cut);
  await until('she is back', () => ada.joined === 'in');
  assert.ok(!sent.some(({ attributes }) => attributes?.typing), JSON.stringify(sent));
  await assert.rejects(ada.setAttributes({ typing: true }, { ttl: NaN }), withCode('invalid_field'));
});
