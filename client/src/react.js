/**
 * React hooks over a client that the page has made, outside of its components:
 *
 * ```jsx
 * const here = connect('wss://example.com/ws', { token });
 *
 * function Room({ name, mood }) {
 *   const room = useChannel(here, name, { join: { mood } });
 *   return <p>{useCount(room)} here: {useMembers(room).map(({ user }) => user).join(', ')}</p>;
 * }
 * ```
 */

import { useCallback, useEffect, useRef, useSyncExternalStore } from 'react';

/** @typedef {import('./error.js').HerenowError} HerenowError */
/** @typedef {import('./link.js').State} State */
/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./shapes.js').Shape} Shape */
/** @template {Shape} [T=any] @typedef {import('./client.js').Client<T>} Client */
/** @template {Shape} T @typedef {import('./shapes.js').AttributesOf<T>} AttributesOf */
/** @template {Shape} T @typedef {import('./shapes.js').InfoOf<T>} InfoOf */
/** @template {object} [A=any] @template {object} [I=any] @typedef {import('./channel.js').Channel<A, I>} Channel */
/** @template {object} [A=any] @typedef {import('./channel.js').JoinOptions<A>} JoinOptions */
/** @template {object} [A=any] @template {object} [I=any] @typedef {import('./replica.js').Member<A, I>} Member */
/** @template {object} [I=any] @typedef {import('./user.js').Status<I>} Status */

/**
 * The events of a channel, or of a client.
 * @template Target
 * @typedef {Target extends Channel<infer A, infer I> ? import('./channel.js').Events<A, I> : import('./client.js').Events} EventsOf
 */

/**
 * What a component wants of a channel: JSON throughout, so a new object that says the same is the same.
 * @template {object} [A=any]
 * @typedef {object} Wish
 * @property {'auto' | 'events' | 'count' | null} [level] how much to watch; null: not at all; `auto` if absent
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
 * @typedef {{join?: string | null, level?: string | null}} Said null: it ended without us
 */

/** From little to much: of what several components want, the most counts. */
const LEVELS = /** @type {const} */ (['count', 'auto', 'events']);
/** What no component has to be told: it goes on being wanted, or is wanted no longer. */
const NO_NEWS = ['superseded', 'timeout', 'closed'];

/** A client has one object for a channel, and so many components share it. @type {WeakMap<Channel, Hold>} */
const holds = new WeakMap();

// What a server renders, and the page before it knows more.
const NOBODY = /** @type {readonly Member[]} */ (Object.freeze([]));
const CONNECTING = /** @type {State} */ (Object.freeze({ phase: 'connecting' }));

/**
 * Watches a channel while the component is there, and is a member of it if asked to. Components that
 * use the same channel share one subscription and one membership, which end with the last of them.
 * What is refused is told by the channel's `error`.
 * @template {Shape} T
 * @template {object} [A=AttributesOf<T>] what members of this channel carry
 * @param {Client<T>} here
 * @param {string} name
 * @param {ChannelOptions<NoInfer<A>>} [options]
 * @returns {Channel<A, InfoOf<T>>} the same for the same name; the component renders again only by the other hooks
 */
export function useChannel(here, name, options = {}) {
  /** @type {Channel<A, InfoOf<T>>} */
  const room = here.channel(name);
  const wish = JSON.stringify(options);
  useEffect(() => hold(here, room, JSON.parse(wish)), [here, room, wish]);
  return room;
}

/**
 * The members, newest first.
 * @template {object} A
 * @template {object} I
 * @param {Channel<A, I>} room
 * @returns {readonly Member<A, I>[]}
 */
export function useMembers(room) {
  return useRoom(room, () => room.members, NOBODY);
}

/** How many members there are. @param {Channel} room @returns {number} */
export function useCount(room) {
  return useRoom(room, () => room.count, 0);
}

/** Whether what is shown is kept up to date. @param {Channel} room @returns {boolean} */
export function useLive(room) {
  return useRoom(room, () => room.live, false);
}

/** Whether we are a member. @param {Channel} room @returns {Channel['joined']} */
export function useJoined(room) {
  return useRoom(room, () => room.joined, 'out');
}

/**
 * A user's status, while the component is there; null until it is known.
 * @template {Shape} T
 * @param {Client<T>} here
 * @param {string} id
 * @returns {Status<InfoOf<T>> | null}
 */
export function useStatus(here, id) {
  const user = here.user(id);
  const subscribe = useCallback((/** @type {() => void} */ notify) => {
    const stop = user.watch(() => notify());
    // Later, so that whoever watches the same user in this turn takes over.
    return () => queueMicrotask(stop);
  }, [user]);
  return useSyncExternalStore(subscribe, () => user.status, () => null);
}

/** The connection. @param {Client} here @returns {State} */
export function useConnection(here) {
  const subscribe = useCallback((/** @type {() => void} */ notify) => here.on('state', notify), [here]);
  return useSyncExternalStore(subscribe, () => here.state, () => CONNECTING);
}

/**
 * Hears an event of a channel or of the client while the component is there; always the listener that
 * was rendered last.
 * @template {Channel | Client} Target
 * @template {keyof EventsOf<Target>} Name
 * @param {Target} target
 * @param {Name} name
 * @param {(argument: EventsOf<Target>[Name]) => void} listener
 */
export function useEvent(target, name, listener) {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    const emitter = /** @type {import('./emitter.js').Emitter<any>} */ (target);
    return emitter.on(name, (argument) => latest.current(argument));
  }, [target, name]);
}

/**
 * @template T
 * @param {Channel} room
 * @param {() => T} read the same until the next `change`
 * @param {T} unknown
 */
function useRoom(room, read, unknown) {
  const subscribe = useCallback((/** @type {() => void} */ notify) => room.on('change', notify), [room]);
  return useSyncExternalStore(subscribe, read, () => unknown);
}

/** @param {Client} here @param {Channel} room @param {ChannelOptions} wish @returns {() => void} ends it */
function hold(here, room, wish) {
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

/** @param {Client} here @param {Channel} room */
function begin(here, room) {
  /** @type {Hold} */
  const held = { wishes: new Set(), said: {} };
  holds.set(room, held);
  // Refused, or our rights ended: it is tried again by whoever mounts next, and on another connection.
  room.on('error', () => {
    if (room.joined === 'out') held.said.join = null;
    if (room.level === null) held.said.level = null;
  });
  here.on('state', ({ phase }) => phase === 'open' && queueMicrotask(() => say(room, held)));
  return held;
}

/** Says of all the wishes together what was not said yet. @param {Channel} room @param {Hold} held */
function say(room, { wishes, said }) {
  const all = [...wishes];
  const wanted = (/** @type {Wish} */ { level = 'auto' }) => level;
  const level = LEVELS.findLast((each) => all.some((wish) => wanted(wish) === each));
  const { join = false, level: _, ...options } = all.findLast((wish) => wish.join) ?? {};

  // Join first: then the first snapshot has us in it already.
  once(room, said, 'join', join && JSON.stringify([join, options]), () => (
    join ? room.join(join === true ? undefined : join, options) : room.leave()
  ));
  once(room, said, 'level', level, () => (level ? room.subscribe({ level }) : room.unsubscribe()));
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
