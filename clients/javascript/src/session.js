/**
 * What the functions of a facade share: one connection, and the order of what is done on it. The APIs
 * that the facades stand in for are functions of a module, with no object to hold either.
 */

import { connect, HerenowError } from './index.js';
import { quietly } from './promise.js';

/** @typedef {import('./index.js').Client} Client */
/** @typedef {import('./index.js').Channel} Channel */
/** @typedef {import('./index.js').Options} Options */

export class Session {
  /** @type {Client | null} */
  #client = null;
  /** By channel: what was asked for last. Never rejects. @type {WeakMap<Channel, Promise<unknown>>} */
  #last = new WeakMap();

  /**
   * Connects, instead of the connection that there may be.
   * @param {string | URL} endpoint
   * @param {Options} options
   */
  begin(endpoint, options) {
    this.end();
    this.#client = connect(endpoint, options);
    return this.#client;
  }

  end() {
    this.#client?.close();
    this.#client = null;
  }

  /** @throws {HerenowError} `not_initialized` */
  get client() {
    if (this.#client) return this.#client;
    throw new HerenowError('not_initialized', 'call init first: there is no connection to a broker yet');
  }

  /**
   * Does it when all is settled that was asked for of this channel before: a join and a leave behind
   * it are both seen by others, also when nobody waits in between. It waits no longer than for an
   * answer, lest calls without a connection time out one after the other.
   * @template T
   * @param {string} name
   * @param {(channel: Channel, client: Client) => Promise<T>} act
   * @returns {Promise<T>}
   */
  inTurn(name, act) {
    return quietly(this.#inTurn(name, act));
  }

  /**
   * @template T
   * @param {string} name
   * @param {(channel: Channel, client: Client) => Promise<T>} act
   * @returns {Promise<T>}
   */
  async #inTurn(name, act) {
    const { client } = this;
    const channel = client.channel(name);
    const last = this.#last.get(channel);
    // Of a facade, the connection is all that can tell what no promise does.
    if (!last) channel.on('error', (error) => client.emit('error', error));
    const myTurn = last && client.promise((settle) => void last.then(() => settle(null))).catch(() => {});
    const turn = Promise.resolve(myTurn).then(() => act(channel, client));
    this.#last.set(channel, turn.catch(() => {}));
    return turn;
  }

  /**
   * The same for what returns nothing in the SDK, so that callers neither wait nor catch. Then the
   * connection's `error` tells, and it is not the end of a process.
   * @param {string} name
   * @param {(channel: Channel) => Promise<void>} act
   * @returns {Promise<void>}
   */
  inTurnUnawaited(name, act) {
    const turn = this.inTurn(name, act);
    // Without a connection this is a mistake in the program, and that shall be loud.
    const client = this.#client;
    if (client) turn.catch((error) => error.code === 'closed' || client.emit('error', error));
    return turn;
  }
}
