/**
 * What an attacker does, in a process of its own. It has the lowest priority, so it takes what those who
 * behave and the broker leave of the processors: a real one has a machine of its own.
 */

import { randomFillSync } from 'node:crypto';
import net from 'node:net';
import { constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** @type {{name: string, port: number, forMs: number}} */
const { name, port, forMs } = JSON.parse(process.argv[2]);
setPriority(constants.priority.PRIORITY_LOW);
const end = performance.now() + forMs;
const goes = () => performance.now() < end;

const HANDSHAKE = (/** @type {number} */ n) => `GET /ws?user=attacker-${n % 500} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;

/** A frame with the mask 0, which leaves the payload as it is. @param {number} first @param {Uint8Array} payload */
function frame(first, payload) {
  const length = payload.length < 126 ? Buffer.from([0x80 | payload.length]) : Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([Buffer.from([first]), length, Buffer.alloc(4), payload]);
}

/** A connection, and whether it was told why it ended. */
class Connection {
  ended = false;
  /** A Close frame came. */
  closed = false;
  #text = Buffer.alloc(0);

  /** @param {(connection: Connection) => void} [onready] */
  constructor(onready = () => {}) {
    this.onready = onready;
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.on('error', () => {});
    this.socket.on('close', () => { this.ended = true; });
  }

  /** @param {number} n */
  upgrade(n) {
    this.socket.write(HANDSHAKE(n));
    return new Promise((resolve) => {
      this.socket.on('close', () => resolve(false));
      this.socket.on('data', (bytes) => {
        this.#text = Buffer.concat([this.#text, bytes]);
        const head = this.#text.indexOf('\r\n\r\n');
        if (!this.upgraded && head < 0) return;
        if (!this.upgraded) {
          this.upgraded = true;
          this.#text = this.#text.subarray(head + 4);
          resolve(true);
        }
        this.#frames();
      });
    });
  }

  upgraded = false;

  #frames() {
    for (;;) {
      const text = this.#text;
      if (text.length < 2) return;
      const short = text[1] & 127;
      const header = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (text.length < header) return;
      const length = short === 126 ? text.readUInt16BE(2) : short === 127 ? Number(text.readBigUInt64BE(2)) : short;
      if (text.length < header + length) return;
      if ((text[0] & 15) === 8) this.closed = true;
      this.#text = text.subarray(header + length);
    }
  }

  /** Waits until the kernel takes more. @param {Uint8Array} bytes */
  async write(bytes) {
    if (this.ended || this.socket.write(bytes)) return;
    await Promise.race([new Promise((resolve) => this.socket.once('drain', resolve)), new Promise((resolve) => this.socket.once('close', resolve))]);
  }
}

/** @template T @param {readonly T[]} list @returns {T} */
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const dice = (/** @type {number} */ sides) => Math.floor(Math.random() * sides);

const GOOD = [
  { type: 'join', channel: 'room', attributes: { a: 1 }, graceMs: 100 }, { type: 'leave', channel: 'room' }, { type: 'heartbeat' },
  { type: 'subscribe', channel: 'room', level: 'events' }, { type: 'setAttributes', channel: 'room', attributes: { b: [1, { c: null }] }, merge: true },
  { type: 'getMembers', channel: 'room', limit: 10 }, { type: 'watch', users: ['ada', 'bob'] }, { type: 'setStatus', text: 'x' },
].map((it) => JSON.stringify(it));

/** A good frame, with some bytes of its text or of its header changed, left out, doubled or put in. */
function mutated() {
  let bytes = frame(0x81, Buffer.from(pick(GOOD)));
  for (let n = 1 + dice(4); n > 0; n--) {
    const at = Math.random() < 0.3 ? dice(6) : dice(bytes.length);
    const kind = dice(4);
    if (kind === 0) bytes[at] ^= 1 << dice(8);
    if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + dice(3))]);
    if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), randomFillSync(Buffer.alloc(1 + dice(4))), bytes.subarray(at)]);
    if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 8))]);
  }
  return bytes;
}

let opened = 0;

/** @type {Record<string, () => Promise<Record<string, number>>>} */
const ATTACKS = {
  async mutants() {
    const FRAMES = 10_000;
    let [sent, ended, bare] = [0, 0, 0];
    await Promise.all(Array.from({ length: 40 }, async () => {
      while (sent < FRAMES) {
        const connection = new Connection();
        opened += 1;
        if (!await connection.upgrade(opened)) continue;
        while (sent < FRAMES && !connection.ended) {
          sent += 1;
          await connection.write(mutated());
          await sleep(8);
        }
        if (connection.ended) {
          ended += 1;
          if (!connection.closed) bare += 1;
        }
        connection.socket.destroy();
      }
    }));
    return { connections: 40, sent, ended, bare };
  },
  async pings() {
    return flood(200, frame(0x89, Buffer.alloc(125, 'p')));
  },
  async fragments() {
    return flood(200, frame(0x00, Buffer.from('x')), frame(0x01, Buffer.from('x')));
  },
  async halves() {
    const all = Array.from({ length: 2_000 }, () => new Connection());
    for (const { socket } of all) socket.write('GET /ws HTTP/1.1\r\nhost: x\r\n');
    while (goes() || all.some(({ ended }) => !ended)) await sleep(20);
    return { connections: all.length };
  },
  async connects() {
    let done = 0;
    await Promise.all(Array.from({ length: 200 }, async () => {
      while (goes()) {
        await new Promise((resolve) => {
          const socket = net.connect(port, '127.0.0.1', () => { done += 1; socket.resetAndDestroy(); });
          socket.on('error', () => {});
          socket.on('close', resolve);
        });
      }
    }));
    return { connections: 200, 'a second': Math.round(done / (forMs / 1_000)) };
  },
  async answers() {
    const all = Array.from({ length: 500 }, () => {
      const connection = new Connection();
      connection.socket.pause();
      connection.socket.write(`GET /v1/channels/room/members?limit=1000 HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`.repeat(10));
      return connection;
    });
    while (goes()) await sleep(50);
    for (const { socket } of all) socket.resume();
    return { connections: all.length };
  },
};

/** So many connections that say one thing as fast as it is taken. @param {number} count @param {Buffer} bytes @param {Buffer} [first] */
async function flood(count, bytes, first) {
  const many = Buffer.concat(Array.from({ length: Math.ceil(16_384 / bytes.length) }, () => bytes));
  let [sent, ended, bare] = [0, 0, 0];
  await Promise.all(Array.from({ length: count }, async () => {
    while (goes()) {
      const connection = new Connection();
      opened += 1;
      if (!await connection.upgrade(opened)) continue;
      if (first) await connection.write(first);
      while (goes() && !connection.ended) {
        await connection.write(many);
        sent += many.length / bytes.length;
        await sleep(1);
      }
      if (connection.ended) {
        ended += 1;
        if (!connection.closed) bare += 1;
      }
      connection.socket.destroy();
    }
  }));
  return { connections: count, sent: Math.round(sent), ended, bare };
}

process.send?.(await ATTACKS[name]());
