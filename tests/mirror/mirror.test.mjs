/**
 * The mirror of `examples/`: its table equals the broker whenever both rest, whatever became of either.
 * `HERENOW_SEED` repeats a history, `MIRROR_ROUNDS` says how many there are (1).
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { owned } from '../../clients/javascript/test/owned.js';
import { freePort, startBroker } from '../../clients/javascript/test/rig.js';
import '../../clients/javascript/test/seed.js';

const MIRROR = fileURLToPath(new URL('../../examples/mirror/mirror.mjs', import.meta.url));
const { Database } = createRequire(MIRROR)('node-sqlite3-wasm');
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const PATIENCE_MS = 90_000;
const ROUNDS = Number(process.env.MIRROR_ROUNDS ?? 1);
/** So long a receiver is down: a minute where there is time for it. */
const DOWN_MS = ROUNDS > 1 ? 60_000 : 4_000;

const below = (end) => Math.floor(Math.random() * end);

/** A mirror that runs: killed as a machine that loses power does it. */
async function startMirror(file, broker) {
  const env = { ...process.env, SECRET, BROKER: broker, FILE: file, PORT: '0' };
  const child = owned(spawn(process.execPath, [MIRROR], { env, stdio: ['ignore', 'pipe', 'ignore'] }));
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return {
    url: line.replace('listening on ', ''),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** Between broker and mirror: passes on, or does what receivers do on bad days. */
async function startDoor() {
  const door = { mode: 'well', behind: '', gaps: 0, failed: 0 };
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    try {
      if (door.mode === 'failing') throw new Error('500');
      if (door.mode === 'slow') await sleep(300);
      const { host: _, connection: __, 'content-length': ___, ...headers } = request.headers;
      const answer = await fetch(door.behind, { method: 'POST', headers, body });
      if (answer.ok) door.gaps += JSON.parse(body).events.filter(({ type }) => type === 'gap').length;
      response.writeHead(answer.status).end();
    } catch {
      door.failed += 1;
      response.writeHead(500).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(door, { url: `http://127.0.0.1:${server.address().port}/`, stop: () => server.close() });
}

const address = (broker, channel, user) => `${broker.http}/v1/channels/${channel}/members/${user}`;

/** Somebody comes, says something else, or goes. */
async function act(broker, fat) {
  const at = address(broker, `room-${below(4)}`, `user-${below(30)}`);
  const body = JSON.stringify({ attributes: { n: below(1e6), pad: 'x'.repeat(fat ? 3_500 : below(40)) } });
  const headers = { 'content-type': 'application/json' };
  const answer = below(4) === 0 ? await fetch(at, { method: 'DELETE' }) : await fetch(at, { method: 'PUT', headers, body });
  assert.ok(answer.ok, `${answer.status}`);
  await answer.arrayBuffer();
}

/** Who is where, by the broker: a line each. */
async function truth(broker) {
  const json = async (path) => (await fetch(`${broker.http}/v1${path}`)).json();
  const { channels } = await json('/channels?limit=1000');
  const lists = channels.map(async ({ channel }) => {
    const { members } = await json(`/channels/${channel}/members?limit=1000`);
    return members.map(({ user, attributes }) => `${channel} ${user} ${JSON.stringify(attributes)}`);
  });
  return (await Promise.all(lists)).flat().sort();
}

/** The same by the mirror's table. */
function mirrored(file) {
  const db = new Database(file, { readOnly: true });
  try {
    return db.all('SELECT * FROM members').map(({ channel, user, attributes }) => `${channel} ${user} ${attributes}`).sort();
  } finally {
    db.close();
  }
}

async function equal(broker, file) {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    let there;
    const wanted = await truth(broker);
    try {
      there = mirrored(file);
    } catch {
      // It is being written.
    }
    if (there && there.join('\n') === wanted.join('\n')) return wanted.length;
    if (Date.now() > until) assert.deepEqual(there, wanted);
    await sleep(100);
  }
}

/** What may happen to either side. */
const TROUBLES = ['none', 'broker dies', 'mirror dies', 'mirror is down', 'failing', 'slow', 'too much'];

for (let round = 1; round <= ROUNDS; round += 1) {
  test(`round ${round}: the table equals the broker at every quiet point`, { timeout: 600_000 }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'herenow-mirror-'));
    const file = join(folder, 'mirror.db');
    const door = await startDoor();
    const hooks = join(folder, 'hooks.toml');
    await writeFile(hooks, `[[hook]]\nname = "mirror"\nurl = "${door.url}"\nsecret = "${SECRET}"\n`);
    const flags = ['--webhooks-file', hooks, '--webhooks-allow-private', '--max-webhook-bytes', String(1 << 20),
      '--max-requests-per-second', '1000000', '--max-requests-burst', '1000000'];
    let broker = await startBroker({ port: await freePort(), flags });
    let mirror = await startMirror(file, broker.http);
    door.behind = mirror.url;
    t.after(async () => {
      await mirror.kill();
      await broker.stop('SIGKILL');
      door.stop();
      await rm(folder, { recursive: true });
    });
    const restartMirror = async () => {
      mirror = await startMirror(file, broker.http);
      door.behind = mirror.url;
    };
    const acts = async (many, fat) => {
      for (let done = 0; done < many; done += 1) await act(broker, fat);
    };
    // Each at least once, in any order.
    for (const trouble of TROUBLES.map((one) => [Math.random(), one]).sort().map(([, one]) => one)) {
      await acts(below(100));
      if (trouble === 'broker dies') {
        const { port } = broker;
        await broker.stop('SIGKILL');
        broker = await startBroker({ port, flags });
      } else if (trouble === 'mirror dies' || trouble === 'mirror is down') {
        await mirror.kill();
        if (trouble === 'mirror is down') await sleep(DOWN_MS);
        await acts(below(50));
        await restartMirror();
      } else if (trouble === 'too much') {
        door.mode = 'failing';
        const { gaps } = door;
        await acts(600, true);
        door.mode = 'well';
        await equal(broker, file);
        assert.ok(door.gaps > gaps, 'nothing was dropped');
      } else if (trouble !== 'none') {
        const { failed } = door;
        door.mode = trouble;
        await acts(100);
        while (trouble === 'failing' && door.failed < failed + 2) await sleep(50);
        door.mode = 'well';
      }
      await acts(below(30));
      const members = await equal(broker, file);
      t.diagnostic(`${trouble}: ${members} members, ${door.gaps} gaps so far`);
    }
  });
}

test('what the broker did not send is refused', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'herenow-mirror-'));
  const mirror = await startMirror(join(folder, 'mirror.db'), 'http://127.0.0.1:1');
  t.after(async () => {
    await mirror.kill();
    await rm(folder, { recursive: true });
  });
  const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': 'v1,AAAA' };
  const answer = await fetch(mirror.url, { method: 'POST', headers, body: '{"events":[{"type":"started"}]}' });
  assert.equal(answer.status, 401);
});
