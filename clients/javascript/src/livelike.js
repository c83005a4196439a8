/**
 * The presence functions of LiveLike's JavaScript SDK, by their names, over a herenow broker.
 *
 * ```js
 * import { init, joinPresenceChannel } from 'herenow/livelike';
 *
 * init({ endpoint: 'wss://example.com/ws', accessToken });
 * await joinPresenceChannel({ channel: 'test-channel' });
 * ```
 *
 * What maps to what, and what differs, is in the README.
 */

import { quietly } from './promise.js';
import { Session } from './session.js';

/** @typedef {import('./channel.js').Channel} Channel */
/** @typedef {import('./channel.js').PresenceEvent} PresenceEvent */
/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Options} Options */

/** @typedef {Record<string, string>} PresenceAttributes */
/** @typedef {{userProfileId: string, attributes?: PresenceAttributes}} PresenceChannelUser */
/** @typedef {{userProfileId: string, channel: string, attributes?: PresenceAttributes}} PresenceListenerEventMessage */
/** @typedef {(event: {event: PresenceActionEvent, message: PresenceListenerEventMessage}) => void} PresenceListenerFn */

/** @typedef {(typeof PresenceActionEvent)[keyof typeof PresenceActionEvent]} PresenceActionEvent */

/** The keys of the SDK, and the values of its documentation. */
export const PresenceActionEvent = Object.freeze({
  JOIN: /** @type {const} */ ('join'),
  LEAVE: /** @type {const} */ ('leave'),
  TIMEOUT: /** @type {const} */ ('timeout'),
  ATTRIBUTES_UPDATE: /** @type {const} */ ('updateAttributes'),
});

const session = new Session();

/** Who listens, and what ends it. @type {WeakMap<Channel, Map<PresenceListenerFn, () => void>>} */
const listening = new WeakMap();

/**
 * Connects. Called again it ends the connection that there was: another user begins with nothing.
 * @param {{endpoint: string | URL, accessToken?: Options['token'], userProfileId?: string} & Options} options
 *   `userProfileId`: who we are, where the broker runs in open mode
 * @returns {Client} the connection, for its `state`, its `error`, and for what LiveLike has no words for
 */
export function init({ endpoint, accessToken, userProfileId, ...options }) {
  return session.begin(endpoint, { token: accessToken, user: userProfileId, ...options });
}

/** Leaves all channels and disconnects. */
export function close() {
  session.end();
}

/** @param {{channel: string}} arg @returns {Promise<void>} */
export function joinPresenceChannel({ channel }) {
  return session.inTurn(channel, (room) => room.join());
}

/** @param {{channel: string}} arg @returns {Promise<void>} */
export function leavePresenceChannel({ channel }) {
  return session.inTurn(channel, (room) => room.leave());
}

/**
 * Observes, and joins nothing.
 * @param {{channel: string}} arg
 * @param {PresenceListenerFn} listener
 * @returns {Promise<void>} kept once every event from there on will be heard
 */
export function addPresenceListener({ channel }, listener) {
  return session.inTurn(channel, async (room) => {
    const listeners = listening.get(room) ?? new Map();
    listening.set(room, listeners);
    if (!listeners.has(listener)) listeners.set(listener, listen(room, listener));
    try {
      await room.subscribe({ level: 'events' });
    } catch (error) {
      // Out of time, it goes on being wanted. Refused, it is not.
      if (/** @type {any} */ (error).code !== 'timeout') forget(listeners, listener);
      throw error;
    }
  });
}

/**
 * @param {{channel: string}} arg
 * @param {PresenceListenerFn} listener
 * @returns {Promise<void>}
 */
export function removePresenceListener({ channel }, listener) {
  return session.inTurn(channel, async (room) => {
    const listeners = listening.get(room);
    if (listeners && forget(listeners, listener) && !listeners.size) await room.unsubscribe();
  });
}

/** @param {{userProfileId: string}} arg @returns {Promise<{channels: string[]}>} */
export function getPresenceUserChannels({ userProfileId }) {
  return quietly((async () => ({ channels: await session.client.getChannels(userProfileId) }))());
}

/**
 * Everybody in the channel, newest first, as it is now: nothing is kept for three seconds.
 * @param {{channel: string}} arg
 * @returns {Promise<{channelUsers: PresenceChannelUser[]}>}
 */
export function getPresenceChannelUsers({ channel }) {
  return session.inTurn(channel, async (room, { welcome }) => {
    const limit = welcome?.limits.list;
    /** @type {PresenceChannelUser[]} */
    const channelUsers = [];
    /** @type {number | undefined} */
    let after;
    do {
      const page = await room.getMembers({ limit, after });
      for (const { user, attributes } of page.members) {
        channelUsers.push({ userProfileId: user, attributes: texts(attributes) });
      }
      after = page.next;
    } while (after !== undefined);
    return { channelUsers };
  });
}

/**
 * All that the member carries from now on; what was set before is gone.
 * @param {{channel: string, attributes: PresenceAttributes}} arg
 * @returns {Promise<PresenceAttributes>} the same
 */
export function setPresenceUserAttributes({ channel, attributes }) {
  return session.inTurn(channel, async (room) => {
    await room.setAttributes(attributes, { replace: true });
    return attributes;
  });
}

/** @param {{userProfileId: string, channel: string}} arg @returns {Promise<PresenceAttributes>} */
export function getPresenceUserAttributes({ userProfileId, channel }) {
  return session.inTurn(channel, async (room) => texts(await room.getAttributes(userProfileId)));
}

/** @param {Channel} room @param {PresenceListenerFn} listener @returns {() => void} ends it */
function listen(room, listener) {
  const tell = (/** @type {PresenceEvent} */ { event, user, channel, attributes }) => {
    listener({ event, message: { userProfileId: user, channel, attributes: texts(attributes) } });
  };
  const ends = Object.values(PresenceActionEvent).map((event) => room.on(event, tell));
  return () => ends.forEach((end) => end());
}

/** @param {Map<PresenceListenerFn, () => void>} listeners @param {PresenceListenerFn} listener */
function forget(listeners, listener) {
  listeners.get(listener)?.();
  return listeners.delete(listener);
}

/**
 * LiveLike's attributes are strings. Those of a client that sets other values are handed on as they are.
 * @param {Record<string, unknown>} attributes
 */
function texts(attributes) {
  return /** @type {PresenceAttributes} */ (attributes);
}
