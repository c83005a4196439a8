/** A broker of our own for a test, and a wire to it that can be cut, frozen and slowed. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { connect } from '../src/index.js';

const BROKER = process.env.HERENOW_BIN
  ?? fileURLToPath(new URL('../../target/debug/herenow', import.meta.url));

/**
 * @param {{port?: number, flags?: string[], env?: Record<string, string>}} [options]
 */
export async function startBroker({ port = 0, flags = [], env = {} } = {}) {
  const child = spawn(BROKER, ['--listen', `127.0.0.1:${port}`, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, HERENOW_LOG: 'error', ...env },
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const http = /^listening on (http:\S+)/.exec(line)?.[1];
  if (!http) throw new Error(`the broker began with ${JSON.stringify(line)}`);
  return {
    http,
    url: `${http.replace('http', 'ws')}/ws`,
    port: Number(new URL(http).port),
    /** @param {NodeJS.Signals} signal */
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, 'exit');
    },
  };
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
    url: `ws://127.0.0.1:${address.port}/ws`,
    port: address.port,
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

/** A client that comes back fast. @param {string} url @param {import('../src/client.js').Options} [options] */
export function client(url, options) {
  return connect(url, { WebSocket, firstRetryMs: 20, maxRetryMs: 100, ...options });
}

/** What a channel tells, as short lines. @param {import('../src/channel.js').Channel} channel */
export function tellings(channel) {
  /** @type {string[]} */
  const lines = [];
  for (const event of /** @type {const} */ (['join', 'leave', 'timeout', 'updateAttributes'])) {
    channel.on(event, ({ user, attributes, reason }) => {
      lines.push([event, user, JSON.stringify(attributes), reason].filter(Boolean).join(' '));
    });
  }
  return lines;
}

/**
 * Waits for something to be so. Patience is for what never comes: nothing here takes long.
 * @param {string} what @param {() => unknown} isSo
 */
export async function until(what, isSo, patienceMs = 20_000) {
  const end = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`it never came: ${what}`);
    await sleep(10);
  }
}

/**
 * Takes a client's connection away; when this is kept it has noticed, and has not dialled again.
 * @param {import('../src/client.js').Client} here @param {() => void} cut
 */
export async function loses(here, cut) {
  const noticed = new Promise((resolve) => {
    const stop = here.on('state', ({ phase }) => {
      if (phase !== 'waiting') return;
      stop();
      resolve(null);
    });
  });
  cut();
  await noticed;
}

/** @param {number} ms */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until all that was sent to the channel before has been told there. @param {import('../src/channel.js').Channel} channel */
export async function settled(channel) {
  const { count, members } = await channel.getMembers({ limit: 1000 });
  await until('the replica is what a read shows', () => (
    channel.live && channel.count === count
    && JSON.stringify(state(channel.members)) === JSON.stringify(state(members))
  ));
}

/** @param {readonly import('../src/replica.js').Member[]} members */
export function state(members) {
  return members.map(({ user, attributes }) => [user, attributes]).sort();
}
