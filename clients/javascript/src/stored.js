/** What a page keeps, where it may keep anything. */

/**
 * Asked of pages alone: a process has no tab, and may be many guests.
 * @param {'localStorage' | 'sessionStorage'} where for the site, or as long as the tab
 * @param {string} key
 * @param {string} [value] to be kept
 * @returns {string | undefined} what is kept
 */
export function stored(where, key, value) {
  try {
    const storage = globalThis.document && globalThis[where];
    if (value) storage[key] = value;
    return storage[key];
  } catch {} // there is no page, or it may keep nothing, or no more
}
