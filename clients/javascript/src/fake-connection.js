/**
 * One connection of the broker in memory: the frames that it understands, and their answers. What a
 * broker checks that is a matter of its settings (rates, rights, sizes but of attributes) is not
 * checked here: `refuse` of the broker says no where a test wants it.
 */

/** @typedef {import('./fake-channel.js').FakeChannel} FakeChannel */
/** @typedef {import('./fake-channel.js').Tell} Tell */

/**
 * @typedef {object} World what all connections share
 * @property {(name: string) => FakeChannel} channel
 * @property {() => Iterable<FakeChannel>} channels
 * @property {import('./fake-users.js').FakeUsers} users
 * @property {(user: string) => void} touch asks for a tick of this user's status
 * @property {(frame: any, user: string) => Refusal | undefined} refused what the test refuses
 * @property {typeof LIMITS} limits
 *
 * @typedef {{code: string, message?: string, field?: string, retryAfterMs?: number}} Refusal
 * @typedef {{user: string, info?: object, roles?: string[]}} Who
 */

export const LIMITS = {
  messageBytes: 16_384, attributeBytes: 4_096, attributeKeys: 64, nameBytes: 200, channels: 128, watches: 256,
  members: 100_000, framesPerSecond: 50, framesBurst: 300, graceMs: 60_000, ttlMs: 3_600_000, list: 1_000, roster: 1_000,
};

/** So many of the newest members come with a count at most. */
const MAX_RECENT = 200;
/** Frames that need a channel. */
const IN_CHANNELS = [
  'join', 'leave', 'setAttributes', 'subscribe', 'unsubscribe', 'getMembers', 'getCount', 'getAttributes',
];

export class FakeConnection {
  /** What it said of itself as a whole. @type {boolean | undefined} */
  away;
  #world;
  /** @type {Tell & {user?: string}} */
  #tell;

  /** @param {World} world @param {Who} who @param {Tell} tell */
  constructor(world, { user, info, roles = [] }, tell) {
    this.#world = world;
    this.#tell = Object.assign(tell, { user });
    this.who = { user, info };
    this.viewer = { user, roles: new Set(roles) };
  }

  /** @param {string} id of the connection */
  welcome(id) {
    this.#tell({
      type: 'welcome', protocol: 1, connection: id, user: this.who.user, server: { name: 'herenow', version: 'fake' },
      heartbeat: { intervalMs: 30_000, timeoutMs: 60_000 }, limits: this.#world.limits, sight: this.#sight, now: Date.now(),
    });
  }

  /** @param {object} frame */
  tell(frame) {
    this.#tell(frame);
  }

  /** @param {any} frame */
  hear(frame) {
    const { id } = frame;
    const error = this.#world.refused(frame, this.who.user) ?? this.#fault(frame);
    if (error) return this.#tell({ type: 'error', id, message: `${frame.type} is refused`, ...error });
    const act = /** @type {Record<string, (frame: any) => any>} */ (/** @type {unknown} */ (this))[`on_${frame.type}`];
    const { type, begin, ...answer } = act.call(this, frame) ?? {};
    if (id !== undefined || type) this.#tell({ type: type ?? 'ok', id, channel: frame.channel, ...answer });
    begin?.();
  }

  /** Its end: a decision, or a loss. @param {(channel: FakeChannel) => void} each */
  end(each) {
    for (const channel of this.#world.channels()) {
      channel.unsubscribe(this.#tell);
      each(channel);
    }
    this.#world.users.forget(this.#tell);
    this.#world.users.seen(this.who.user);
    this.#world.touch(this.who.user);
  }

  /** @param {any} frame @returns {Refusal | undefined} */
  #fault(frame) {
    const { type, channel, attributes, recent = 0 } = frame;
    if (!(`on_${type}` in this)) return { code: 'unknown_type', message: `${type} is no frame`, field: 'type' };
    const { nameBytes, attributeBytes } = this.#world.limits;
    const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text).length;
    if (IN_CHANNELS.includes(type)) {
      if (channel === undefined || channel === null) return { code: 'missing_field', message: 'channel is required', field: 'channel' };
      if (typeof channel !== 'string' || !channel || bytes(channel) > nameBytes) {
        return { code: 'invalid_field', message: `channel is a text of 1 to ${nameBytes} bytes`, field: 'channel' };
      }
    }
    if (type === 'subscribe' && !(recent >= 0 && recent <= MAX_RECENT)) {
      return { code: 'invalid_field', message: `recent must be a whole number from 0 to ${MAX_RECENT}`, field: 'recent' };
    }
    if (type === 'setAttributes' && !attributes) return { code: 'missing_field', message: 'attributes are required', field: 'attributes' };
    if (attributes && bytes(JSON.stringify(attributes)) > attributeBytes) {
      return { code: 'too_large', message: `attributes have at most ${attributeBytes} bytes`, field: 'attributes' };
    }
    if (type === 'setAttributes' && !this.#world.channel(channel).joined(this, this.who.user)) {
      return { code: 'not_joined', message: 'channel must be joined before its attributes are set', field: 'channel' };
    }
    if (type === 'getAttributes' && !this.#member(frame)) {
      return { code: 'not_found', message: 'user is not a member of the channel', field: 'user' };
    }
    return undefined;
  }

  get #sight() {
    return [...this.viewer.roles].sort().join();
  }

  /** @param {{channel: string, user?: string}} frame */
  #member({ channel, user = this.who.user }) {
    return this.#world.channel(channel).find(this.viewer, user);
  }

  // The frames, by their type.

  /** @param {any} frame */
  on_join({ channel, away = this.away, ...wish }) {
    this.#world.channel(channel).join(this, this.who, { ...wish, away });
  }

  /** @param {any} frame */
  on_leave({ channel }) {
    this.#world.channel(channel).leave(this, this.who.user);
  }

  on_heartbeat() {}

  /** @param {any} frame */
  on_setAttributes({ channel, attributes, merge, ttlMs }) {
    this.#world.channel(channel).set(this.who.user, attributes, { merge, ttlMs });
  }

  /** @param {any} frame */
  on_away({ channels, away }) {
    if (!channels) this.away = away;
    for (const channel of channels?.map(this.#world.channel) ?? this.#world.channels()) channel.away(this, this.who.user, away);
    this.#world.touch(this.who.user);
  }

  /** @param {any} frame */
  on_subscribe({ channel, ...wish }) {
    const { answer, begin } = this.#world.channel(channel).subscribe(this.#tell, this.viewer, wish);
    return { ...answer, begin };
  }

  /** @param {any} frame */
  on_unsubscribe({ channel }) {
    this.#world.channel(channel).unsubscribe(this.#tell);
  }

  /** @param {any} frame */
  on_getMembers({ channel, limit = 200, after = 0 }) {
    const { count } = this.#world.channel(channel);
    const all = this.#world.channel(channel).list(this.viewer);
    const next = after + limit < all.length ? after + limit : undefined;
    return { type: 'result', count, members: all.slice(after, after + limit), next };
  }

  /** @param {any} frame */
  on_getCount({ channel }) {
    return { type: 'result', count: this.#world.channel(channel).count };
  }

  /** @param {any} frame */
  on_getAttributes(frame) {
    const { user, attributes } = /** @type {any} */ (this.#member(frame));
    return { type: 'result', user, attributes };
  }

  /** @param {any} frame */
  on_getChannels({ user = this.who.user }) {
    const channels = [...this.#world.channels()].filter((channel) => channel.find(this.viewer, user));
    return { type: 'result', user, channels: channels.map(({ name }) => name).sort() };
  }

  /** @param {any} frame */
  on_setStatus({ type: _, id: __, ...patch }) {
    this.#world.users.set(this.who.user, patch);
    this.#world.touch(this.who.user);
  }

  /** @param {any} frame */
  on_watch({ users }) {
    return {
      begin: () => {
        for (const user of users) {
          this.#world.users.watch(user, this.#tell);
          this.#world.users.tick(user);
        }
      },
    };
  }

  /** @param {any} frame */
  on_unwatch({ users }) {
    for (const user of users) this.#world.users.unwatch(user, this.#tell);
  }

  on_auth() {
    return { sight: this.#sight };
  }
}
