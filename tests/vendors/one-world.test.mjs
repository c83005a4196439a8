/**
 * One world: a LiveLike user, a social.plus viewer and a page with our own client in one channel, each
 * by the library that its app has. Each sees the others come, and go.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../../clients/javascript/src/index.js';
import { startBroker } from '../../clients/javascript/test/rig.js';
import { tellings, until } from '../../clients/javascript/test/broker.js';
import { loggedIn } from './amity.mjs';
import { Remote } from './livelike/rig.mjs';
import { certificate } from '../../clients/javascript/test/certificate.js';
import { startProxy } from './livelike/tls.mjs';

const ROOM = 'live-room';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
/** @type {Remote} */
let liveLike;
/** @type {import('../../clients/javascript/src/client.js').Client} */
let here;
before(async () => {
  const files = certificate();
  broker = await startBroker({ flags: ['--vendors', 'all'] });
  proxy = await startProxy(files, broker.port);
  liveLike = new Remote(files.cert);
  here = connect(`${broker.url}?user=paula`, { WebSocket });
});
after(async () => {
  here?.close();
  await liveLike?.kill();
  await proxy?.stop();
  await broker?.stop();
});

/** Who is there, as each of the three sees it. @param {any} viewer */
async function seen(viewer) {
  const { channelUsers } = await liveLike.do('getPresenceChannelUsers', { channel: ROOM });
  const { data } = await viewer.getRoomOnlineUsers(ROOM);
  const { count } = await viewer.getRoomUserCount(ROOM);
  const all = {
    livelike: channelUsers.map((/** @type {any} */ one) => one.userProfileId).sort(),
    socialPlus: data.map((/** @type {any} */ one) => one.userId).sort(),
    ours: here.channel(ROOM).members.map(({ user }) => user).sort(),
  };
  return { ...all, count };
}

/** @param {string[]} users */
const by = (users) => ({ livelike: users, socialPlus: users, ours: users, count: users.length });

test('a LiveLike user, a social.plus viewer and a page see each other', { timeout: 60_000 }, async () => {
  const room = here.channel(ROOM);
  const told = tellings(room);
  await room.join({ seat: 1 });
  await room.subscribe();

  await liveLike.do('livelike', { clientId: 'an-app', endpoint: `${proxy.url}/livelike/api/v1/`, accessToken: 'lilly' });
  await liveLike.do('listen', ROOM);
  await until('the LiveLike user', () => room.members.some(({ user }) => user === 'lilly'));
  await liveLike.do('setPresenceUserAttributes', { channel: ROOM, attributes: { mood: 'happy' } });

  const viewer = (await loggedIn(broker.http, { userId: 'sven', displayName: 'Sven' })).rooms;
  viewer.startHeartbeat(ROOM);
  await until('all three are seen by each', async () => {
    try {
      assert.deepEqual(await seen(viewer), by(['lilly', 'paula', 'sven']));
      return true;
    } catch (error) {
      if (!(error instanceof assert.AssertionError)) throw error;
      return false;
    }
  });
  assert.deepEqual(await liveLike.do('getPresenceUserAttributes', { channel: ROOM, userProfileId: 'paula' }), { seat: 1 });
  await until('the page is told what the LiveLike user set', () => told.includes('updateAttributes lilly {"mood":"happy"}'));
  await until('the LiveLike user hears the viewer', () => heard('join sven'));

  await room.leave();
  await until('the LiveLike user hears the page go', () => heard('leave paula'));
  await liveLike.do('unlisten', ROOM);
  await liveLike.do('leavePresenceChannel', { channel: ROOM });
  await until('the page is told that the LiveLike user left', () => told.some((line) => line.startsWith('leave lilly')));
  assert.deepEqual(room.members.map(({ user }) => user), ['sven'], 'whom social.plus keeps is there');
  viewer.stopHeartbeat(ROOM);
});

/** @param {string} line */
function heard(line) {
  return liveLike.events.some(({ event, message }) => `${event} ${message.userProfileId}` === line);
}
