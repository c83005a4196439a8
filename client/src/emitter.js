import { bind } from './bound.js';

/**
 * Listeners by the name of an event. A listener that throws keeps no other from hearing: its error
 * is thrown on its own, where the page's error handling sees it.
 *
 * @template {Record<string, any>} Events the argument of each event by its name
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(argument: any) => void>>} */
  #listeners = new Map();

  constructor() {
    bind(this);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(argument: Events[Name]) => void} listener
   * @returns {() => void} ends it
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => this.off(name, listener);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(argument: Events[Name]) => void} listener
   */
  off(name, listener) {
    this.#listeners.get(name)?.delete(listener);
  }

  /**
   * For the library itself.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} argument
   * @internal
   */
  emit(name, argument) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) call(listener, argument);
  }
}

/**
 * Calls what belongs to the page.
 * @template T
 * @param {(argument: T) => void} listener
 * @param {T} argument
 */
export function call(listener, argument) {
  try {
    listener(argument);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
