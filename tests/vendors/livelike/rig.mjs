/** Clients of LiveLike's and of PubNub's, each in a process of its own. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { owned } from '../../../clients/javascript/test/owned.js';

const CHILD = fileURLToPath(new URL('./child.mjs', import.meta.url));

/** @typedef {{event: string, message: {userProfileId: string, channel: string, attributes?: Record<string, string>}}} Event */

/** A process that has one of the libraries. */
export class Remote {
  /** What a listener of LiveLike's heard. @type {Event[]} */
  events = [];
  /** What a listener of PubNub's heard. @type {any[]} */
  presence = [];
  /** @type {any[]} */
  statuses = [];
  #asked = 0;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: any) => void}>} */
  #waiting = new Map();

  /** @param {string} ca file with the certificate that it trusts */
  constructor(ca) {
    this.child = owned(fork(CHILD, { env: { ...process.env, NODE_EXTRA_CA_CERTS: ca } }));
    this.child.on('message', (/** @type {any} */ told) => this.#hear(told));
  }

  /** @param {any} told */
  #hear(told) {
    if (told.event) this.events.push(told.event);
    if (told.presence) this.presence.push(told.presence);
    if (told.status) this.statuses.push(told.status);
    const waiting = this.#waiting.get(told.id);
    this.#waiting.delete(told.id);
    if (told.error) waiting?.reject(Object.assign(new Error('the call was rejected'), { rejection: told.error }));
    else waiting?.resolve(told.value);
  }

  /** @param {string} call @param {unknown[]} args @returns {Promise<any>} */
  async do(call, ...args) {
    const id = (this.#asked += 1);
    const answered = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.child.send({ id, call, args });
    return answered;
  }

  /** What a call is rejected with. @param {string} call @param {unknown[]} args @returns {Promise<any>} */
  async rejection(call, ...args) {
    const value = await this.do(call, ...args).catch((error) => {
      if (!('rejection' in error)) throw error;
      return { rejected: error.rejection };
    });
    if (!value?.rejected) throw new Error(`${call} came to ${JSON.stringify(value)}`);
    return value.rejected;
  }

  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}
