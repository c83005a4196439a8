/**
 * The room presence of social.plus, by its names, over a herenow broker.
 *
 * ```js
 * import { init, RoomPresenceRepository } from 'herenow/rooms';
 *
 * init({ endpoint: 'wss://example.com/ws', accessToken });
 * RoomPresenceRepository.startHeartbeat(roomId);
 * ```
 *
 * A viewer is a member of the channel that has the room's id. The connection is the heartbeat. What
 * maps to what, and what differs, is in the README.
 */

import { quietly } from './promise.js';
import { Session } from './session.js';

/** @typedef {import('./channel.js').Channel} Channel */
/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Options} Options */

/**
 * @typedef {object} RoomUser
 * @property {string} userId
 * @property {string} displayName the `name` that the user's token says, else the id
 * @property {string} [avatarCustomUrl] the `avatar` that it says
 * @property {Record<string, unknown>} metadata all that it says for others to show
 */

/** The list is capped at so many; the count is not. */
const MAX_LISTED = 200;

const session = new Session();

/**
 * Connects. Called again it ends the connection that there was: another user begins with nothing.
 * @param {{endpoint: string | URL, accessToken?: Options['token'], userId?: string} & Options} options
 *   `userId`: who we are, where the broker runs in open mode
 * @returns {Client} the connection, for its `state`, its `error`, and for what the rooms have no words for
 */
export function init({ endpoint, accessToken, userId, ...options }) {
  return session.begin(endpoint, { token: accessToken, user: userId, ...options });
}

/** Leaves all rooms and disconnects. */
export function close() {
  session.end();
}

/** As in the TypeScript SDK: functions that are told the room each time. */
export const RoomPresenceRepository = Object.freeze({
  /**
   * Counts us as present in the room, until `stopHeartbeat`. Rejects with `presence_disabled` where the
   * broker's operator has switched presence off: hide what shows it, and do not retry.
   * @param {string} roomId
   * @returns {Promise<void>}
   */
  startHeartbeat: (roomId) => session.inTurnUnawaited(roomId, (room) => room.join()),

  /** @param {string} roomId @returns {Promise<void>} */
  stopHeartbeat: (roomId) => session.inTurnUnawaited(roomId, (room) => room.leave()),

  /** How many are present, whether we are or not. @param {string} roomId @returns {Promise<{count: number}>} */
  getRoomUserCount: (roomId) => session.inTurn(roomId, async (room) => ({ count: await room.getCount() })),

  /**
   * Those who came last, newest first, at most 200, whether we are present or not.
   * @param {string} roomId
   * @returns {Promise<{data: RoomUser[], cachedAt: number}>} `cachedAt`: when they were read
   */
  getRoomOnlineUsers: (roomId) => session.inTurn(roomId, async (room) => {
    const { members } = await room.getMembers({ limit: MAX_LISTED });
    return { data: members.map(roomUser), cachedAt: Date.now() };
  }),
});

/**
 * As in the iOS SDK: an object that knows its room, a count that is a number, a list that is an array.
 */
export class AmityRoomPresenceRepository {
  /** @param {{roomId: string}} room */
  constructor({ roomId }) {
    this.roomId = roomId;
  }

  startHeartbeat() {
    return RoomPresenceRepository.startHeartbeat(this.roomId);
  }

  stopHeartbeat() {
    return RoomPresenceRepository.stopHeartbeat(this.roomId);
  }

  /** @returns {Promise<number>} */
  getRoomUserCount() {
    return quietly(RoomPresenceRepository.getRoomUserCount(this.roomId).then(({ count }) => count));
  }

  /** @returns {Promise<RoomUser[]>} */
  getRoomOnlineUsers() {
    return quietly(RoomPresenceRepository.getRoomOnlineUsers(this.roomId).then(({ data }) => data));
  }
}

/** @param {import('./replica.js').Member} member @returns {RoomUser} */
function roomUser({ user, info = {} }) {
  const { name = user, avatar } = /** @type {{name?: string, avatar?: string}} */ (info);
  return { userId: user, displayName: name, avatarCustomUrl: avatar, metadata: info };
}
