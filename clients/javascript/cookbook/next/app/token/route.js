import { createHmac } from 'node:crypto';
import { cookies } from 'next/headers';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Who is signed in gets a token for five minutes. Put your own session in place of the cookie. */
export async function GET() {
  const user = (await cookies()).get('user')?.value;
  if (!user) return new Response('sign in first', { status: 401 });
  const now = Math.floor(Date.now() / 1000);
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, iat: now, exp: now + 300 })}`;
  const signature = createHmac('sha256', process.env.HERENOW_JWT_SECRET).update(body).digest('base64url');
  return new Response(`${body}.${signature}`, { headers: { 'cache-control': 'no-store' } });
}
