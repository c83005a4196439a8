/**
 * Requests that come just as a connection that has rested is closed: behind nginx and Caddy, as
 * docs/operations.md shows them, none may be answered with 502. Bursts of requests that nobody repeats
 * (POST), with rests as long as the proxy keeps its connections to the broker, or as long as the broker
 * does, give or take a tenth of a second.
 *
 *   node tests/clocks/keep-alive.mjs [MINUTES [--max-http-idle TIME]]
 *
 * With `--max-http-idle 60s` there are some, so this can fail.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { owned } from '../../clients/javascript/test/owned.js';
import { freePort, sleep, startBroker, until } from '../../clients/javascript/test/broker.js';

const [minutes = '20', ...flags] = process.argv.slice(2);
const CLIENTS = 40;
const [BROKER_S, NGINX_S, CADDY_S] = [150, 60, 120];

/** The example in that language, with what is ours instead of what it shows. @param {string} language @param {Array<[string, string]>} mine */
function shown(language, mine) {
  const document = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const typed = document.split(`\`\`\`${language}\n`)[1].split('```')[0];
  return mine.reduce((text, [theirs, ours]) => {
    if (!text.includes(theirs)) throw new Error(`${theirs} is not shown`);
    return text.replaceAll(theirs, ours);
  }, typed);
}

const accepts = (/** @type {number} */ port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

/** @param {string} program @param {(file: string) => string[]} flagged @param {(port: number, folder: string) => string} configured */
async function startProxy(program, flagged, configured) {
  const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), `herenow-${program}-`))];
  const file = join(folder, 'configuration');
  writeFileSync(file, configured(port, folder));
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, HOME: folder };
  const child = owned(spawn(program, flagged(file), { stdio: 'ignore', env }));
  await until(`${program} listens`, () => accepts(port));
  return { port, stop() { child.kill(); rmSync(folder, { recursive: true, force: true }); } };
}

const broker = await startBroker({ flags: ['--public-url', 'http://presence.example.com', '--max-requests-per-second', '100000', '--max-requests-burst', '100000', ...flags] });
const here = `127.0.0.1:${broker.port}`;
const nginx = await startProxy('nginx', (file) => ['-p', join(file, '..'), '-c', file], (port, folder) => {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`);
  const server = shown('nginx', [
    ['listen 443 ssl', `listen 127.0.0.1:${port}`], ['127.0.0.1:8080', here],
    ['  ssl_certificate /etc/ssl/presence.example.com.pem;\n', ''], ['  ssl_certificate_key /etc/ssl/presence.example.com.key;\n', ''],
  ]);
  return `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/errors; events {} http { access_log off; ${paths.join(' ')} ${server} }`;
});
const caddy = await startProxy('caddy', (file) => ['run', '--adapter', 'caddyfile', '--config', file], (port) => (
  `{\n  admin off\n}\n${shown('caddy', [['presence.example.com {', `http://:${port} {\n  bind 127.0.0.1`], ['127.0.0.1:8080', here]])}`
));

/** @type {Map<string, number>} */
const answers = new Map();

/** @param {string} name @param {number} port @param {http.Agent} agent @param {number} n */
function ask(name, port, agent, n) {
  return new Promise((resolve) => {
    const done = (/** @type {unknown} */ what) => {
      answers.set(`${name} ${what}`, (answers.get(`${name} ${what}`) ?? 0) + 1);
      resolve(null);
    };
    const headers = { host: 'presence.example.com', 'content-type': 'application/json', 'content-length': 2 };
    const path = `/v1/users/user-${n}/heartbeat`;
    const request = http.request({ port, host: '127.0.0.1', method: 'POST', path, headers, agent }, (answer) => {
      answer.resume().on('end', () => done(answer.statusCode));
    });
    // The client's own connection to the proxy was closed just then: no answer of anybody.
    request.on('error', (/** @type {any} */ { code }) => done(code)).end('{}');
  });
}

/** Bursts through a proxy until it is over. @param {string} name @param {number} port @param {number[]} restsS @param {number} end */
async function burst(name, port, restsS, end) {
  const agents = Array.from({ length: CLIENTS }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }));
  for (let round = 0; performance.now() < end; round++) {
    await Promise.all(agents.map(async (agent, n) => {
      await sleep(Math.random() * 200);
      await ask(name, port, agent, n);
    }));
    await sleep(restsS[round % restsS.length] * 1_000 - 100);
  }
  agents.forEach((agent) => agent.destroy());
}

const end = performance.now() + Number(minutes) * 60_000;
try {
  await Promise.all([
    burst('nginx', nginx.port, [NGINX_S], end), burst('nginx', nginx.port, [BROKER_S], end),
    burst('caddy', caddy.port, [CADDY_S], end), burst('caddy', caddy.port, [BROKER_S], end),
  ]);
} finally {
  await broker.stop();
  [nginx, caddy].forEach((proxy) => proxy.stop());
}
console.log([...answers].map(([what, times]) => `${what}: ${times}`).sort().join('\n'));
process.exit([...answers.keys()].every((what) => what.endsWith(' 200') || what.endsWith(' ECONNRESET')) ? 0 : 1);
