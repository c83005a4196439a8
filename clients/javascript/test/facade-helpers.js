/** What the tests of the facades and of the hooks share. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { mock } from 'node:test';
import WebSocket from 'ws';
import { until as patiently } from './broker.js';

/** Waits until it is so. @param {() => unknown} isSo */
export const until = (isSo) => patiently(String(isSo), isSo);

/** A WebSocket that a test can break: `sockets` are those that were made. */
export function breakable() {
  /** @type {WebSocket[]} */
  const sockets = [];
  class Breakable extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  return { WebSocket: Breakable, sockets, breakAll: () => sockets.forEach((socket) => socket.terminate()) };
}

/** Every code block of a fixture in `seeds/`. @param {string} name @returns {Promise<string[]>} */
export async function examples(name) {
  const text = await readFile(new URL(`seeds/${name}`, import.meta.url), 'utf8');
  return [...text.matchAll(/^```\w*.*\n([^]*?)^```$/gm)].map(([, code]) => code);
}

/**
 * Runs an example as a module of a project that has `herenow` installed, with nothing changed but the
 * name of the package that it imports.
 * @param {string} code
 * @param {{from: string, to: string, setUp?: string}} how `setUp`: lines behind the imports
 * @returns {Promise<() => unknown[][]>} what it has printed so far
 */
export async function runExample(code, { from, to, setUp = '' }) {
  const dir = await mkdtemp(join(tmpdir(), 'herenow-example-'));
  try {
    await mkdir(join(dir, 'node_modules'));
    await symlink(fileURLToPath(new URL('..', import.meta.url)), join(dir, 'node_modules/herenow'));
    const line = new RegExp(`^(import .* from )(["'])${from}\\2`, 'm');
    assert.match(code, line, 'it imports the SDK');
    const file = join(dir, 'example.mjs');
    await writeFile(file, code.replace(line, `$1$2${to}$2`).replace(/^(import .*)$/m, `$1\n${setUp}`));
    const log = mock.method(console, 'log', () => {});
    await import(pathToFileURL(file).href);
    return () => log.mock.calls.map((call) => call.arguments);
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Of brokers that want tokens. */
export const SECRET = 'a secret for tests only, 32 bytes';

/** A token of `SECRET`, for a minute. @param {object} claims */
export function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp: Math.floor(Date.now() / 1000) + 60, ...claims })}`;
  return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
}
