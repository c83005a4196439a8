/** A client, a channel and a user in the stores of frameworks, which put proxies around what they hold. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { JSDOM } from 'jsdom';
import { autorun, makeAutoObservable, observable } from 'mobx';
import { createPinia, defineStore } from 'pinia';
import { proxy } from 'valtio/vanilla';
import { createApp, reactive, readonly, ref, shallowReactive } from 'vue';
import { client, startBroker, until } from './broker.js';

/** @type {Awaited<ReturnType<typeof startBroker>>} */
let broker;
let rooms = 0;
before(async () => {
  broker = await startBroker();
});
/** @type {Array<{close(): void}>} */
const clients = [];
after(async () => {
  for (const each of clients) each.close();
  await broker.stop();
});

/**
 * All that a page does with them, through whatever a store has made of them.
 * @param {import('../src/index.js').Client} here
 * @param {(object: object) => any} [held] a channel or a user, as the store hands it out
 */
async function worksAs(here, held = (object) => object) {
  const room = held(here.channel(`room-${++rooms}`));
  /** @type {string[]} */
  const told = [];
  const stop = room.on('join', (/** @type {any} */ { user }) => told.push(user));
  await room.subscribe();
  await room.join({ mood: 'happy' });
  await room.setAttributes({ mood: 'sad' });
  await until('it shows', () => room.members[0]?.attributes.mood === 'sad');
  assert.deepEqual([room.count, room.live, room.level, room.joined, room.get(here.me).user], [1, true, 'events', 'in', here.me]);
  assert.equal(await room.getCount(), 1);
  const bob = held(here.user('bob'));
  await new Promise((resolve) => { bob.watch(resolve); });
  assert.equal(bob.status.online, false);
  await here.status({ busy: true });
  assert.deepEqual([here.state.phase, await here.check(), here.now() > 0, here.welcome.protocol], ['open', true, true, 1]);
  stop();
  await room.leave();
  await room.unsubscribe();
  assert.deepEqual(told, [here.me]);
  here.close();
  assert.equal(here.state.phase, 'closed');
}

function made() {
  const here = client(broker.url, { user: 'ada' });
  clients.push(here);
  return here;
}

for (const [what, wrap] of /** @type {[string, <T extends object>(object: T) => T][]} */ ([
  ['Vue’s reactive', (object) => /** @type {any} */ (reactive({ object })).object],
  ['Vue’s reactive around it alone', (object) => /** @type {any} */ (reactive(object))],
  ['Vue’s ref', (object) => /** @type {any} */ (ref(object)).value],
  ['Vue’s readonly', (object) => /** @type {any} */ (readonly(object))],
  ['Vue’s shallowReactive', (object) => shallowReactive(object)],
  ['MobX’s observable', (object) => /** @type {any} */ (observable({ object })).object],
  ['MobX’s box', (object) => observable.box(object).get()],
  ['a proxy that knows nothing of us', (object) => new Proxy(object, {})],
  ['a proxy in a proxy', (object) => new Proxy(new Proxy(object, {}), {})],
  ['a proxy of a proxy that wraps all that it hands out', deep],
  ['Valtio’s proxy', (object) => proxy({ object }).object],
  ['an object that inherits from it', (object) => Object.create(object)],
])) {
  test(`they work in ${what}`, () => worksAs(wrap(made()), wrap));
}

/** @template {object} T @param {T} object @returns {T} */
function deep(object) {
  return new Proxy(object, {
    get(target, name, receiver) {
      const value = Reflect.get(target, name, receiver);
      return typeof value === 'object' && value !== null && !(value instanceof Promise) ? deep(value) : value;
    },
  });
}

test('Vue leaves them alone: what comes out is what went in', () => {
  const here = made();
  const room = here.channel('same');
  const state = reactive({ here, rooms: [room], user: here.user('bob') });
  assert.equal(state.here, here);
  assert.equal(state.rooms[0], room);
  assert.equal(state.user, here.user('bob'));
  here.close();
});

test('they work in a Pinia store, and in its methods', async () => {
  const app = createApp({});
  app.use(createPinia());
  const store = app.runWithContext(defineStore('presence', {
    state: () => ({ here: made() }),
    getters: { phase: (state) => state.here.state.phase },
    actions: {
      async run() {
        await worksAs(/** @type {any} */ (this).here);
      },
    },
  }));
  await store.run();
  assert.equal(store.phase, 'closed');
});

test('they work in a MobX store, which sees what the page copies', async () => {
  class Store {
    here = made();
    room = this.here.channel('mobx');
    count = 0;

    constructor() {
      makeAutoObservable(this);
      this.room.on('change', () => { this.count = this.room.count; });
    }
  }
  const store = new Store();
  /** @type {number[]} */
  const seen = [];
  autorun(() => seen.push(store.count));
  await store.room.subscribe();
  await store.room.join();
  await until('it is seen', () => seen.at(-1) === 1);
  await worksAs(store.here);
});

test('they work in Alpine’s data, and as that data', async () => {
  const { window } = new JSDOM('<div id="page" x-data="page"><b x-text="here.state.phase"></b></div><div id="bare" x-data="here"></div>');
  for (const name of ['window', 'document', 'Node', 'Element', 'HTMLElement', 'ShadowRoot', 'CustomEvent', 'MutationObserver']) {
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
  }
  const { default: module } = await import('alpinejs');
  const Alpine = /** @type {any} */ (module).default ?? module;
  const [here, bare] = [made(), made()];
  Alpine.data('page', () => ({ here, room: here.channel('alpine') }));
  Alpine.data('here', () => /** @type {any} */ (bare));
  Alpine.start();
  const data = (/** @type {string} */ id) => /** @type {any} */ (Alpine.$data(window.document.getElementById(id)));
  await data('page').room.join();
  await worksAs(data('page').here);
  await worksAs(data('bare'));
  Alpine.stopObservingMutations();
});

test('a method works as a function alone', async () => {
  const { channel, close } = made();
  const { join, getCount, on } = channel('alone');
  on('change', () => {});
  await join();
  assert.equal(await getCount(), 1);
  close();
});

test('methods can be replaced, as tests do', () => {
  const here = made();
  const room = here.channel('mocked');
  room.join = async () => {};
  assert.deepEqual([Object.keys(room).includes('join'), JSON.stringify(Object.keys(room))], [false, '["name"]']);
  here.close();
});
