/** Objects that may be handed around, behind proxies too. */

/**
 * Gives an object its methods and getters as properties of its own, tied to it: then they work behind
 * any proxy (Vue's `reactive`, Alpine, Valtio), where `this` would be the proxy and have no private
 * fields, and as functions alone (`onclick = room.leave`). Frameworks that look for Vue's mark do not
 * wrap it at all: what is in it changes without them, so there is nothing for them to see.
 * @param {object} object
 */
export function bind(object) {
  Object.defineProperty(object, '__v_skip', { value: true });
  for (let from = Object.getPrototypeOf(object); from !== Object.prototype; from = Object.getPrototypeOf(from)) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(from))) {
      // What a class says anew counts, and not what it had from the one below.
      if (name === 'constructor' || Object.hasOwn(object, name)) continue;
      for (const kind of /** @type {const} */ (['value', 'get'])) property[kind] &&= property[kind].bind(object);
      Object.defineProperty(object, name, property);
    }
  }
}
