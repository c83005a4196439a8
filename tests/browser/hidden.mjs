/**
 * A browser spoken to directly: the usual driver makes every page believe that it is in front, and
 * what is to be tested is a page that is not.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { owned } from '../../clients/javascript/test/owned.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

export async function launchPlainBrowser() {
  const profile = await mkdtemp(join(tmpdir(), 'herenow-browser-'));
  const child = owned(spawn(CHROMIUM, [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', `--user-data-dir=${profile}`, '--remote-debugging-port=0', 'about:blank',
  ], { stdio: ['ignore', 'ignore', 'pipe'] }));
  const socket = new WebSocket(await debuggerUrl(child));
  await once(socket, 'open');
  let lastId = 0;
  /** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  socket.on('message', (data) => {
    const { id, result, error } = JSON.parse(String(data));
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error) asked?.reject(new Error(error.message));
    else asked?.resolve(result);
  });

  /** @param {string} method @param {object} [params] @param {string} [sessionId] @returns {Promise<any>} */
  function ask(method, params = {}, sessionId) {
    const id = ++lastId;
    socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  }

  return {
    /** Opens a page in front of all others; in a window of its own if asked. @param {string} url */
    async open(url, newWindow = false) {
      const { targetId } = await ask('Target.createTarget', { url, newWindow });
      const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
      return {
        /** @param {string} expression */
        async evaluate(expression) {
          const { result } = await ask('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true }, sessionId);
          return result.value;
        },
        async bringToFront() {
          await ask('Target.activateTarget', { targetId });
        },
      };
    },
    async close() {
      socket.close();
      child.kill();
      await once(child, 'exit');
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** @param {import('node:child_process').ChildProcessByStdio<null, null, import('node:stream').Readable>} child @returns {Promise<string>} */
function debuggerUrl(child) {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const [, url] = /^DevTools listening on (ws:\S+)/.exec(line) ?? [];
      if (url) resolve(url);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the browser ended with ${code}`)));
  });
}
