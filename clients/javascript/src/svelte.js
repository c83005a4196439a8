/**
 * Svelte stores over one client; in a component, `$` before the name reads them:
 *
 * ```svelte
 * <script>
 *   import { channel } from 'herenow/svelte';
 *   const room = channel(here, 'room-1', { join: { mood: 'happy' } });
 * </script>
 * <p>{$room.count} here: {$room.members.map(({ user }) => user).join(', ')}</p>
 * ```
 *
 * Something is watched, and somebody a member, for as long as anybody reads the store. On a server, where
 * a component is read once and at once gone, nobody becomes present.
 */

import { CONNECTING, hold, NOBODY, othersOf, roomOf, watchAll } from './hold.js';

/** @typedef {import('./error.js').HerenowError} HerenowError */
/** @typedef {import('./link.js').State} State */
/** @typedef {import('./replica.js').Attributes} Attributes */
/** @template {import('./shapes.js').Shape} [T=any] @typedef {import('./client.js').Client<T>} Client */
/** @template {object} [A=any] @template {object} [I=any] @typedef {import('./channel.js').Channel<A, I>} Channel */
/** @template {object} [A=any] @typedef {import('./hold.js').Wish<A>} Wish */
/** @template {object} [A=any] @typedef {import('./hold.js').ChannelOptions<A>} ChannelOptions */
/** @template {object} [A=any] @template {object} [I=any] @typedef {import('./replica.js').Member<A, I>} Member */
/** @template {object} [I=any] @typedef {import('./user.js').Status<I>} Status */
/**
 * As Svelte means it: whoever subscribes is told at once, and again after each change.
 * @template T
 * @typedef {{subscribe: (run: (value: T) => void) => () => void}} Readable
 */

/**
 * What shows of a channel. `channel` is the channel itself, to set attributes by.
 * @typedef {object} Room
 * @property {Channel | null} channel
 * @property {readonly Member[]} members newest first
 * @property {readonly Member[]} others the members without ourselves
 * @property {Member | null} self our own member
 * @property {number} count
 * @property {boolean} live whether what is shown is kept up to date
 * @property {Channel['joined']} joined
 * @property {HerenowError | null} error
 */

/** @type {Room} */
const NOTHING = {
  channel: null, members: NOBODY, others: NOBODY, self: null, count: 0, live: false, joined: 'out', error: null,
};

/**
 * A channel, watched while the store is read, and joined if asked to. Stores of the same channel share one
 * subscription and one membership.
 * @param {Client | null | undefined} here
 * @param {string | null | undefined} name
 * @param {ChannelOptions} [options]
 * @returns {Readable<Room>}
 */
export function channel(here, name, options = {}) {
  const room = roomOf(here, name);
  const wish = JSON.parse(JSON.stringify(options));
  return follow(() => (room ? shown(room) : NOTHING), (changed) => (
    here && room ? [hold(here, room, wish), room.on('change', changed), room.on('error', changed)] : []
  ));
}

/**
 * The statuses of users, in the order of the ids, watched while the store is read; null in place of
 * those that are not known.
 * @param {Client | null | undefined} here
 * @param {readonly string[]} ids
 * @returns {Readable<readonly (Status | null)[]>}
 */
export function statuses(here, ids) {
  const users = here ? ids.map((id) => here.user(id)) : [];
  return follow(() => ids.map((_, at) => users[at]?.status ?? null), (changed) => [watchAll(users, changed)]);
}

/** A user's status, or null. @param {Client | null | undefined} here @param {string} id @returns {Readable<Status | null>} */
export function status(here, id) {
  const user = here?.user(id);
  return follow(() => user?.status ?? null, (changed) => (user ? [watchAll([user], changed)] : []));
}

/** The connection, and what is wrong with it. @param {Client | null | undefined} here @returns {Readable<{state: State, error: HerenowError | null}>} */
export function connection(here) {
  return follow(
    () => ({ state: here?.state ?? CONNECTING, error: here?.error ?? null }),
    (changed) => (here ? [here.on('state', changed), here.on('error', changed)] : []),
  );
}

/**
 * @template T
 * @param {() => T} read
 * @param {(changed: () => void) => (() => void)[]} begin returns what ends it
 * @returns {Readable<T>}
 */
function follow(read, begin) {
  /** @type {Set<() => void>} */
  const readers = new Set();
  /** @type {(() => void)[]} */
  let ends = [];
  let value = read();
  const changed = () => {
    value = read();
    for (const tell of [...readers]) tell();
  };
  return {
    subscribe(run) {
      if (!readers.size) ends = begin(changed);
      value = read();
      const tell = () => run(value);
      readers.add(tell);
      tell();
      return () => {
        if (readers.delete(tell) && !readers.size) ends.forEach((end) => end());
      };
    },
  };
}

/** @param {Channel} room @returns {Room} */
function shown(room) {
  const { members, self = null, count, live, joined, error } = room;
  return { channel: room, members, others: othersOf(room), self, count, live, joined, error };
}
