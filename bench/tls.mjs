/**
 * What TLS costs beside plain, in one sitting: bytes of the broker for each connection that rests, and its
 * processor time for each delivery. `cargo build --release`, then `node bench/tls.mjs [CONNECTIONS]`.
 *
 * Each connection joins and subscribes in a channel of ten, one batch after the other. Then one of 200
 * subscribers changes something, and again once all were told. Linux alone tells what a process has had
 * (`/proc`). Resident memory moves in pages: below a thousand connections it says little.
 */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';

process.env.HERENOW_BIN ??= fileURLToPath(new URL('../target/release/herenow', import.meta.url));
// Only now: the rig reads the binary's name when it is loaded.
const { startBroker } = await import('../clients/javascript/test/rig.js');
const { certificate } = await import('../clients/javascript/test/certificate.js');
const { processorMs } = await import('../tests/nodes/cluster.mjs');

const CONNECTIONS = Number(process.argv[2] ?? 10_000);
const [SUBSCRIBERS, CHANGES, AT_ONCE, IN_A_CHANNEL] = [200, 1_000, 50, 10];
const FLAGS = ['--max-connections-per-address', '1000000', '--max-frames-per-second', '100000', '--max-frames-burst', '100000'];

/** A frame with the mask 0, which leaves the payload as it is. @param {object} request */
function frame(request) {
  const text = JSON.stringify(request);
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length]), Buffer.alloc(4), Buffer.from(text)]);
}

/** @typedef {{write(request: object): void, until(text: string): Promise<unknown>, destroy(): void}} Peer */

/** Someone who is in a channel and sees it. @param {number} port @param {boolean} secure @param {string} user @param {string} channel @returns {Promise<Peer>} */
async function peer(port, secure, user, channel) {
  const to = { port, host: '127.0.0.1' };
  const socket = secure ? tls.connect({ ...to, rejectUnauthorized: false }) : net.connect(to);
  let [heard, wanted, done] = ['', '', (/** @type {unknown} */ _) => {}];
  socket.setNoDelay(true).on('data', (some) => {
    heard += some.toString('latin1');
    if (wanted && heard.includes(wanted)) {
      [heard, wanted] = ['', ''];
      done(null);
    }
  });
  await once(socket, secure ? 'secureConnect' : 'connect');
  /** @type {Peer} */
  const one = {
    write: (request) => { socket.write(frame(request)); },
    until: (text) => new Promise((resolve) => { [wanted, done] = [text, resolve]; }),
    destroy: () => { socket.destroy(); },
  };
  const shown = one.until('"snapshot"');
  socket.write(`GET /ws?user=${user} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
  one.write({ type: 'join', channel });
  one.write({ type: 'subscribe', channel });
  await shown;
  return one;
}

/** @param {number} pid bytes */
const resident = async (pid) => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

/** @param {boolean} secure */
async function measure(secure) {
  const { cert, key } = certificate();
  const broker = await startBroker({ flags: secure ? [...FLAGS, '--tls-cert-file', cert, '--tls-key-file', key] : FLAGS });
  /** @type {Peer[]} */
  const peers = [];
  /** @param {number} many @param {(n: number) => string} channel */
  async function enter(many, channel) {
    for (let first = peers.length, end = first + many; first < end; first += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, end - first) }, (_, each) => peer(broker.port, secure, `user-${first + each}`, channel(first + each)));
      peers.push(...await Promise.all(some));
    }
  }
  try {
    await enter(AT_ONCE, () => 'warm');
    await sleep(2_000);
    const before = await resident(broker.pid);
    await enter(CONNECTIONS, (n) => `room-${Math.floor(n / IN_A_CHANNEL)}`);
    await sleep(2_000);
    const bytes = (await resident(broker.pid) - before) / CONNECTIONS;
    await enter(SUBSCRIBERS, () => 'busy');
    const told = peers.slice(-SUBSCRIBERS);
    const begun = await processorMs(broker.pid);
    for (let n = 1; n <= CHANGES; n++) {
      const all = Promise.all(told.map((each) => each.until(`"n":${n}}`)));
      told[n % SUBSCRIBERS].write({ type: 'setAttributes', channel: 'busy', attributes: { n } });
      await all;
    }
    const micros = (await processorMs(broker.pid) - begun) * 1_000 / (CHANGES * SUBSCRIBERS);
    return { bytes, micros };
  } finally {
    peers.forEach((each) => each.destroy());
    await broker.stop('SIGKILL');
  }
}

for (const secure of [false, true, false, true]) {
  const { bytes, micros } = await measure(secure);
  console.log(`${secure ? 'TLS' : 'plain'}: ${bytes.toFixed(0)} bytes for each of ${CONNECTIONS} connections that rest, ${micros.toFixed(2)} µs for each delivery`);
}
process.exit();
