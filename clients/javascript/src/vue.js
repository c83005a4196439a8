/**
 * Vue composables over one client, which the app provides:
 *
 * ```js
 * createApp(App).use(herenow, connect('wss://example.com/ws', { token }));
 *
 * const { members, count, channel } = useChannel(() => props.room, () => ({ join: { mood: mood.value } }));
 * ```
 *
 * On a server, and until a component is mounted, they say: nobody here. Nobody becomes present there.
 */

import {
  computed, getCurrentInstance, hasInjectionContext, inject, markRaw, onMounted, onScopeDispose, shallowRef, toValue, watch,
} from 'vue';
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

/** @template T @typedef {import('vue').MaybeRefOrGetter<T>} Given */
/** @template T @typedef {import('vue').ComputedRef<T>} Shown */

const KEY = Symbol('herenow');

/** The plugin: `app.use(herenow, client)`. @type {import('vue').Plugin<[Client | null]>} */
export const herenow = {
  /** @param {import('vue').App} app @param {Client | null} client */
  install(app, client) {
    app.provide(KEY, client && markRaw(client));
  },
};

/** The client of the app; null if it has none, as on a server. @returns {Client | null} */
export function useHerenow() {
  return (hasInjectionContext() && inject(KEY, null)) || null;
}

/**
 * Watches a channel while the component is there, and is a member of it if asked to. Components that
 * use the same channel share one subscription and one membership, which end with the last of them.
 * @param {Given<string | null | undefined>} name without one there is no channel
 * @param {Given<ChannelOptions>} [options]
 * @param {Client | null} [here] the app's own if absent
 * @returns {{channel: Shown<Channel | null>, members: Shown<readonly Member[]>, others: Shown<readonly Member[]>,
 *   self: Shown<Member | null>, count: Shown<number>, live: Shown<boolean>, joined: Shown<Channel['joined']>,
 *   error: Shown<HerenowError | null>}}
 */
export function useChannel(name, options = {}, here = useHerenow()) {
  const channel = computed(() => roomOf(here, toValue(name)));
  const wish = computed(() => JSON.stringify(toValue(options)));
  const tick = whileMounted([channel, wish], (changed) => {
    const room = channel.value;
    if (!here || !room) return;
    const ends = [hold(here, room, JSON.parse(wish.value)), room.on('change', changed), room.on('error', changed)];
    return () => ends.forEach((end) => end());
  });
  /** @type {<T>(read: (room: Channel) => T, unknown: T) => Shown<T>} */
  const shown = (read, unknown) => computed(() => (tick.value && channel.value ? read(channel.value) : unknown));
  return {
    channel,
    members: shown(({ members }) => members, NOBODY),
    others: shown(othersOf, NOBODY),
    self: shown(({ self }) => self ?? null, null),
    count: shown(({ count }) => count, 0),
    live: shown(({ live }) => live, false),
    joined: shown(({ joined }) => joined, /** @type {Channel['joined']} */ ('out')),
    error: shown(({ error }) => error, null),
  };
}

/**
 * The statuses of users, in the order of the ids, watched while the component is there; null in place
 * of those that are not known.
 * @param {Given<readonly string[]>} ids
 * @param {Client | null} [here] the app's own if absent
 * @returns {Shown<readonly (Status | null)[]>}
 */
export function useStatuses(ids, here = useHerenow()) {
  const key = computed(() => JSON.stringify(toValue(ids)));
  const users = computed(() => JSON.parse(key.value).map((/** @type {string} */ id) => here?.user(id)));
  const tick = whileMounted([users], (changed) => (here ? watchAll(users.value, changed) : undefined));
  return computed(() => users.value.map((/** @type {any} */ user) => (tick.value && user?.status) || null));
}

/**
 * A user's status, watched while the component is there; null until it is known.
 * @param {Given<string>} id
 * @param {Client | null} [here] the app's own if absent
 * @returns {Shown<Status | null>}
 */
export function useStatus(id, here = useHerenow()) {
  const statuses = useStatuses(() => [toValue(id)], here);
  return computed(() => statuses.value[0]);
}

/**
 * The client's connection, and what is wrong with it.
 * @param {Client | null} [here] the app's own if absent
 * @returns {{state: Shown<State>, error: Shown<HerenowError | null>}}
 */
export function useConnection(here = useHerenow()) {
  const tick = whileMounted([], (changed) => {
    const ends = here ? [here.on('state', changed), here.on('error', changed)] : [];
    return () => ends.forEach((end) => end());
  });
  return {
    state: computed(() => (tick.value && here?.state) || CONNECTING),
    error: computed(() => (tick.value && here?.error) || null),
  };
}

/**
 * From when the component is mounted until it goes; outside of components (a store, an effect scope)
 * from now on. Begins anew when what it depends on changes.
 * @param {import('vue').WatchSource[]} sources
 * @param {(changed: () => void) => (() => void) | void} begin returns what ends it
 * @returns {import('vue').ShallowRef<number>} another number whenever something may have changed; 0 before
 */
function whileMounted(sources, begin) {
  const tick = shallowRef(0);
  const changed = () => void (tick.value += 1);
  /** @type {(() => void) | void} */
  let end;
  const again = () => {
    end?.();
    end = begin(changed);
    changed();
  };
  /** @type {(() => void) | undefined} */
  let stop;
  const start = () => {
    again();
    stop = watch(sources, again);
  };
  if (getCurrentInstance()) onMounted(start);
  else start();
  onScopeDispose(() => {
    stop?.();
    end?.();
  });
  return tick;
}
