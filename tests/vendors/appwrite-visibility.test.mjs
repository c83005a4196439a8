/**
 * Random histories of Appwrite's records: whatever the permissions and roles, nobody is shown what it may
 * not read, by request or by event, and everybody is shown what it may.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Query } from 'appwrite';
import { startBroker } from '../../clients/javascript/test/rig.js';
import { until } from '../../clients/javascript/test/broker.js';
import { app, bare, plain } from './appwrite-host.mjs';
import { SECRET, token } from './token.mjs';

const STEPS = 60;
const READERS = [
  'any', 'users', 'guests', 'users/verified', 'user:ada', 'user:bob/verified', 'team:blue', 'team:blue/owner',
  'member:m1', 'label:vip',
];
const VIEWERS = [
  { name: 'ada', roles: [] },
  { name: 'bob', roles: ['team:blue', 'users/verified'] },
  { name: 'carol', roles: ['team:blue/owner', 'label:vip'] },
  { name: 'dan', roles: ['member:m1', 'guests'] },
].map((one) => ({ ...one, token: token({ sub: one.name, roles: one.roles }) }));

/** Who may read, by Appwrite's words. @param {typeof VIEWERS[number]} viewer @param {{owner: string, permissions: string[]}} record */
const mayRead = (viewer, { owner, permissions }) => owner === viewer.name || permissions.some((permission) => {
  const role = /^read\("(.*)"\)$/.exec(permission)?.[1];
  if (role === undefined) return false;
  return ['any', 'users', `user:${viewer.name}`, `user:${viewer.name}/verified`].includes(role) || viewer.roles.includes(role);
});

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
before(async () => {
  broker = await startBroker({
    flags: ['--vendors', 'appwrite', '--max-requests-per-second', '100000', '--max-requests-burst', '100000'],
    env: { HERENOW_JWT_SECRET: SECRET },
  });
});
after(() => broker.stop());

/** @template T @param {readonly T[]} all */
const anyOf = (all) => /** @type {T} */ (all[Math.floor(Math.random() * all.length)]);

/** Whoever listens keeps what the events come to. */
class Listener {
  /** @type {Map<string, any>} */
  known = new Map();

  /** @param {typeof VIEWERS[number]} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.read = 0;
  }

  async begin() {
    this.line = await bare(broker, `project=shop&jwt=${this.viewer.token}`);
    this.line.send({ type: 'subscribe', data: [{ subscriptionId: 's', channels: ['presences'], queries: [] }] });
    await this.line.came(2);
    this.read = 2;
  }

  hear() {
    const frames = this.line?.frames ?? [];
    for (; this.read < frames.length; this.read += 1) {
      const { type, data: { events, payload } } = frames[this.read];
      assert.equal(type, 'event');
      if (events[1] === 'presences.*.delete') {
        assert.deepEqual(payload, this.known.get(payload.$id), `${this.viewer.name}: a delete shows what was last visible`);
        this.known.delete(payload.$id);
      } else {
        this.known.set(payload.$id, payload);
      }
    }
    return this.known;
  }
}

test('nobody is shown what it may not read, and everybody what it may', { timeout: 120_000 }, async () => {
  /** @type {Map<string, {owner: string, permissions: string[]}>} by the owner */
  const records = new Map();
  const apps = new Map(VIEWERS.map((viewer) => [viewer.name, app(broker, viewer.token)]));
  const of = (/** @type {string} */ name) => /** @type {ReturnType<typeof app>} */ (apps.get(name)).presences;
  const listeners = VIEWERS.map((viewer) => new Listener(viewer));
  for (const listener of listeners) await listener.begin();
  for (let n = 0; n < STEPS; n += 1) {
    const { name } = anyOf(VIEWERS);
    const permissions = READERS.filter(() => Math.random() < 0.15).map((role) => `read("${role}")`);
    if (Math.random() < 0.3) permissions.push('write("any")', 'update("users")');
    const fields = { presenceId: `p-${name}`, status: `step ${n}`, permissions };
    if (records.has(name) && Math.random() < 0.2) {
      await of(name).delete({ presenceId: `p-${name}` });
      records.delete(name);
    } else {
      await (records.has(name) && Math.random() < 0.5 ? of(name).update(fields) : of(name).upsert(fields));
      records.set(name, { owner: name, permissions });
    }
    for (const listener of listeners) {
      const { viewer } = listener;
      const expected = [...records.values()].filter((record) => mayRead(viewer, record)).map(({ owner }) => owner).sort();
      const { total, presences } = plain(await of(viewer.name).list());
      const label = `step ${n}, to ${viewer.name}`;
      assert.deepEqual(presences.map((/** @type {any} */ one) => one.userId).sort(), expected, label);
      assert.equal(total, expected.length, label);
      const ours = await fetch(`${broker.http}/v1/channels/$presences/members`, {
        headers: { authorization: `Bearer ${viewer.token}` },
      });
      const { members } = await ours.json();
      assert.deepEqual(members.map((/** @type {any} */ one) => one.user).sort(), expected, `${label}, by our own`);
      for (const { name: owner } of VIEWERS) {
        const seen = expected.includes(owner);
        const presenceId = `p-${owner}`;
        const got = await of(viewer.name).get({ presenceId }).then(() => 200, ({ code }) => code);
        assert.equal(got, seen ? 200 : 404, `${label}: ${owner}`);
        const cursor = of(viewer.name).list({ queries: [Query.cursorAfter(presenceId)] });
        assert.equal(await cursor.then(() => 200, ({ type }) => type), seen ? 200 : 'general_cursor_not_found', label);
      }
      const shown = new Map(presences.map((/** @type {any} */ one) => [one.$id, one]));
      const sorted = (/** @type {Map<string, any>} */ map) => JSON.stringify([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
      await until(`${label}: all that it may see was told`, () => sorted(listener.hear()) === sorted(shown), 5_000);
    }
  }
  for (const { line } of listeners) line?.socket.close();
});
