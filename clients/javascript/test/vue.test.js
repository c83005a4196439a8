/** The composables, in real Vue. */

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { fakeBroker } from '../src/testing.js';
import { sleep } from './broker.js';
import { window } from './dom.js';
import { until } from './facade-helpers.js';

const { createApp, createSSRApp, effectScope, h, nextTick, onMounted, ref } = await import('vue');
const { renderToString } = await import('vue/server-renderer');
const { herenow, useChannel, useConnection, useHerenow, useStatus, useStatuses } = await import('../src/vue.js');

let broker;
let here;
let app;
let main;
beforeEach(() => {
  broker = fakeBroker();
  here = broker.connect({ user: 'ada' });
  main = window.document.createElement('div');
});
afterEach(() => {
  app?.unmount();
  app = undefined;
  here.close();
});
after(() => window.close());

/** @param {object} component */
function mount(component, client = here) {
  app = createApp(component).use(herenow, client);
  app.mount(main);
}
const types = () => broker.received.map(({ frame: { type, channel } }) => `${type} ${channel}`);
const Room = (options, name = 'room') => ({
  setup() {
    const { members, others, self, count, live, joined, error } = useChannel(name, options);
    return () => h('p', [
      live.value ? 'live' : 'stale', joined.value, count.value, members.value.map(({ user }) => user).join('+'),
      others.value.length, self.value?.user ?? '-', error.value?.code ?? '-',
    ].join(' '));
  },
});

test('a component shows who is here, joins, and leaves when it goes', async () => {
  broker.join('room', 'bob');
  mount(Room({ join: { mood: 'happy' } }));
  assert.equal(main.textContent, 'stale out 0  0 - -');
  await until(() => main.textContent === 'live in 2 ada+bob 1 ada -');
  assert.deepEqual(types(), ['join room', 'subscribe room']);
  assert.deepEqual(broker.members('room')[0], { user: 'ada', attributes: { mood: 'happy' } });
  broker.leave('room', 'bob');
  await until(() => main.textContent === 'live in 1 ada 0 ada -');
  app.unmount();
  app = undefined;
  await until(() => broker.members('room').length === 0);
  await until(() => types().length === 4);
  assert.deepEqual(types().slice(2), ['leave room', 'unsubscribe room']);
});

test('another name and other options are followed; the same are no news', async () => {
  const name = ref('room');
  const mood = ref('happy');
  mount(Room(() => ({ join: { mood: mood.value } }), name));
  await until(() => main.textContent.startsWith('live in 1'));
  const before = types().length;
  mood.value = 'sad';
  await until(() => broker.members('room')[0].attributes.mood === 'sad');
  assert.equal(types().length, before + 1);
  name.value = 'hall';
  await until(() => broker.members('room').length === 0 && broker.members('hall').length === 1);
  await until(() => main.textContent.startsWith('live in 1'));
  name.value = null;
  await until(() => broker.members('hall').length === 0);
  assert.equal(main.textContent, 'stale out 0  0 - -');
});

test('two components share one subscription and one membership', async () => {
  const both = ref(true);
  const One = Room({ join: true });
  mount({ setup: () => () => [h(One), both.value ? h(One) : null] });
  await until(() => main.textContent === 'live in 1 ada 0 ada -'.repeat(2));
  both.value = false;
  await nextTick();
  await sleep(50);
  assert.deepEqual(types(), ['join room', 'subscribe room']);
});

test('what is refused shows, until it is right', async () => {
  const end = broker.refuse('join', { code: 'forbidden' });
  const again = ref(false);
  const One = Room({ join: true });
  mount({ setup: () => () => [h(One), again.value ? h(One) : null] });
  await until(() => main.textContent.endsWith('forbidden'));
  end();
  again.value = true;
  await until(() => main.textContent.startsWith('live in') && !main.textContent.includes('forbidden'));
});

test('a child’s first hook sets attributes although the parent joins after it', async () => {
  const Child = {
    props: ['room'],
    setup(props) {
      onMounted(() => void props.room.setAttributes({ ready: true }));
      return () => null;
    },
  };
  mount({
    setup() {
      const { channel } = useChannel('room', { join: true });
      return () => h(Child, { room: channel.value });
    },
  });
  await until(() => broker.members('room')[0]?.attributes.ready);
});

test('statuses come in the order of their ids, and the connection with what is wrong with it', async () => {
  broker.status('bob', { online: true });
  mount({
    setup() {
      const bob = useStatus('bob');
      const all = useStatuses(['cy', 'bob']);
      const { state, error } = useConnection();
      return () => h('p', [
        bob.value?.online ?? '?', all.value.map((status) => status?.online ?? '?').join('+'), state.value.phase, error.value?.code ?? '-',
      ].join(' '));
    },
  });
  assert.equal(main.textContent, '? ?+? connecting -');
  await until(() => main.textContent === 'true false+true open -');
  broker.stop();
  await until(() => main.textContent.endsWith('unreachable'));
});

test('on a server nobody becomes present, and the page takes over what it rendered', async () => {
  const One = { setup: () => () => [h(Room({ join: true })), h('i', useHerenow() ? 'client' : 'none')] };
  const html = await renderToString(createSSRApp(One).use(herenow, here));
  assert.match(html, /stale out 0 {2}0 - -/);
  await sleep(50);
  assert.deepEqual(types(), []);
  assert.match(await renderToString(createSSRApp(One)), /none/);
  main.innerHTML = html;
  app = createSSRApp(One).use(herenow, here);
  app.mount(main);
  await until(() => main.textContent.startsWith('live in 1'));
});

test('outside of a component it lasts as long as its scope', async () => {
  const scope = effectScope();
  const { count } = scope.run(() => useChannel('room', { join: true }, here));
  await until(() => count.value === 1);
  scope.stop();
  await until(() => broker.members('room').length === 0);
});
