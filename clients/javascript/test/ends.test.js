/** A program that closes its client ends: no timer of ours and no socket keeps it. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBroker, startWire } from './broker.js';
import { owned } from './owned.js';

const cwd = fileURLToPath(new URL('..', import.meta.url));

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
/** Where nobody is any more. */
let dead = '';
before(async () => {
  const gone = await startWire(0);
  dead = gone.url;
  await gone.stop();
  broker = await startBroker({ flags: ['--max-frames-burst', '40'] });
});
after(() => broker.stop());

/** How a program stands when it closes. @type {[string, string][]} */
const CASES = [
  ['before it has dialled', ''],
  ['while it dials', `here.channel('room').join().catch(() => {}); await sleep(0);`],
  ['connected, with all that one can want', `
    const room = here.channel('room');
    room.on('change', () => {});
    await Promise.all([room.subscribe(), room.join({ mood: 'happy' }, { graceMs: 60_000 })]);
    await room.setAttributes({ typing: true }, { ttl: 60_000 });
    await new Promise((resolve) => { here.user('bob').watch(resolve); });`],
  ['with more to say than it may', `
    const room = here.channel('room');
    await room.join();
    for (let n = 0; n < 200; n += 1) room.getCount().catch(() => {});
    for (let n = 0; n < 100; n += 1) here.send('count room');
    await sleep(50);`],
  ['while it waits to dial again', `
    here = made(dead, { firstRetryMs: 60_000, maxRetryMs: 60_000, random: () => 1 });
    here.channel('room').join().catch(() => {});
    await new Promise((resolve) => { here.on('error', resolve); });`],
  ['while it waits to fetch a token again', `
    here = made(url, { token: () => { throw new Error('offline'); } });
    here.channel('room').join().catch(() => {});
    await new Promise((resolve) => { here.on('error', resolve); });`],
  ['while nothing comes through any more', `
    await here.channel('room').join();
    freeze();
    await sleep(100);
    here.channel('room').getCount().catch(() => {});
    here.check();`],
];

for (const [socket, flags, use] of /** @type {const} */ ([
  ['the package ws', [], `import WebSocket from 'ws';`],
  ['Node’s own WebSocket', ['--experimental-websocket', '--no-warnings'], 'const { WebSocket } = globalThis;'],
])) {
  for (const [when, act] of CASES) {
    // Node's own has nothing but a Close to end a connection with, and waits for the other side.
    if (flags.length && act.includes('freeze')) continue;
    // In Node.js 20, where it is an experiment, it tells nobody that there is no connection.
    if (flags.length && act.includes('dead') && process.version.startsWith('v20.')) continue;
    test(`a program ends within a second of close(), ${when}: ${socket}`, async () => {
      const wire = await startWire(broker.port);
      const child = owned(spawn(process.execPath, [...flags, '--input-type=module', '-e', `
        import { setTimeout as sleep } from 'node:timers/promises';
        import { connect } from 'herenow';
        ${use}
        const url = '${wire.url}';
        const dead = '${dead}';
        const freeze = () => console.log('freeze');
        const made = (url, options) => connect(url, { WebSocket, ...options });
        let here = made(url, { user: 'ada' });
        ${act}
        const began = performance.now();
        here.close();
        process.on('exit', () => console.log('ended', performance.now() - began));
      `], { cwd, stdio: ['ignore', 'pipe', 'inherit'] }));
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text) => {
        said += text;
        if (text.includes('freeze')) wire.freeze();
      });
      const patience = setTimeout(() => child.kill(), 8_000);
      await once(child, 'close');
      clearTimeout(patience);
      await wire.stop();
      const ms = Number(/ended (\S+)/.exec(said)?.[1]);
      assert.ok(ms < 1_000, `${said || 'it did not end'}`);
    });
  }
}
