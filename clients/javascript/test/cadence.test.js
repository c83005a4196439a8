/** A channel that wants heartbeats more often than others: the client sends them before it is asked. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { client, sleep, startBroker } from './broker.js';

const folder = await mkdtemp(join(tmpdir(), 'herenow-cadence-'));
const file = join(folder, 'herenow.toml');
await writeFile(file, '[[channel]]\npattern = "quick"\npresence-timeout = "600ms"\n');
const broker = await startBroker({ flags: ['--config', file] });
/** @type {import('../src/client.js').Client[]} */
const clients = [];
after(async () => {
  for (const each of clients) each.close();
  await broker.stop();
  await rm(folder, { recursive: true });
});

/** A client, and what it said and heard. @param {string} user */
function listened(user) {
  const here = client(broker.url, { user });
  /** @type {Record<'in' | 'out', string[]>} */
  const frames = { in: [], out: [] };
  here.on('frame', ({ direction, text }) => frames[direction].push(text));
  clients.push(here);
  return { here, frames };
}

/** @param {string[]} texts @param {string} type */
const those = (texts, type) => texts.filter((text) => JSON.parse(text).type === type);

test('it keeps the cadence of the quickest channel', async () => {
  const { here, frames } = listened('ada');
  await here.channel('slow').join();
  await sleep(1_500);
  assert.equal(those(frames.out, 'heartbeat').length, 0, 'half a minute is enough there');
  const quick = here.channel('quick');
  await quick.join();
  await sleep(2_000);
  assert.equal(quick.joined, 'in');
  assert.equal(those(frames.in, 'removed').length, 0);
  assert.equal(those(frames.in, 'heartbeatDue').length, 0, 'the broker had to ask');
  const beats = those(frames.out, 'heartbeat').length;
  assert(beats >= 4 && beats <= 8, `${beats} heartbeats in 2 s, of which one is wanted every 300 ms`);
});
