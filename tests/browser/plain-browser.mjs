/** A browser without Playwright, which would hold a page that is rendered ahead of time until it is shown. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { owned } from '../../clients/javascript/test/owned.js';
import { CHROMIUM } from './harness.mjs';

/** @param {string} url of the page that it opens */
export async function openPlainBrowser(url) {
  const profile = await mkdtemp(join(tmpdir(), 'herenow-browser-'));
  const child = owned(spawn(CHROMIUM, [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--remote-debugging-port=0',
    // However little memory the machine has.
    '--disable-features=Prerender2MemoryControls', `--user-data-dir=${profile}`, url,
  ], { stdio: ['ignore', 'ignore', 'pipe'] }));
  const host = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /DevTools listening on ws:\/\/([^/]+)/.exec(line);
      if (found) resolve(found[1]);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the browser ended with ${code}`)));
  });
  return {
    /** Runs it in the page that is shown, as if a person had. @param {string} expression */
    async run(expression) {
      const targets = await (await fetch(`http://${host}/json`)).json();
      const page = targets.find((/** @type {any} */ { type }) => type === 'page');
      const socket = new WebSocket(page.webSocketDebuggerUrl);
      await once(socket, 'open');
      socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression, userGesture: true } }));
      const [answer] = await once(socket, 'message');
      socket.close();
      return JSON.parse(String(answer)).result.result.value;
    },
    async stop() {
      child.removeAllListeners('exit');
      const gone = once(child, 'exit');
      child.kill();
      await gone;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
