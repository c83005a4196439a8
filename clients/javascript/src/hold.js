/**
 * What the components of a page want of the channels: one subscription and one membership of a channel
 * for all of them. The bindings to frameworks stand on this.
 */

/** @typedef {import('./client.js').Client<any>} Client */
/** @typedef {import('./channel.js').Channel<any, any>} Channel */
/** @template {object} [A=any] @typedef {import('./channel.js').JoinOptions<A>} JoinOptions */
/** @typedef {import('./error.js').HerenowError} HerenowError */
/** @typedef {import('./replica.js').Member<any, any>} Member */

/**
 * What a component wants of a channel: JSON throughout, so a new object that says the same is the same.
 * @template {object} [A=any]
 * @typedef {object} Wish
 * @property {'auto' | 'events' | 'count' | null} [level] how much to watch; null: not at all; `auto` if absent
 * @property {number} [recent] as in `subscribe`; of what several want, the most
 * @property {boolean} [recentAttributes] as in `subscribe`, for all if one wants it
 * @property {boolean | A} [join] whether to be a member, or with which attributes. When they
 *   change they replace what the member carries.
 */

/** @template {object} [A=any] @typedef {Wish<A> & JoinOptions<A>} ChannelOptions */

/**
 * What the components of a page want of one channel, and what was last said of it.
 * @typedef {object} Hold
 * @property {Set<ChannelOptions>} wishes in the order in which they came
 * @property {Said} said
 *
 * @typedef {{join?: string | null, watch?: string | null}} Said null: it ended without us
 */

/** So many of the newest members come with a number at `auto`, if nobody says how many. */
const MAX_RECENT = 200;
/** From little to much: of what several components want, the most counts. */
const LEVELS = /** @type {const} */ (['count', 'auto', 'events']);
/** What no component has to be told: it goes on being wanted, or is wanted no longer. */
const NO_NEWS = ['superseded', 'timeout', 'closed'];

/** A client has one object for a channel, and so many components share it. @type {WeakMap<Channel, Hold>} */
const holds = new WeakMap();

/** What shows where there is no channel, or not yet: on a server, and before the page is alive. */
export const NOBODY = /** @type {readonly Member[]} */ (Object.freeze([]));
/** The state where there is no client, or not yet. */
export const CONNECTING = /** @type {import('./link.js').State} */ (Object.freeze({ phase: 'connecting' }));

/** The channel, if both are known. @param {Client | null | undefined} here @param {string | null | undefined} name */
export function roomOf(here, name) {
  return here && name ? here.channel(name) : null;
}

/** The members without ourselves, newest first. @param {Channel} room @returns {readonly Member[]} */
export function othersOf({ members, self }) {
  return members.filter((member) => member !== self);
}

/**
 * Wants something of a channel, from the end of this turn on. What is refused is told by the channel's
 * `error`.
 * @param {Client} here
 * @param {Channel} room
 * @param {ChannelOptions} wish
 * @returns {() => void} ends it
 */
export function hold(here, room, wish) {
  const held = holds.get(room) ?? begin(here, room);
  const { wishes } = held;
  // Later: who unmounts and mounts again in one turn, as everybody does in StrictMode, has not gone.
  const soon = () => queueMicrotask(() => say(room, held));
  wishes.add(wish);
  soon();
  return () => {
    wishes.delete(wish);
    soon();
  };
}

/**
 * Watches users, and hears whenever a status changes, or is not kept up to date any more.
 * @param {import('./user.js').User<any>[]} users
 * @param {() => void} notify
 * @returns {() => void} ends it
 */
export function watchAll(users, notify) {
  const stops = users.map((user) => user.watch(() => notify(), { live: true }));
  // Later, so that whoever watches the same users in this turn takes over.
  return () => queueMicrotask(() => stops.forEach((stop) => stop()));
}

/** @param {Client} here @param {Channel} room */
function begin(here, room) {
  /** @type {Hold} */
  const held = { wishes: new Set(), said: {} };
  holds.set(room, held);
  // Refused, or our rights ended: it is tried again by whoever mounts next, and on another connection.
  room.on('error', () => {
    if (room.joined === 'out') held.said.join = null;
    if (room.level === null) held.said.watch = null;
  });
  here.on('state', ({ phase }) => phase === 'open' && queueMicrotask(() => say(room, held)));
  return held;
}

/** Says of all the wishes together what was not said yet. @param {Channel} room @param {Hold} held */
function say(room, { wishes, said }) {
  const all = [...wishes];
  const wanted = (/** @type {Wish} */ { level = 'auto' }) => level;
  const level = LEVELS.findLast((each) => all.some((wish) => wanted(wish) === each));
  const { join = false, level: _, recent: __, recentAttributes: ___, ...options } = all.findLast((wish) => wish.join) ?? {};
  const newest = all.map((wish) => wish.recent ?? (wanted(wish) === 'auto' ? MAX_RECENT : 0));
  const watch = level && {
    level,
    recent: all.some(({ recent }) => recent !== undefined) ? Math.max(...newest) : undefined,
    recentAttributes: all.some(({ recentAttributes }) => recentAttributes) || undefined,
  };

  // Join first: then the first snapshot has us in it already.
  once(room, said, 'join', join && JSON.stringify([join, options]), () => (
    join ? room.join(join === true ? undefined : join, options) : room.leave()
  ));
  once(room, said, 'watch', watch && JSON.stringify(watch), () => (watch ? room.subscribe(watch) : room.unsubscribe()));
}

/**
 * @param {Channel} room
 * @param {Said} said
 * @param {keyof Said} what
 * @param {string | false | undefined} wish
 * @param {() => Promise<void>} act
 */
function once(room, said, what, wish, act) {
  const now = wish || undefined;
  if (now === said[what]) return;
  said[what] = now;
  act().catch((/** @type {HerenowError} */ error) => {
    if (!NO_NEWS.includes(error.code)) room.emit('error', error);
  });
}
