/**
 * A broker that does what a scenario says, and nothing by itself but answer heartbeats: it knows no
 * presence, so what it tells is exactly what stands in the scenario.
 */

import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import { freePort } from '../javascript/test/rig.js';
import { until } from './patience.mjs';

// The one package this needs is among those of the JavaScript client's tests.
const { WebSocketServer } = createRequire(new URL('../javascript/package.json', import.meta.url))('ws');

/** What a broker says first, where a scenario does not say it otherwise. */
const WELCOME = {
  type: 'welcome',
  protocol: 1,
  connection: 'c1',
  user: 'ada',
  server: { name: 'herenow', version: '0.1.0' },
  heartbeat: { intervalMs: 30_000, timeoutMs: 60_000 },
  limits: {
    messageBytes: 16_384, attributeBytes: 4_096, attributeKeys: 64, nameBytes: 200, channels: 128, watches: 256, members: 100_000,
    framesPerSecond: 50, framesBurst: 300, graceMs: 60_000, ttlMs: 3_600_000, list: 1_000, roster: 1_000,
  },
  sight: 'sight-1',
};

/** One connection of the client. */
class Connection {
  /** Frames that no step has asked for yet, but for heartbeats. @type {any[]} */
  frames = [];
  /** When each frame came, heartbeats included. @type {number[]} */
  times = [];
  /** The heartbeats. @type {any[]} */
  heartbeats = [];
  /** With which code the client closed. @type {number | null} */
  closed = null;
  /** What it says is read, and not heard. */
  isDeaf = false;

  /** @param {any} socket @param {http.IncomingMessage} request @param {number} knockedAt when it came */
  constructor(socket, request, knockedAt) {
    this.socket = socket;
    this.knockedAt = knockedAt;
    const { searchParams } = new URL(request.url ?? '', 'http://broker');
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/,\s*/).filter(Boolean);
    const bearer = request.headers.authorization?.replace(/^Bearer /, '') ?? offered.find((each) => each.startsWith('bearer.'))?.slice(7);
    /** What the client said of itself: as a header, a subprotocol or in the address, as its language likes. */
    this.asked = {
      user: searchParams.get('user') ?? undefined,
      token: bearer ?? searchParams.get('token') ?? undefined,
      speaks: offered.filter((each) => !each.startsWith('bearer.')),
    };
    socket.on('message', (/** @type {Buffer} */ data) => this.#hear(`${data}`));
    socket.on('close', (/** @type {number} */ code) => { this.closed = code; });
    socket.on('error', () => {}); // a close follows
  }

  /** @param {string} text */
  #hear(text) {
    if (this.isDeaf) return;
    this.times.push(performance.now());
    const frame = JSON.parse(text);
    if (frame.type !== 'heartbeat') return void this.frames.push(frame);
    this.heartbeats.push(frame);
    if (frame.id !== undefined) this.say({ type: 'ok', id: frame.id });
  }

  /** @param {any} frame a text is said as it is */
  say(frame) {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Nothing is read or said any more, and nobody is told. */
  stall() {
    this.isDeaf = true;
    this.socket.pause();
  }
}

export class Broker {
  /** All that there ever were. @type {Connection[]} */
  connections = [];
  /** Handshakes that no step has asked for yet. @type {(() => Promise<Connection | void>)[]} */
  #knocking = [];
  /** Whatever lies below connections, and what is none yet. @type {Set<import('node:stream').Duplex>} */
  #sockets = new Set();
  #server = new WebSocketServer({ noServer: true, handleProtocols: () => 'herenow.v1' });
  /** @type {http.Server} */
  #http = http.createServer((_, response) => response.writeHead(404).end());
  #port = 0;
  /** The last one. @type {Connection | null} */
  #now = null;
  /** When it ended. */
  endedAt = 0;
  /** What an answer to a handshake says that is no WebSocket. @type {{status: number, problem: any} | null} */
  #rejects = null;

  get url() {
    return `ws://127.0.0.1:${this.#port}/ws`;
  }

  /** The connection that steps speak of: the last that was accepted. */
  get connection() {
    if (!this.#now) throw new Error('no connection was accepted yet');
    return this.#now;
  }

  /** How many connections were tried that no step has asked for. */
  get knocking() {
    return this.#knocking.length;
  }

  async start() {
    this.#http = http.createServer((_, response) => response.writeHead(404).end());
    this.#http.on('upgrade', (request, socket, head) => {
      const knockedAt = performance.now();
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {}); // it is gone
      this.#knocking.push(() => new Promise((resolve) => {
        if (this.#rejects) {
          const { status, problem } = this.#rejects;
          const body = JSON.stringify(problem);
          socket.end(`HTTP/1.1 ${status} Refused\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
          return resolve();
        }
        // It has given up meanwhile: whoever is to be let in knocks again.
        if (!socket.readable || !socket.writable) return resolve();
        this.#server.handleUpgrade(request, socket, head, (/** @type {any} */ webSocket) => {
          const connection = new Connection(webSocket, request, knockedAt);
          webSocket.on('close', () => { this.endedAt = performance.now(); });
          this.connections.push(connection);
          resolve(connection);
        });
      }));
    });
    // The same after `stop`, and nobody else's in between.
    this.#port ||= await freePort();
    this.#http.listen(this.#port, '127.0.0.1');
    await once(this.#http, 'listening');
  }

  /** Nobody answers at the address any more. */
  async stop() {
    // Those that knock and were never let in are closed by nobody else.
    for (const socket of this.#sockets) socket.destroy();
    this.#knocking = [];
    this.#http.closeAllConnections();
    await new Promise((resolve) => { this.#http.close(resolve); });
  }

  /** Lets the next connection in. */
  async accept() {
    this.#now = await until('a connection', () => this.#knocking.shift()?.());
    return this.#now;
  }

  /** Answers the next handshake with a problem. @param {number} status @param {any} problem */
  async reject(status, problem) {
    this.#rejects = { status, problem };
    const knock = await until('a connection', () => this.#knocking.shift());
    await knock();
    this.#rejects = null;
    this.endedAt = performance.now();
  }

  /** @param {object} [more] what differs */
  welcome(more = {}) {
    const { heartbeat, limits, ...fields } = /** @type {any} */ (more);
    this.connection.say({
      ...WELCOME,
      now: Date.now(),
      ...fields,
      heartbeat: { ...WELCOME.heartbeat, ...heartbeat },
      limits: { ...WELCOME.limits, ...limits },
    });
  }
}
