import { bind } from './bound.js';

/**
 * Listeners by the name of an event. One that is given twice hears twice, and each removal takes one of
 * the two. A listener that throws keeps no other from hearing: its error is thrown on its own, where the
 * page's error handling sees it.
 *
 * @template {Record<string, any>} Events the argument of each event by its name
 */
export class Emitter {
  /** Lists are never changed, so who is told meanwhile is told. @type {Map<keyof Events, {listener: (argument: any) => void}[]>} */
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
    const mine = { listener };
    this.#listeners.set(name, [...this.#of(name), mine]);
    return () => this.#without(name, mine);
  }

  /**
   * Ends a listener; of one that was given several times, the last.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(argument: Events[Name]) => void} listener
   */
  off(name, listener) {
    this.#without(name, this.#of(name).filter((each) => each.listener === listener).pop());
  }

  /**
   * For the library itself.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} argument
   * @internal
   */
  emit(name, argument) {
    for (const { listener } of this.#of(name)) call(listener, argument);
  }

  /** @param {keyof Events} name */
  #of(name) {
    return this.#listeners.get(name) ?? [];
  }

  /** @param {keyof Events} name @param {object} [gone] */
  #without(name, gone) {
    this.#listeners.set(name, this.#of(name).filter((each) => each !== gone));
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
