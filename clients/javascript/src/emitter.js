import { bind } from './bound.js';

/**
 * Listeners by the name of an event. One that is given twice hears twice, and each removal takes one of
 * the two. A listener that throws keeps no other from hearing: its error is thrown on its own, where the
 * page's error handling sees it.
 *
 * @template {Record<string, any>} Events the argument of each event by its name
 */
export class Emitter {
  /** Never changed but replaced, so who is told meanwhile is told. @type {{name: keyof Events, listener: (argument: any) => void}[]} */
  #listeners = [];

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
    const mine = { name, listener };
    this.#listeners = [...this.#listeners, mine];
    return () => this.#end(mine);
  }

  /**
   * Ends a listener; of one that was given several times, the last.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(argument: Events[Name]) => void} listener
   */
  off(name, listener) {
    this.#end(this.#listeners.filter((each) => each.name === name && each.listener === listener).pop());
  }

  /**
   * For the library itself.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} argument
   * @internal
   */
  emit(name, argument) {
    for (const each of this.#listeners) if (each.name === name) call(each.listener, argument);
  }

  /** @param {object} [gone] */
  #end(gone) {
    this.#listeners = this.#listeners.filter((each) => each !== gone);
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
