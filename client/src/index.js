/**
 * herenow: who is here, now?
 *
 * ```js
 * import { connect } from 'herenow';
 *
 * const here = connect('wss://example.com/ws', { token: async () => getToken() });
 * const room = here.channel('room-1');
 * room.on('change', () => render(room.members, room.count));
 * await room.subscribe();
 * await room.join({ mood: 'happy' });
 * ```
 */

import { Client as Connection } from './client.js';

export { HerenowError } from './error.js';

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Options} Options */
/** @typedef {import('./channel.js').Channel} Channel */
/** @typedef {import('./channel.js').PresenceEvent} PresenceEvent */
/** @typedef {import('./channel.js').JoinOptions} JoinOptions */
/** @typedef {import('./replica.js').Member} Member */
/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./link.js').State} State */
/** @typedef {import('./user.js').Status} Status */

/**
 * A client that connects at once, stays connected, and comes back.
 *
 * @param {string | URL} url of the broker's WebSocket, `wss://HOST/ws`. `https:` is as good, a path of
 *   `/` means `/ws`, and in a page it may be relative.
 * @param {Options} [options]
 * @returns {Client}
 * @throws {import('./error.js').HerenowError} `invalid_url`, `no_websocket`
 */
export function connect(url, options) {
  return new Connection(url, options);
}
