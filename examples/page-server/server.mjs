/**
 * A page server: serves a page that shows who is here, and mints the tokens with which the page goes
 * to the broker. Node alone, no packages. What it shows is the division of labour: this server knows
 * who somebody is, the broker believes its signature, and the page never sees the secret.
 *
 *   export HERENOW_JWT_SECRET=$(head -c 32 /dev/urandom | base64)
 *   herenow --allow-origin http://127.0.0.1:3000 &
 *   node examples/page-server/server.mjs
 *
 * PORT is where it listens (3000; 0 picks a free one), HERENOW_URL is the broker as pages reach it
 * (http://127.0.0.1:8080).
 */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { argv, env, exit } from 'node:process';
import { fileURLToPath } from 'node:url';

/** Short, for a token cannot be taken back. The page fetches another in time. */
const TOKEN_SECONDS = 300;
const CHANNEL = 'lobby';
const FILES = { '/': ['index.html', 'text/html'], '/page.js': ['page.js', 'text/javascript'] };

/** @param {{secret: string, broker: string}} options the secret that the broker has too, and where it is */
export function pageServer({ secret, broker }) {
  const sessions = new Sessions();
  const { origin, host, protocol } = new URL(broker);
  const socket = `${protocol === 'https:' ? 'wss' : 'ws'}://${host}`;
  const headers = {
    'content-security-policy': `default-src 'none'; script-src 'self' ${origin}; connect-src 'self' ${socket}`,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  };

  return createServer(async (request, response) => {
    const file = Object.hasOwn(FILES, request.url ?? '') ? FILES[request.url] : undefined;
    const user = sessions.user(request.headers.cookie);
    if (request.method === 'GET' && file) {
      const [name, type] = file;
      const cookie = user ? {} : { 'set-cookie': sessions.begin() };
      response.writeHead(200, { ...headers, ...cookie, 'content-type': `${type}; charset=utf-8` });
      response.end(await readFile(new URL(name, import.meta.url)));
    } else if (request.method === 'POST' && request.url === '/session') {
      // A token for whoever the cookie proves, never for a name that the request asks for.
      const answer = user && { broker: origin, channel: CHANNEL, user, token: mint(secret, user) };
      response.writeHead(answer ? 200 : 401, { ...headers, 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? { error: 'no session: load the page first' }));
    } else {
      response.writeHead(404, headers).end();
    }
  });
}

/**
 * A token for the broker, a JSON Web Token: who it is, until when, and what it may do.
 * @param {string} secret @param {string} user
 */
function mint(secret, user) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    sub: user,
    iat: now,
    exp: now + TOKEN_SECONDS,
    info: { name: `Guest ${user.slice('guest-'.length)}` },
    channels: { [CHANNEL]: ['join', 'subscribe'] },
  };
  const body = [{ alg: 'HS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

/** Stands for your sign-in: everybody is a guest, and a signed cookie remembers which. */
class Sessions {
  #key = randomBytes(32);

  /** The cookie of a new guest. */
  begin() {
    const user = `guest-${randomBytes(4).toString('hex')}`;
    return `session=${user}.${this.#sign(user)}; HttpOnly; SameSite=Lax; Path=/`;
  }

  /** @param {string} [cookies] @returns {string | null} whose session it is, if it is one of ours */
  user(cookies = '') {
    const [, user, signature] = /(?:^|;\s*)session=([\w-]+)\.([\w-]+)/.exec(cookies) ?? [];
    if (!user) return null;
    const [given, right] = [Buffer.from(signature), Buffer.from(this.#sign(user))];
    return given.length === right.length && timingSafeEqual(given, right) ? user : null;
  }

  /** @param {string} user */
  #sign(user) {
    return createHmac('sha256', this.#key).update(user).digest('base64url');
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { HERENOW_JWT_SECRET: secret, HERENOW_URL: broker = 'http://127.0.0.1:8080', PORT = '3000' } = env;
  if (!secret) {
    console.error('HERENOW_JWT_SECRET is needed: the secret that the broker has');
    exit(1);
  }
  const server = pageServer({ secret, broker });
  server.listen(Number(PORT), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`);
  });
}
