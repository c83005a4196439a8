/** The proxy's configuration that docs/vendors.md shows, typed: LiveLike's library gets over a restart behind it. */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, startBroker, until } from '../../clients/javascript/test/broker.js';
import { owned } from '../../clients/javascript/test/owned.js';
import { Remote } from './livelike/rig.mjs';
import { certificate } from '../../clients/javascript/test/certificate.js';
import { SECRET, token } from './token.mjs';

const DOCUMENT = fileURLToPath(new URL('../../docs/vendors.md', import.meta.url));
const FLAGS = ['--vendors', 'livelike'];

function hasNginx() {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** nginx, as the document configures it, on another port, with a certificate of the test's. @param {{key: string, cert: string}} files @param {number} port */
async function startNginx(files, port) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'herenow-nginx-'));
  const shown = /```nginx\n([^`]*)```/.exec(readFileSync(DOCUMENT, 'utf8'))?.[1];
  assert.ok(shown, 'the document shows it');
  const own = await freePort();
  const log = path.join(directory, 'access.log');
  /** @type {Array<[string, string]>} */
  const mine = [
    ['listen 443 ssl', `listen 127.0.0.1:${own} ssl`],
    ['/etc/ssl/presence.example.com.pem', files.cert],
    ['/etc/ssl/presence.example.com.key', files.key],
    ['/var/log/nginx/presence.log', log],
    ['http://127.0.0.1:8080', `http://127.0.0.1:${port}`],
  ];
  const typed = mine.reduce((text, [theirs, ours]) => {
    assert.ok(text.includes(theirs), theirs);
    return text.replace(theirs, ours);
  }, shown);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${path.join(directory, name)};`).join('\n');
  const file = path.join(directory, 'nginx.conf');
  writeFileSync(file, `daemon off; pid ${path.join(directory, 'pid')}; error_log stderr crit;
events {}
http { ${temporary} ${typed} }`);
  const child = owned(spawn('nginx', ['-p', directory, '-c', file], { stdio: 'inherit' }));
  const url = `https://127.0.0.1:${own}`;
  await until('nginx', () => new Promise((resolve) => {
    const socket = net.connect(own, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  }));
  return {
    url,
    log: () => readFileSync(log, 'utf8'),
    async stop() {
      child.kill('SIGQUIT');
      const ended = once(child, 'exit');
      setTimeout(() => child.kill('SIGTERM'), 1_000).unref();
      await ended;
    },
  };
}

/** Whom the document's lines of an app begin as, at another address. @param {string} url @param {string} accessToken @param {string} ca */
function typed(url, accessToken, ca) {
  const section = /## LiveLike\n[^]*?```js\n([^`]*)```/.exec(readFileSync(DOCUMENT, 'utf8'))?.[1];
  assert.ok(section?.includes("accessToken: 'ada'"), 'the document shows it');
  const lines = section.replace('https://presence.example.com', url).replace("'ada'", `'${accessToken}'`)
    .replace('await init', 'const profile = await init');
  return execFileSync(process.execPath, ['--input-type=module', '-e', `${lines}
process.stdout.write(profile.id);
process.exit();`], {
    cwd: path.dirname(fileURLToPath(import.meta.url)),
    env: { ...process.env, NODE_EXTRA_CA_CERTS: ca },
    encoding: 'utf8',
    timeout: 30_000,
  });
}

test('behind nginx a restart is got over, and no token is written down', { skip: !hasNginx() && 'nginx is not installed', timeout: 90_000 }, async () => {
  const files = certificate();
  const env = { HERENOW_JWT_SECRET: SECRET };
  const broker = await startBroker({ port: await freePort(), flags: FLAGS, env });
  const nginx = await startNginx(files, broker.port);
  const [ear, ada] = [new Remote(files.cert), new Remote(files.cert)];
  const begin = (/** @type {Remote} */ one, /** @type {string} */ sub) => one.do('livelike', {
    clientId: 'an-app', endpoint: `${nginx.url}/livelike/api/v1/`, accessToken: token({ sub }),
  });
  const joins = () => ear.events.filter(({ event, message }) => event === 'join' && message.userProfileId === 'ada').length;
  await begin(ear, 'ear');
  await begin(ada, 'ada');
  await ear.do('listen', 'c');
  await ada.do('joinPresenceChannel', { channel: 'c' });
  await until('ada', () => joins() === 1);
  await broker.stop();
  const next = await startBroker({ port: broker.port, flags: FLAGS, env });
  await until('ada, who came back', () => joins() === 2, 40_000);
  assert.equal(typed(nginx.url, token({ sub: 'kim' }), files.cert), 'kim');
  await Promise.all([ear.kill(), ada.kill()]);
  await nginx.stop();
  await next.stop();
  assert.match(nginx.log(), /GET \/v2\/subscribe\/\S+ HTTP|GET \/v2\/subscribe\//);
  assert.doesNotMatch(nginx.log(), /auth=|uuid=/);
});
