/** A broker with short time-outs that asks for tokens, and what is known of its process. */

import { createHmac } from 'node:crypto';
import { WebSocket, startBroker } from '../../clients/javascript/test/broker.js';
import { Line } from '../nodes/line.mjs';

const SECRET = 'chaos chaos chaos chaos chaos chaos chaos';
const KEY = 'the-key-of-the-back-end';

/** How long silence, an unanswered ping and an unread frame are borne, in milliseconds. */
export const BORNE_MS = 4_000;

const FLAGS = [
  '--presence-timeout', `${BORNE_MS}ms`, '--ping-interval', '1500ms', '--pong-timeout', '2500ms', '--max-write-time', `${BORNE_MS}ms`,
  '--max-message-time', '2s', '--max-grace', '2s', '--max-frames-per-second', '60', '--max-frames-burst', '120', '--max-message-bytes', '16384',
  '--max-backlog', '8388608', '--max-connections-per-address', '100000', '--max-connections-per-user', '100',
  '--max-requests-per-second', '100000', '--max-requests-burst', '100000',
];

/** A token of the user. @param {string} user @param {object} [claims] */
export function mint(user, claims) {
  const seconds = Date.now() / 1_000;
  const part = (/** @type {object} */ it) => Buffer.from(JSON.stringify(it)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, iat: Math.floor(seconds), exp: Math.ceil(seconds + 600), ...claims })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

export async function startStage() {
  const broker = await startBroker({
    flags: FLAGS,
    env: { HERENOW_JWT_SECRET: SECRET, HERENOW_API_KEYS: `[[key]]\nname = "chaos"\nsecret = "${KEY}"\nrights = ["read", "write", "kick"]\n` },
  });

  /** @param {string} path @param {RequestInit} [init] */
  async function ask(path, init) {
    const asked = () => fetch(broker.http + path, {
      ...init, headers: { authorization: `Bearer ${KEY}`, ...(init?.body && { 'content-type': 'application/json' }) },
    });
    // A connection that rested may be closed just as it is used again.
    const answer = await asked().catch(asked);
    const text = await answer.text();
    return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  }

  return {
    broker,
    ask,
    /** A socket of the user, which may be used badly. @param {string} token @returns {Promise<Line>} */
    async open(token, user = '') {
      const socket = new WebSocket(`${broker.url}?token=${token}`, 'herenow.v1', { perMessageDeflate: false });
      const line = new Line(socket, user);
      await new Promise((resolve, reject) => {
        socket.once('open', resolve);
        socket.once('close', (code) => reject(new Error(`closed with ${code} before it was open`)));
      });
      return line;
    },
    /** Who is in the channel. @param {string} channel @returns {Promise<any[]>} */
    async members(channel) {
      const { body } = await ask(`/v1/channels/${channel}/members?limit=1000`);
      return body.members;
    },
    /** All numbers by name. @returns {Promise<Record<string, number>>} */
    async numbers() {
      const { body } = await ask('/metrics');
      const samples = body.split('\n').filter((/** @type {string} */ line) => line.startsWith('herenow_'));
      return Object.fromEntries(samples.map((/** @type {string} */ line) => {
        const end = line.lastIndexOf(' ');
        return [line.slice('herenow_'.length, end), Number(line.slice(end))];
      }));
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startStage>>} Stage */
