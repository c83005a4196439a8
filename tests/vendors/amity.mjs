/**
 * social.plus' client library, as it is on npm, in Node.js: the three modules of its host, React
 * Native, are stubbed where it requires them. Each user has one of its own, since it keeps one
 * session for all that load it.
 */

import Module, { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const STORE = new Map();
const HOST = {
  'react-native': { Platform: { OS: 'ios' } },
  '@react-native-async-storage/async-storage': {
    __esModule: true,
    default: {
      getItem: async (/** @type {string} */ key) => STORE.get(key) ?? null,
      setItem: async (/** @type {string} */ key, /** @type {string} */ value) => { STORE.set(key, value); },
      removeItem: async (/** @type {string} */ key) => { STORE.delete(key); },
    },
  },
  '@react-native-community/netinfo': { __esModule: true, addEventListener: () => () => {} },
};

const node = /** @type {any} */ (Module);
const load = node._load;
node._load = (/** @type {string} */ name, /** @type {unknown[]} */ ...rest) => HOST[/** @type {keyof typeof HOST} */ (name)] ?? load(name, ...rest);
Object.defineProperty(globalThis, 'navigator', { value: { product: 'ReactNative' }, configurable: true });

/** Its timers must not keep the tests from ending. */
const { setInterval: every } = globalThis;
globalThis.setInterval = /** @type {any} */ ((/** @type {any[]} */ ...given) => every(.../** @type {[any]} */ (given)).unref());

/** The library, with no session. @returns {any} */
function amity() {
  const file = require.resolve('@amityco/ts-sdk-react-native');
  delete require.cache[file];
  return require(file);
}

/** The wire to one of them, as its documentation has it, with the address changed. @param {string} http */
function endpoint(http) {
  return { apiEndpoint: { http: `${http}/social-plus`, upload: `${http}/social-plus`, mqtt: '' }, rteEnabled: false };
}

/**
 * A user who is logged in.
 * @param {string} http @param {{userId: string, displayName?: string, authToken?: string}} who
 */
export async function loggedIn(http, who) {
  const sdk = amity();
  const client = sdk.Client.createClient('any key', 'sg', endpoint(http));
  const handler = { sessionWillRenewAccessToken() {} };
  await sdk.Client.login(who, handler, { disableRTE: true });
  return { ...sdk, client, rooms: sdk.RoomPresenceRepository };
}
