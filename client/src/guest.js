/** The name that a broker made up for us, kept as long as the tab: a reload is no newcomer. */

const KEY = 'herenow.guest ';

/**
 * Asked of the page alone: a process has no tab, and may be many guests.
 * @param {string} broker its address
 * @param {string} [name] to be kept
 * @returns {string | undefined} the name that is kept
 */
export function guest(broker, name) {
  try {
    const kept = globalThis.document && sessionStorage;
    if (name) kept.setItem(KEY + broker, name);
    return kept.getItem(KEY + broker) ?? undefined;
  } catch {} // there is no page, or it may keep nothing, or no more
}
