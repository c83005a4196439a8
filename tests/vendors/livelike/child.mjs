/** A process of its own with LiveLike's library, or with PubNub's, unmodified: does what its parent says. */

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
// They log what fails.
console.error = () => {};
console.log = () => {};

/** @param {unknown} told */
const tell = (told) => process.send?.(told);

/** @type {Record<string, Function>} */
let library = {};

/** Functions of the library's by name, and of ours. @type {Record<string, Function>} */
const ours = {
  /** LiveLike's library, with a place of its own for the profile. @param {object} options */
  livelike(options) {
    library = require('@livelike/javascript');
    /** @type {unknown} */
    let kept;
    const storageStrategy = { get: () => kept, set: (/** @type {unknown} */ value) => { kept = value; } };
    return library.init({ storageStrategy, ...options });
  },
  /** PubNub's library. @param {object} options */
  pubnub(options) {
    const PubNub = require('pubnub');
    const pubnub = new PubNub(options);
    pubnub.addListener({
      presence: (/** @type {unknown} */ event) => tell({ presence: event }),
      status: (/** @type {unknown} */ status) => tell({ status }),
    });
    library = pubnub;
  },
  /** @param {string} channel */
  async listen(channel) {
    const hear = (/** @type {unknown} */ event) => tell({ event });
    heard.set(channel, hear);
    await library.addPresenceListener({ channel }, hear);
  },
  /** @param {string} channel */
  async unlisten(channel) {
    await library.removePresenceListener({ channel }, heard.get(channel));
  },
};

/** @type {Map<string, Function>} */
const heard = new Map();

process.on('message', async (/** @type {{id: number, call: string, args: unknown[]}} */ { id, call, args }) => {
  try {
    const act = ours[call] ?? library[call].bind(library);
    tell({ id, value: await act(...args) });
  } catch (error) {
    const plain = error instanceof Error
      ? { name: error.name, message: error.message, ...error }
      : error;
    tell({ id, error: JSON.parse(JSON.stringify(plain)) });
  }
});
tell({ ready: true });
