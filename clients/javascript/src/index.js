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

// Whatever a type of the library names can be named by those who import it.

/** @typedef {import('./client.js').Options} Options */
/** @typedef {import('./client.js').Events} ClientEvents */
/** @typedef {import('./error.js').ErrorCode} ErrorCode */
/** @typedef {import('./link.js').Link} Link */
/** @typedef {import('./link.js').State} State */
/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./replica.js').Reason} Reason */
/** @typedef {import('./shapes.js').Shape} Shape */
/** @typedef {import('./shapes.js').Limits} Limits */
/** @typedef {import('./shapes.js').Welcome} Welcome */

/** @template {Shape} T @typedef {import('./shapes.js').AttributesOf<T>} AttributesOf */
/** @template {Shape} T @typedef {import('./shapes.js').InfoOf<T>} InfoOf */
/** @template {Shape} [T=Shape] @typedef {import('./client.js').Client<T>} Client */

/** @template {object} [A=Attributes] @typedef {import('./shapes.js').Patch<A>} Patch */
/** @template {object} [A=Attributes] @typedef {import('./channel.js').JoinOptions<A>} JoinOptions */
/** @typedef {import('./channel.js').SubscribeOptions} SubscribeOptions */
/** @template {object} [I=Attributes] @typedef {import('./user.js').Status<I>} Status */
/** @template {object} [I=Attributes] @typedef {import('./user.js').User<I>} User */
/** @template {object} [I=Attributes] @typedef {import('./user.js').Watcher<I>} Watcher */

/** @template {object} [A=Attributes] @template {object} [I=Attributes] @typedef {import('./channel.js').Channel<A, I>} Channel */
/** @template {object} [A=Attributes] @template {object} [I=Attributes] @typedef {import('./channel.js').Events<A, I>} ChannelEvents */
/** @template {object} [A=Attributes] @template {object} [I=Attributes] @typedef {import('./channel.js').PresenceEvent<A, I>} PresenceEvent */
/** @template {object} [A=Attributes] @template {object} [I=Attributes] @typedef {import('./replica.js').Member<A, I>} Member */

/** @template {Record<string, any>} E @typedef {import('./emitter.js').Emitter<E>} Emitter */
/** @template {object} A @template {Record<string, any>} E @typedef {import('./membership.js').Membership<A, E>} Membership */

/**
 * A client that connects at once, stays connected, and comes back.
 *
 * @template {Shape} [T=Shape] what members carry and tokens say, as in
 *   `connect<{ attributes: { mood: string }; info: { name: string } }>(…)`
 * @param {string | URL} url of the broker's WebSocket, `wss://HOST/ws`. `https:` is as good, a path of
 *   `/` means `/ws`, and in a page it may be relative.
 * @param {Options} [options]
 * @returns {Client<T>}
 * @throws {import('./error.js').HerenowError} `invalid_url`, `no_websocket`
 */
export function connect(url, options) {
  return new Connection(url, options);
}
