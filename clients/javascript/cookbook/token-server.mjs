/** GET /token: who is signed in gets a token for five minutes. Node.js alone, no packages. */
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function token(claims) {
  const now = Math.floor(Date.now() / 1000);
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iat: now, exp: now + 300, ...claims })}`;
  return `${body}.${createHmac('sha256', process.env.HERENOW_JWT_SECRET).update(body).digest('base64url')}`;
}

/** Put your own session here. */
const signedIn = (request) => /(?:^|; )user=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1];

createServer((request, response) => {
  const user = signedIn(request);
  if (request.url !== '/token' || !user) return response.writeHead(user ? 404 : 401).end();
  response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-store' });
  response.end(token({ sub: user, info: { name: user }, channels: { 'room-*': ['join', 'subscribe'] } }));
}).listen(process.env.PORT ?? 3000, '127.0.0.1');
