/** Promises that nobody looks at: what is no news ends no process, and what is an error still does. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { owned } from './owned.js';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
before(async () => { broker = await startBroker(); });
after(() => broker.stop());

/**
 * Runs a program in a process of its own.
 * @param {string} program with `here`, a client that reaches a broker, and `nowhere`, one that does not
 */
async function run(program) {
  const child = owned(spawn(process.execPath, ['--input-type=module', '-e', `
    import WebSocket from 'ws';
    import { connect } from '${fileURLToPath(new URL('../src/index.js', import.meta.url))}';
    import * as livelike from '${fileURLToPath(new URL('../src/livelike.js', import.meta.url))}';
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const here = connect('${broker.url}', { user: 'ada', WebSocket });
    const nowhere = connect('ws://127.0.0.1:1/ws', { user: 'ada', WebSocket, timeoutMs: 100, firstRetryMs: 10, maxRetryMs: 50 });
    ${program}
    here.close();
    nowhere.close();
    await sleep(50);
    console.log('done');
  `], { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: ['ignore', 'pipe', 'pipe'] }));
  let told = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { told += data; });
  const [code] = await once(child, 'close');
  return { code, told };
}

/** @param {string} program */
async function survives(program) {
  const { code, told } = await run(program);
  assert.equal(code, 0, told);
  assert.match(told, /done\n$/);
}

test('subscribe, join and setAttributes that run out of time go on being wanted', () => survives(`
  const room = nowhere.channel('room');
  room.subscribe();
  room.join();
  room.setAttributes({ mood: 'happy' });
  await sleep(300);
  for (const each of [() => room.subscribe(), () => room.join()]) {
    const error = await each().catch((error) => error);
    if (error.code !== 'timeout' || !error.wanted) throw new Error('who awaits it learns it: ' + error);
  }
`));

test('what another call overtakes', () => survives(`
  const room = here.channel('room');
  room.join();
  room.subscribe();
  room.setAttributes({ mood: 'happy' });
  room.leave();
  room.unsubscribe();
  await sleep(300);
  const joining = room.join();
  await room.leave();
  const error = await joining.catch((error) => error);
  if (error.code !== 'superseded') throw new Error('who awaits it learns it: ' + error);
`));

test('what is asked of a client that is closed, before and after', () => survives(`
  const room = here.channel('room');
  const open = () => [
    room.join(), room.subscribe(), room.leave(), room.unsubscribe(), room.setAttributes({ a: 1 }), room.getMembers(),
    room.getCount(), room.getAttributes(), here.status({ busy: true }), here.getChannels(), here.request({ type: 'getChannels' }),
  ];
  open();
  here.close();
  open();
  const facade = livelike.init({ endpoint: 'ws://127.0.0.1:1/ws', userProfileId: 'ada', WebSocket });
  livelike.joinPresenceChannel({ channel: 'room' });
  livelike.getPresenceChannelUsers({ channel: 'room' });
  livelike.addPresenceListener({ channel: 'room' }, () => {});
  livelike.close();
  await sleep(50);
  const error = await room.join().catch((error) => error);
  if (error.code !== 'closed') throw new Error('who awaits it learns it: ' + error);
`));

test('what is refused is an error that nobody looks at, and that is loud', async () => {
  const { code, told } = await run(`
    here.channel('$nope').join();
    await sleep(300);
  `);
  assert.notEqual(code, 0);
  assert.match(told, /invalid_field/);
});
