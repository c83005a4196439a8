/**
 * Random histories of a channel whose members not everyone may see: no vendor's path shows anybody
 * whom our own API does not show to the same user, and each shows everybody whom it does.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBroker } from '../../clients/javascript/test/rig.js';
import { until } from '../../clients/javascript/test/broker.js';
import { SECRET, token } from './token.mjs';

const ROOM = 'room';
const AUDIENCES = [['any'], [], ['team:blue'], ['team:red', 'user:ada'], ['staff'], ['user:dan']];
const VIEWERS = [
  { name: 'ada', roles: [] },
  { name: 'bob', roles: ['team:blue'] },
  { name: 'carol', roles: ['team:red', 'staff'] },
  { name: 'dan', roles: ['staff'] },
].map((one) => ({ ...one, token: token({ sub: one.name, roles: one.roles }) }));
const STEPS = 60;

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
before(async () => {
  broker = await startBroker({
    flags: ['--vendors', 'all', '--max-requests-per-second', '100000', '--max-requests-burst', '100000'],
    env: { HERENOW_JWT_SECRET: SECRET },
  });
});
after(() => broker.stop());

/** @template T @param {T[]} all */
const anyOf = (all) => all[Math.floor(Math.random() * all.length)];

/** @param {string} path @param {string} auth @param {RequestInit} [init] */
async function ours(path, auth, init) {
  const answer = await fetch(`${broker.http}/v1/${path}`, {
    ...init,
    headers: { authorization: `Bearer ${auth}`, 'content-type': 'application/json' },
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
}

/** @param {string} path @param {typeof VIEWERS[number]} viewer @param {Record<string, string>} [query] @param {AbortSignal} [signal] */
async function pubnub(path, viewer, query = {}, signal = undefined) {
  const address = new URL(`${broker.http}/${path}`);
  const all = { uuid: viewer.name, auth: viewer.token, pnsdk: 'test', ...query };
  for (const [key, value] of Object.entries(all)) address.searchParams.set(key, value);
  const answer = await fetch(address, { signal });
  assert.equal(answer.status, 200, `${path}: ${answer.status}`);
  return answer.json();
}

/** @param {string} path @param {typeof VIEWERS[number]} viewer */
async function socialPlus(path, viewer) {
  const answer = await fetch(`${broker.http}/social-plus/${path}`, {
    headers: { authorization: `Bearer ${viewer.token}` },
  });
  assert.equal(answer.status, 200, `${path}: ${answer.status}`);
  return answer.json();
}

/** Somebody who listens as LiveLike's library does, and keeps what the events come to. */
class Listener {
  /** @type {Map<string, unknown>} */
  members = new Map();
  /** @type {Record<string, string> | undefined} */
  at;

  /** @param {typeof VIEWERS[number]} viewer */
  constructor(viewer) {
    this.viewer = viewer;
  }

  async begin() {
    await this.poll();
    this.members = await hereNow(this.viewer);
  }

  /** One poll, which is given up if nothing comes. */
  async poll() {
    const signal = this.at && AbortSignal.timeout(150);
    const path = `v2/subscribe/key/${ROOM}-pnpres/0`;
    const answer = await pubnub(path, this.viewer, this.at, signal).catch((error) => {
      if (error.name !== 'TimeoutError') throw error;
    });
    if (!answer) return;
    const isFirst = !this.at;
    this.at = { tt: answer.t.t, tr: String(answer.t.r) };
    if (!isFirst) for (const { d } of answer.m) this.hear(d);
  }

  /** @param {{action: string, uuid: string, data?: unknown}} event */
  hear({ action, uuid, data }) {
    const known = this.members.has(uuid);
    if (action === 'join') {
      this.members.set(uuid, data ?? {});
    } else if (action === 'state-change') {
      assert.ok(known, `${this.viewer.name} is told the state of ${uuid}, whom it does not know`);
      this.members.set(uuid, data);
    } else if (action === 'leave' || action === 'timeout') {
      assert.ok(known, `${this.viewer.name} is told that ${uuid} is gone, whom it does not know`);
      this.members.delete(uuid);
    } else {
      assert.fail(`an event ${action}`);
    }
  }
}

/** @param {typeof VIEWERS[number]} viewer */
async function hereNow(viewer) {
  const { uuids } = await pubnub(`v2/presence/sub-key/key/channel/${ROOM}`, viewer, { state: '1' });
  return new Map(uuids.map((/** @type {{uuid: string, state?: unknown}} */ one) => [one.uuid, one.state ?? {}]));
}

/** @param {typeof VIEWERS[number]} viewer */
async function shown(viewer) {
  const { body } = await ours(`channels/${ROOM}/members`, viewer.token);
  return new Map(body.members.map((/** @type {{user: string, attributes: unknown}} */ one) => [one.user, one.attributes]));
}

/** @param {Map<string, unknown>} map */
const sorted = (map) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

async function step() {
  const { name, token: auth } = anyOf(VIEWERS);
  const path = `channels/${ROOM}/members/${name}`;
  if (Math.random() < 0.25) {
    await ours(path, auth, { method: 'DELETE' });
    return;
  }
  const body = {
    ...(Math.random() < 0.7 && { visibleTo: anyOf(AUDIENCES) }),
    ...(Math.random() < 0.7 && { attributes: { n: Math.floor(Math.random() * 3) } }),
  };
  const { status } = await ours(path, auth, { method: 'PUT', body: JSON.stringify(body) });
  assert.ok(status < 300, `a lease: ${status}`);
}

/** @param {typeof VIEWERS[number]} viewer @param {Map<string, unknown>} seen */
async function compare(viewer, seen) {
  const { body: numbers } = await ours(`channels/${ROOM}`, viewer.token);
  assert.deepEqual(sorted(await hereNow(viewer)), sorted(seen), `here now, to ${viewer.name}`);
  const all = await pubnub(`v2/presence/sub-key/key/channel/${ROOM},other`, viewer);
  const { occupancy, uuids = [] } = all.payload.channels[ROOM] ?? { occupancy: 0 };
  assert.deepEqual([...uuids].sort(), [...seen.keys()].sort(), `here now of several, to ${viewer.name}`);
  assert.equal(occupancy, numbers.count, 'the occupancy is the public count');
  const { viewers } = await socialPlus(`api/v1/presence/rooms/${ROOM}/users`, viewer);
  const ids = viewers.map((/** @type {{userId: string}} */ one) => one.userId);
  assert.deepEqual(ids.sort(), [...seen.keys()].sort(), `viewers, to ${viewer.name}`);
  const counted = await socialPlus(`api/v1/presence/rooms/${ROOM}/users/count`, viewer);
  assert.equal(counted.count, numbers.count);
  for (const { name } of VIEWERS) {
    const { body } = await ours(`users/${name}/channels`, viewer.token);
    const where = await pubnub(`v2/presence/sub-key/key/uuid/${name}`, viewer);
    assert.deepEqual(where.payload.channels, body.channels, `where ${name} is, to ${viewer.name}`);
    const state = await pubnub(`v2/presence/sub-key/key/channel/${ROOM}/uuid/${name}`, viewer);
    assert.deepEqual(state.payload, seen.get(name) ?? {}, `the state of ${name}, to ${viewer.name}`);
  }
}

test("no vendor's path shows what our own does not", { timeout: 120_000 }, async () => {
  const listeners = VIEWERS.map((viewer) => new Listener(viewer));
  for (const listener of listeners) await listener.begin();
  for (let n = 0; n < STEPS; n += 1) {
    await step();
    await Promise.all(listeners.map(async (listener) => {
      const { viewer } = listener;
      const seen = await shown(viewer);
      await compare(viewer, seen);
      await until(`${viewer.name} was told all that it may see, after step ${n}`, async () => {
        if (isEqual(listener.members, seen)) return true;
        await listener.poll();
        return isEqual(listener.members, seen);
      });
    }));
  }
  // Nothing was owed but what made it so.
  for (const listener of listeners) {
    await listener.poll();
    assert.deepEqual(sorted(listener.members), sorted(await shown(listener.viewer)));
  }
});

/** @param {Map<string, unknown>} a @param {Map<string, unknown>} b */
function isEqual(a, b) {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}
