/** The name that a broker made up for us, kept as long as the tab: a reload is no newcomer. */

const KEY = 'herenow.guest ';

/** Asked for by the page alone: a process has no tab, and may be many guests. @returns {Storage | undefined} */
function storage() {
  try {
    return globalThis.document && globalThis.sessionStorage;
  } catch {} // a page that may keep nothing
}

/** @param {string} broker its address @returns {string | undefined} */
export function recall(broker) {
  return storage()?.getItem(KEY + broker) ?? undefined;
}

/** @param {string} broker @param {string} name */
export function keep(broker, name) {
  try {
    storage()?.setItem(KEY + broker, name);
  } catch {} // it is full
}
