'use client';
/**
 * React hooks over one client, which a `HerenowProvider` makes or the page does outside of its
 * components:
 *
 * ```jsx
 * <HerenowProvider url="wss://example.com/ws" token={fetchToken}><Room name="room-1" /></HerenowProvider>
 *
 * function Room({ name, mood }) {
 *   const room = useChannel(useHerenow(), name, { join: { mood } });
 *   return <p>{useCount(room)} here: {useMembers(room).map(({ user }) => user).join(', ')}</p>;
 * }
 * ```
 *
 * On a server they render the first state: nobody here. None of them makes anybody present there.
 */

import {
  createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore,
} from 'react';
import { CONNECTING, hold, NOBODY, othersOf, roomOf, watchAll } from './hold.js';
import { connect } from './index.js';

/** @typedef {import('./error.js').HerenowError} HerenowError */
/** @typedef {import('./link.js').State} State */
/** @typedef {import('./replica.js').Attributes} Attributes */
/** @typedef {import('./shapes.js').Shape} Shape */
/** @template {Shape} [T=any] @typedef {import('./client.js').Client<T>} Client */
/** @template {Shape} T @typedef {import('./shapes.js').AttributesOf<T>} AttributesOf */
/** @template {Shape} T @typedef {import('./shapes.js').InfoOf<T>} InfoOf */
/** @template {object} [A=any] @template {object} [I=any] @typedef {import('./channel.js').Channel<A, I>} Channel */
/** @template {object} [A=any] @typedef {import('./hold.js').Wish<A>} Wish */
/** @template {object} [A=any] @typedef {import('./hold.js').ChannelOptions<A>} ChannelOptions */
/** @template {object} [A=any] @template {object} [I=any] @typedef {import('./replica.js').Member<A, I>} Member */
/** @template {object} [I=any] @typedef {import('./user.js').Status<I>} Status */

/** What a client was told of its types. @template Here @typedef {NonNullable<Here> extends Client<infer T> ? T : Shape} ShapeOf */
/** @template Wanted @typedef {Wanted extends null | undefined ? null : never} NullIfAbsent */

/**
 * The events of a channel, or of a client.
 * @template Target
 * @typedef {Target extends Channel<infer A, infer I> ? import('./channel.js').Events<A, I> : import('./client.js').Events} EventsOf
 */

/**
 * Chooses from what a hook reads what the component shows. The component renders again only when that
 * is not `equal` to what was chosen before.
 * @template Read, T
 * @typedef {(read: Read) => T} Select
 */
/**
 * Absent: the same value, or an array or plain object of the same values.
 * @template T
 * @typedef {(a: T, b: T) => boolean} Equal
 */

/** @type {import('react').Context<Client | null | undefined>} */
const Herenow = createContext(/** @type {Client | null | undefined} */ (undefined));

/**
 * Hands a client to all components below: its own, which lives for as long as it is there, or one that
 * the page has made.
 *
 * Its own is made in the browser alone, once the page is alive. Another `url`, and another option that
 * is no function, is another client; of functions the one counts that was rendered last.
 * @param {{client: Client | null, url?: undefined, children?: import('react').ReactNode}
 *   | ({url: string | URL, client?: undefined, children?: import('react').ReactNode} & import('./client.js').Options)} props
 *   `url` and the options of `connect`, or a `client`
 */
export function HerenowProvider({ client, url, children, ...options }) {
  const [made, setMade] = useState(/** @type {Client | null} */ (null));
  const latest = useRef(/** @type {import('./client.js').Options} */ (options));
  useEffect(() => {
    latest.current = options;
  });
  const address = url && String(url);
  const said = JSON.stringify(options);
  useEffect(() => {
    if (!address) return undefined;
    const { token } = latest.current;
    const fresh = () => /** @type {() => string} */ (latest.current.token)();
    const here = connect(address, { ...latest.current, token: typeof token === 'function' ? fresh : token });
    setMade(here);
    return () => {
      setMade(null);
      here.close();
    };
  }, [address, said]);
  return createElement(Herenow.Provider, { value: client ?? made }, children);
}

/**
 * The client of the `HerenowProvider` above; null on a server, and before the page is alive.
 * @template {Shape} [T=Shape] as in `connect`
 * @returns {Client<T> | null}
 */
export function useHerenow() {
  const here = useContext(Herenow);
  if (here === undefined) throw new Error('useHerenow needs a HerenowProvider above it');
  return here;
}

/**
 * Watches a channel while the component is there, and is a member of it if asked to. Components that
 * use the same channel share one subscription and one membership, which end with the last of them.
 * What is refused is told by `useError`, and by the channel's `error`.
 * @template {Client | null | undefined} Here
 * @template {string | null | undefined} Name
 * @template {object} [A=AttributesOf<ShapeOf<Here>>] what members of this channel carry
 * @param {Here} here
 * @param {Name} name
 * @param {ChannelOptions<NoInfer<A>>} [options]
 * @returns {Channel<A, InfoOf<ShapeOf<Here>>> | NullIfAbsent<Here> | NullIfAbsent<Name>} the same for the
 *   same name; null without a client or a name. The component renders again only by the other hooks.
 */
export function useChannel(here, name, options = {}) {
  const room = roomOf(here, name);
  const wish = JSON.stringify(options);
  useEffect(() => (here && room ? hold(here, room, JSON.parse(wish)) : undefined), [here, room, wish]);
  return /** @type {any} */ (room);
}

/**
 * The members, newest first.
 * @template {object} [A=Attributes]
 * @template {object} [I=Attributes]
 * @template [T=readonly Member<A, I>[]]
 * @param {Channel<A, I> | null | undefined} room
 * @param {Select<readonly Member<A, I>[], T>} [select]
 * @param {Equal<T>} [equal]
 * @returns {T}
 */
export function useMembers(room, select, equal) {
  return useRoom(room, ({ members }) => members, NOBODY, select, equal);
}

/**
 * The members without ourselves, newest first; what we change of ourselves renders nothing.
 * @template {object} [A=Attributes]
 * @template {object} [I=Attributes]
 * @template [T=readonly Member<A, I>[]]
 * @param {Channel<A, I> | null | undefined} room
 * @param {Select<readonly Member<A, I>[], T>} [select]
 * @param {Equal<T>} [equal]
 * @returns {T}
 */
export function useOthers(room, select, equal) {
  return useRoom(room, othersOf, NOBODY, select, equal);
}

/**
 * One member; null if the user is none.
 * @template {object} [A=Attributes]
 * @template {object} [I=Attributes]
 * @template [T=Member<A, I> | null]
 * @param {Channel<A, I> | null | undefined} room
 * @param {string} user
 * @param {Select<Member<A, I> | null, T>} [select]
 * @param {Equal<T>} [equal]
 * @returns {T}
 */
export function useMember(room, user, select, equal) {
  return useRoom(room, (room) => room.get(user) ?? null, null, select, equal);
}

/**
 * Our own member, as others see it; null if we are none, or do not watch.
 * @template {object} [A=Attributes]
 * @template {object} [I=Attributes]
 * @template [T=Member<A, I> | null]
 * @param {Channel<A, I> | null | undefined} room
 * @param {Select<Member<A, I> | null, T>} [select]
 * @param {Equal<T>} [equal]
 * @returns {T}
 */
export function useSelf(room, select, equal) {
  return useRoom(room, ({ self }) => self ?? null, null, select, equal);
}

/** How many members there are. @param {Channel | null | undefined} room @returns {number} */
export function useCount(room) {
  return useRoom(room, ({ count }) => count, 0);
}

/** Whether what is shown is kept up to date. @param {Channel | null | undefined} room @returns {boolean} */
export function useLive(room) {
  return useRoom(room, ({ live }) => live, false);
}

/** Whether we are a member. @param {Channel | null | undefined} room @returns {Channel['joined']} */
export function useJoined(room) {
  return useRoom(room, ({ joined }) => joined, 'out');
}

/**
 * A user's status, while the component is there; null until it is known.
 * @template {Shape} [S=Shape]
 * @template [T=Status<InfoOf<S>> | null]
 * @param {Client<S> | null | undefined} here
 * @param {string | null | undefined} id
 * @param {Select<Status<InfoOf<S>> | null, T>} [select]
 * @param {Equal<T>} [equal]
 * @returns {T}
 */
export function useStatus(here, id, select = same, equal) {
  return useStatuses(here, id ? [id] : [], ([status = null]) => select(status), equal);
}

/**
 * The statuses of several users, in the order of the ids, while the component is there; null in place
 * of those that are not known.
 * @template {Shape} [S=Shape]
 * @template [T=readonly (Status<InfoOf<S>> | null)[]]
 * @param {Client<S> | null | undefined} here
 * @param {readonly string[]} ids
 * @param {Select<readonly (Status<InfoOf<S>> | null)[], T>} [select]
 * @param {Equal<T>} [equal]
 * @returns {T}
 */
export function useStatuses(here, ids, select, equal) {
  const key = JSON.stringify(ids);
  const users = useMemo(() => JSON.parse(key).map((/** @type {string} */ id) => here?.user(id)), [here, key]);
  const subscribe = useCallback((/** @type {() => void} */ notify) => watchAll(here ? users : [], notify), [here, users]);
  return useStore(subscribe, () => users.map((/** @type {any} */ user) => user?.status ?? null), ids.map(() => null), select, equal);
}

/** The connection. @param {Client | null | undefined} here @returns {State} */
export function useConnection(here) {
  return useStore(useListener(here, 'state'), () => here?.state ?? CONNECTING, CONNECTING);
}

/**
 * What is wrong, until it is right again: why we are not in a channel or do not watch it, or what keeps
 * the client from its broker; null if nothing is.
 * @param {Channel | Client | null | undefined} target
 * @returns {HerenowError | null}
 */
export function useError(target) {
  return useStore(useListener(target, 'change', 'state', 'error'), () => target?.error ?? null, null);
}

/**
 * Hears an event of a channel or of the client while the component is there; always the listener that
 * was rendered last.
 * @template {Channel | Client} Target
 * @template {keyof EventsOf<Target>} Name
 * @param {Target | null | undefined} target
 * @param {Name} name
 * @param {(argument: EventsOf<Target>[Name]) => void} listener
 */
export function useEvent(target, name, listener) {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    const emitter = /** @type {import('./emitter.js').Emitter<any> | null} */ (target);
    return emitter?.on(name, (argument) => latest.current(argument));
  }, [target, name]);
}

/**
 * @param {Channel | null | undefined} room
 * @param {(room: Channel) => any} read
 * @param {any} unknown
 * @param {Select<any, any>} [select]
 * @param {Equal<any>} [equal]
 */
function useRoom(room, read, unknown, select, equal) {
  return useStore(useListener(room, 'change'), () => (room ? read(room) : unknown), unknown, select, equal);
}

/** @param {any} target an emitter, or nothing @param {string[]} names @returns {(notify: () => void) => () => void} */
function useListener(target, ...names) {
  return useCallback((notify) => {
    const ends = names.map((name) => target?.on(name, notify));
    return () => ends.forEach((end) => end?.());
  // The names of a hook are always the same.
  }, [target]);
}

/**
 * What is read, or chosen from it: the same value for as long as it is equal.
 * @param {(notify: () => void) => () => void} subscribe
 * @param {() => any} read
 * @param {any} unknown what a server renders, and the page before it is alive
 * @param {Select<any, any>} [select]
 * @param {Equal<any>} [equal]
 */
function useStore(subscribe, read, unknown, select = same, equal = alike) {
  /** @type {import('react').RefObject<{value: any} | null>} */
  const last = useRef(null);
  const take = (/** @type {any} */ all) => {
    const value = select(all);
    if (!last.current || !equal(last.current.value, value)) last.current = { value };
    return last.current.value;
  };
  return useSyncExternalStore(subscribe, () => take(read()), () => take(unknown));
}

/** @param {any} all */
function same(all) {
  return all;
}

/** The same, or two arrays or plain objects of the same. @param {any} a @param {any} b */
function alike(a, b) {
  if (Object.is(a, b)) return true;
  const kind = (/** @type {any} */ value) => value && Object.getPrototypeOf(value);
  if (kind(a) !== kind(b) || ![Object.prototype, Array.prototype].includes(kind(a))) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && Object.is(a[key], b[key]));
}
