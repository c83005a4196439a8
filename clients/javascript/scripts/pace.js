/**
 * How long what somebody writes at 125 Hz takes until others see it, or something newer.
 *
 *   npm run pace -- [SECONDS] [OBSERVERS]
 *
 * Fails above 100 ms (99 of 100), or if a single write is refused. With the broker of a debug build, or
 * on a machine that does something else, it is slower.
 */

import WebSocket from 'ws';
import { connect } from '../src/index.js';
import { startBroker } from '../test/rig.js';

const [seconds = 20, observers = 50] = process.argv.slice(2).map(Number);
const INTERVAL_MS = 8;
const BOUND_MS = 100;

const broker = await startBroker();
const here = connect(broker.url, { user: 'ada', WebSocket });
const room = here.channel('pace');
await room.join({ n: -1 });

/** When each value was written. @type {number[]} */
const at = [];
/** From a write until an observer shows it or something newer. @type {number[]} */
const tookMs = [];
const all = Array.from({ length: observers }, (_, n) => connect(broker.url, { user: `observer-${n}`, WebSocket }));
const seen = all.map(() => 0);
await Promise.all(all.map(async (each, who) => {
  const watched = each.channel('pace');
  watched.on('updateAttributes', ({ attributes }) => {
    const now = performance.now();
    for (; seen[who] <= Number(attributes.n); seen[who] += 1) tookMs.push(now - at[seen[who]]);
  });
  await watched.subscribe();
}));

let frames = 0;
here.on('frame', ({ direction }) => { frames += Number(direction === 'out'); });
/** @type {Promise<void>[]} */
const writes = [];
let refused = 0;
const began = performance.now();
await new Promise((resolve) => {
  const timer = setInterval(() => {
    // A timer that was late is made up for.
    while (began + writes.length * INTERVAL_MS < performance.now()) {
      const n = writes.length;
      at.push(performance.now());
      writes.push(room.setAttributes({ n, x: n % 1_000, y: n % 700 }).catch(() => { refused += 1; }));
    }
    if (performance.now() < began + seconds * 1_000) return;
    clearInterval(timer);
    resolve(null);
  }, 4);
});
await Promise.all(writes);
while (seen.some((n) => n < writes.length)) await new Promise((resolve) => setTimeout(resolve, 5));

tookMs.sort((a, b) => a - b);
const of = (/** @type {number} */ share) => Math.round(tookMs[Math.floor((tookMs.length - 1) * share)]);
console.log(`${writes.length} writes in ${frames} frames, ${observers} observers, ${refused} refused`);
console.log(`until seen: p50 ${of(0.5)} ms, p99 ${of(0.99)} ms, longest ${of(1)} ms`);
for (const each of [here, ...all]) each.close();
await broker.stop();
process.exitCode = refused || of(0.99) > BOUND_MS ? 1 : 0;
