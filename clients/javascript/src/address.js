/**
 * Where the broker is. Read as text: the `URL` of React Native has parts that cannot be set or even
 * read, and puts a slash behind a path.
 */

import { HerenowError } from './error.js';

/** What is kept of the scheme, with the host; the path; the query. */
const FORM = /^(?:ws|http)(s?:\/\/[^\s/?#:][^\s/?#]*)\/?([^\s?#]*)(\?[^\s#]*)?(?:#|$)/i;

/**
 * @param {string | URL} url
 * @returns {string} of the WebSocket
 * @throws {HerenowError} `invalid_url`
 */
export function address(url) {
  let parts = FORM.exec(`${url}`);
  try {
    parts ??= FORM.exec(new URL(url, globalThis.location?.href).href);
  } catch {} // told below
  if (!parts) throw new HerenowError('invalid_url', `${url} is not like wss://HOST/ws`);
  const [, host, path, query = ''] = parts;
  return `ws${host}/${path || 'ws'}${query}`;
}

/** Whether only a page knows which broker that is. @param {string | URL} url */
export function needsPage(url) {
  return !globalThis.location && `${url}`[0] === '/';
}

/** @param {string} url @param {string} user counts before one that the address may have */
export function withUser(url, user) {
  return url.replace(/\?|$/, (mark) => `?user=${encodeURIComponent(user)}${mark && '&'}`);
}
