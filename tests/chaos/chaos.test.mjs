/**
 * Clients that behave and misbehave at random, with short time-outs: they join, leave and write, crash,
 * hang, crawl, flood, send nonsense, change their tokens, are thrown out, and are kept present by back
 * ends. Whenever they rest, exactly those are shown who are there; who behaves is never closed, nor
 * told anything false; nothing panics; and when all are gone, nothing of them is left.
 * `HERENOW_SEED=… node --test` rolls the same dice. `scripts/chaos` runs it for minutes, ten times.
 */

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { agree } from '../nodes/answers.mjs';
import { Observer } from '../nodes/line.mjs';
import { Actor, BackEnd, CHANNELS } from './actor.mjs';
import { BORNE_MS, mint, startStage } from './stage.mjs';

const ROUNDS = Number(process.env.HERENOW_CHAOS_ROUNDS ?? 1);
const ROUND_MS = 8_000;
const ACTORS = 60;
/** What lasts at most after all rest: a lease of 3 s, a grace of 1.5 s, whoever hung. */
const SETTLES_MS = BORNE_MS * 2 + 3_000;

/** Who behaves: two members, one of whom writes, and those who are told everything. @param {import('./stage.mjs').Stage} stage */
async function openHonest(stage) {
  const observers = await Promise.all(CHANNELS.map(async (channel) => {
    const line = await stage.open(mint('observer'), 'observer');
    const observer = new Observer(line, channel);
    line.onframe = (frame) => { if (frame.channel === channel) observer.take(frame); };
    await line.request({ type: 'subscribe', channel, level: 'events' });
    return observer;
  }));
  const members = await Promise.all(['steady-1', 'steady-2'].map(async (user) => {
    const line = await stage.open(mint(user), user);
    for (const channel of CHANNELS) await line.request({ type: 'join', channel });
    return line;
  }));
  const took = /** @type {number[]} */ ([]);
  let over = false;
  const beating = (async () => {
    for (let n = 0; !over; n++) {
      for (const line of [...members, ...observers.map((each) => each.line)]) /** @type {any} */ (line).send({ type: 'heartbeat' });
      const begun = performance.now();
      await members[0].request({ type: 'setAttributes', channel: CHANNELS[n % CHANNELS.length], attributes: { n } });
      took.push(performance.now() - begun);
      await sleep(300);
    }
  })();
  return {
    observers,
    members,
    took,
    closed: () => [...members, ...observers.map((each) => each.line)].map(({ closed }) => closed).filter((code) => code !== null),
    async end() {
      over = true;
      await beating;
      // Whoever is told first, so that none sees the others go.
      for (const line of [...observers.map((each) => each.line), ...members]) await line.close();
    },
  };
}

/** What is wrong with who is shown. @param {Crowd} crowd @param {Observer[]} observers */
async function wrong({ stage, actors, backEnds }, observers) {
  const found = await Promise.all(CHANNELS.map(async (channel, index) => {
    const members = await stage.members(channel);
    const shown = new Set(members.map(({ user }) => user));
    const now = Date.now();
    const wanted = new Set(['steady-1', 'steady-2',
      ...actors.filter(({ joined }) => joined.has(channel)).map(({ user }) => user),
      ...backEnds.filter(({ leases }) => (leases.get(channel) ?? 0) > now).map(({ user }) => user)]);
    const replica = observers[index].replica.members;
    const differs = members.filter(({ user, attributes }) => (
      JSON.stringify(replica.get(user)?.attributes) !== JSON.stringify(attributes)
    ));
    return [
      ...[...shown].filter((user) => !wanted.has(user)).map((user) => `${user} is a ghost in ${channel}`),
      ...[...wanted].filter((user) => !shown.has(user)).map((user) => `${user} is missing in ${channel}`),
      ...[...replica.keys()].filter((user) => !shown.has(user)).map((user) => `the replica of ${channel} has ${user}`),
      // The one who writes all the time may be a moment behind.
      ...differs.filter(({ user }) => user !== 'steady-1').map(({ user }) => `the replica of ${channel} differs in ${user}`),
    ];
  }));
  return found.flat();
}

/** Those who act. @param {import('./stage.mjs').Stage} stage */
function crowdOf(stage) {
  const users = Array.from({ length: ACTORS * 0.7 }, (_, n) => `user-${n}`);
  const backEnds = users.map((user) => new BackEnd(stage, user));
  const actors = Array.from({ length: ACTORS }, (_, n) => new Actor(backEnds[n % users.length], users));
  return { stage, backEnds, actors };
}
/** @typedef {ReturnType<typeof crowdOf>} Crowd */

/** All act, come to rest, and some are thrown out; then exactly those are shown who are there. @param {Crowd} crowd @param {Awaited<ReturnType<typeof openHonest>>} honest */
async function round(crowd, honest) {
  const { actors, backEnds } = crowd;
  const until = performance.now() + ROUND_MS;
  let over = false;
  try {
    let resting = 0;
    const acting = actors.map(async (actor) => {
      await actor.act(until);
      resting += 1;
      await actor.stay(() => over || resting === ACTORS);
    });
    await Promise.all(acting);
    for (const victim of backEnds.slice(0, 3)) {
      await victim.kick();
      await Promise.all(actors.filter(({ backEnd }) => backEnd === victim).map((actor) => actor.kicked()));
    }
    const staying = Promise.all(actors.map((actor) => actor.stay(() => over)));
    await agree('who is shown', SETTLES_MS, () => wrong(crowd, honest.observers));
    over = true;
    await staying;
  } finally {
    over = true;
  }
  assert.deepEqual([...actors, ...backEnds].flatMap(({ faults }) => faults), []);
  assert.deepEqual(honest.observers.flatMap(({ complaints }) => complaints), []);
  assert.deepEqual(honest.closed(), []);
}

/** @param {import('./stage.mjs').Stage} stage @param {number} rounds */
async function rage(stage, rounds) {
  const crowd = crowdOf(stage);
  const honest = await openHonest(stage);
  try {
    for (let n = 0; n < rounds; n++) await round(crowd, honest);
  } finally {
    for (const each of [...crowd.actors, ...crowd.backEnds]) await each.end();
    await honest.end();
  }
  const told = honest.observers.flatMap(({ told: all, channel }) => all
    .filter(({ event, user }) => user.startsWith('steady') && event !== 'updateAttributes')
    .map(({ event, user, reason }) => `${channel}: ${event} ${user} ${reason ?? ''}`));
  // Each came once, and neither went.
  assert.equal(told.length, CHANNELS.length * 2, told.join('\n'));
  assert(told.every((line) => line.includes(': join ')), told.join('\n'));
  return honest.took.sort((one, other) => one - other);
}

/** What is left, once nobody is there. @param {import('./stage.mjs').Stage} stage */
async function leftovers(stage) {
  const { connections, channels, members, subscribers, watchers, backlog_bytes } = await stage.numbers();
  return Object.entries({ connections, channels, members, subscribers, watchers, backlog_bytes })
    .filter(([, number]) => number !== 0)
    .map(([name, number]) => `${number} ${name}`);
}

test('who misbehaves harms nobody, and leaves nothing behind', async () => {
  const stage = await startStage();
  try {
    // The first time fills caches and pools, which stay.
    await rage(stage, 1);
    await agree('after the first', 20_000, () => leftovers(stage));
    await sleep(6_000);
    const before = await stage.numbers();
    const took = await rage(stage, ROUNDS);
    await agree('at the end', 20_000, () => leftovers(stage));
    await agree('of its own it holds more', 20_000, async () => {
      const now = await stage.numbers();
      return ['tasks', 'open_files', 'resident_bytes', 'users']
        .filter((name) => now[name] > Math.max(before[name] * 1.05, before[name] + 3))
        .map((name) => `${now[name]} ${name}, not ${before[name]}`);
    });
    const after = await stage.numbers();
    assert.equal(after.panics_total, 0);
    const at = (/** @type {number} */ share) => took[Math.floor(took.length * share)].toFixed(1);
    console.log(`${ROUNDS} rounds; who behaves is answered in ${at(0.5)} ms (p50), ${at(0.99)} ms (p99)`);
    console.log(`tasks ${before.tasks} → ${after.tasks}, files ${before.open_files} → ${after.open_files}, KiB ${before.resident_bytes >> 10} → ${after.resident_bytes >> 10}`);
  } finally {
    await stage.broker.stop('SIGKILL');
  }
});
