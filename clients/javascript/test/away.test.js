/** Being away: each page says it for itself, and who sits in front of one of them is not away. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, loses, stage, until } from './broker.js';
import { hide } from './hidden.js';

const { broker, wire, clients } = await stage();
let rooms = 0;

/** Somebody whose page is never hidden. @param {string} user */
function elsewhere(user) {
  const own = globalThis.document;
  Object.assign(globalThis, { document: undefined });
  const here = client(broker.url, { user });
  clients.push(here);
  Object.assign(globalThis, { document: own });
  return here;
}

/** Ada with a page of her own, and somebody who watches the room and her status. */
async function scene() {
  const [name, user] = [`room-${++rooms}`, `ada-${rooms}`];
  const here = client(wire.url, { user });
  const observer = elsewhere('observer');
  clients.push(here);
  const room = observer.channel(name);
  /** Whether she is away, each time that anything is told of her. @type {(boolean | undefined)[]} */
  const told = [];
  room.on('join', ({ away }) => told.push(away));
  room.on('updateAttributes', ({ away }) => told.push(away));
  await room.subscribe();
  /** @type {(boolean | undefined)[]} */
  const statuses = [];
  observer.user(user).watch(({ online, away }) => online && statuses.push(away));
  return { here, ada: here.channel(name), room, name, user, told, statuses, observer };
}

test('whenHidden: away', async () => {
  const { ada, room, user, told } = await scene();
  await ada.join({ mood: 'happy' }, { whenHidden: 'away' });
  assert.equal(room.get(user)?.away, undefined);
  hide(true);
  await until('she is away', () => room.get(user)?.away);
  assert.deepEqual(room.get(user)?.attributes, { mood: 'happy' }, 'her attributes are her own');
  hide(false);
  await until('she is back', () => !room.get(user)?.away);
  assert.deepEqual(told, [undefined, true, undefined]);
  // Who hides before the join is away from the first.
  const other = (await scene());
  hide(true);
  await other.ada.join({}, { whenHidden: 'away' });
  await until('she came', () => other.room.get(other.user));
  assert.equal(other.room.get(other.user)?.away, true);
  hide(false);
  await until('she is back', () => !other.room.get(other.user)?.away);
  // Another wish: it is not said any more.
  await other.ada.join(undefined, { whenHidden: 'stay' });
  hide(true);
  await other.ada.setAttributes({ n: 1 });
  await until('it shows', () => other.room.get(other.user)?.attributes.n === 1);
  assert.equal(other.room.get(other.user)?.away, undefined);
  hide(false);
});

test('who looks at one of two pages is not away', async () => {
  const { ada, room, name, user, told } = await scene();
  const laptop = elsewhere(user).channel(name);
  await ada.join({}, { whenHidden: 'away' });
  await laptop.join();
  hide(true);
  await laptop.setAttributes({ n: 1 });
  await until('it shows', () => room.get(user)?.attributes.n === 1);
  assert.equal(room.get(user)?.away, undefined);
  await laptop.away();
  await until('both are', () => room.get(user)?.away);
  await laptop.away(false);
  await until('she is back', () => !room.get(user)?.away);
  await laptop.leave();
  await until('the hidden page is all that is left', () => room.get(user)?.away);
  hide(false);
  await until('she is back again', () => !room.get(user)?.away);
  assert.deepEqual(told, [undefined, undefined, true, undefined, true, undefined]);
});

test('a hidden page that connects anew does not flicker, in a channel or in the status', async () => {
  const { here, ada, room, user, told, statuses, name } = await scene();
  await here.channel(`${name}-watched`).subscribe();
  await ada.join({}, { whenHidden: 'away' });
  hide(true);
  await until('she is away', () => room.get(user)?.away && statuses.at(-1));
  const [before, seen] = [told.length, statuses.length];
  for (let n = 0; n < 3; n++) {
    await loses(here, () => wire.cut());
    await until('she is in again', () => ada.joined === 'in');
  }
  await ada.setAttributes({ n: 1 });
  await until('it shows', () => room.get(user)?.attributes.n === 1);
  assert.deepEqual(told.slice(before), [true], 'only what she wrote');
  assert.deepEqual(statuses.slice(seen), []);
  // And one that was shown meanwhile says so.
  await loses(here, () => {
    wire.cut();
    hide(false);
  });
  await until('she is back', () => !room.get(user)?.away);
});

test('away everywhere: in every channel, those to come included, and in the status', async () => {
  const { here, ada, room, user, name, statuses } = await scene();
  await here.away();
  await until('her status says so', () => statuses.at(-1) === true);
  await ada.join();
  await until('she is there', () => room.get(user));
  assert.equal(room.get(user)?.away, true);
  await loses(here, () => wire.cut());
  await until('she is in again', () => ada.joined === 'in');
  const hall = here.channel(`${name}-hall`);
  await hall.subscribe();
  await hall.join({}, { whenHidden: 'away' });
  assert.equal(hall.self?.away, true);
  hide(true);
  await here.away(false);
  // Each channel by itself: this one is away for as long as the page is hidden.
  await until('she is back', () => !room.get(user)?.away);
  await until('and not there', () => hall.self?.away);
  hide(false);
  await until('nor hidden', () => !hall.self?.away);
  await until('her status, too', () => statuses.at(-1) === undefined);
});

test('what is said without a connection is said on the next', async () => {
  const { here, ada, room, user } = await scene();
  await ada.join();
  await until('she is there', () => room.get(user));
  const saying = new Promise((resolve) => {
    const stop = here.on('state', ({ phase }) => {
      if (phase !== 'waiting') return;
      stop();
      resolve(ada.away());
    });
  });
  wire.cut();
  await saying;
  await until('it shows', () => room.get(user)?.away);
  await ada.leave();
  await assert.rejects(ada.away(), { code: 'not_joined' });
  // It does not outlive the membership.
  await ada.join();
  await until('she is there again', () => room.get(user));
  assert.equal(room.get(user)?.away, undefined);
});
