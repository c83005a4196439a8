/** Tokens as a back end makes them. */

import { createHmac } from 'node:crypto';

export const SECRET = 'a secret of thirty-two bytes or more';

/** @param {Record<string, unknown>} claims */
export function token(claims) {
  const encode = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const body = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ exp, ...claims })}`;
  return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
}
