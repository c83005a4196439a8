/** What every test against a real broker stands on: the broker, a wire to it that can be cut, and ports. */

import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { owned } from './owned.js';

export const BROKER = process.env.HERENOW_BIN
  ?? fileURLToPath(new URL('../../../target/debug/herenow', import.meta.url));

/**
 * A broker of our own, on a free port unless told which.
 * @param {{port?: number, flags?: string[], env?: Record<string, string>}} [options]
 */
export async function startBroker({ port = 0, flags = [], env = {} } = {}) {
  const child = owned(spawn(BROKER, ['--listen', `127.0.0.1:${port}`, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, HERENOW_LOG: 'error', ...env },
  }));
  return {
    ...addresses(await listening(child)),
    pid: /** @type {number} */ (child.pid),
    /** @param {NodeJS.Signals} signal */
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, 'exit');
    },
  };
}

/** Where a broker is, for pages and for clients. @param {string} http */
function addresses(http) {
  return { http, url: `${http.replace('http', 'ws')}/ws`, port: Number(new URL(http).port) };
}

/** @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, null>} child @returns {Promise<string>} */
function listening(child) {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      const http = /^listening on (https?:\S+)/.exec(line)?.[1];
      if (http) resolve(http);
      else reject(new Error(`the broker began with ${JSON.stringify(line)}`));
    });
    // Without these a broker that can't be started would be waited for without end.
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the broker ended with ${code}`)));
  });
}

/**
 * A port to be listened on by somebody else, or more than once. It is below those that Linux gives away by
 * itself (32,768 and above), so nobody gets it by chance in the meantime.
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 32_768);
    const server = net.createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(() => true, () => false);
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** A wire that loses connections as a network does: without a goodbye. @param {number} port of the broker */
export async function startWire(port) {
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = /** @type {net.AddressInfo} */ (server.address());
  return {
    ...addresses(`http://127.0.0.1:${address.port}`),
    /** Cuts all connections that there are. */
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    /** Nothing comes through any more on the connections that there are, and nobody is told. */
    freeze() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
