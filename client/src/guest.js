/** The name that a broker made up for us, kept as long as the tab: a reload is no newcomer. */

/** Asked for by the page alone: a process has no tab, and may be many guests. @returns {Storage | undefined} */
function storage() {
  try {
    return globalThis.document && globalThis.sessionStorage;
  } catch {} // a page that may keep nothing
}

/** @param {URL} broker @returns {string | undefined} */
export function recall(broker) {
  return storage()?.getItem(key(broker)) ?? undefined;
}

/** @param {URL} broker @param {string} name */
export function keep(broker, name) {
  try {
    storage()?.setItem(key(broker), name);
  } catch {} // it is full
}

/** @param {URL} broker */
function key({ host, pathname }) {
  return `herenow.guest ${host}${pathname}`;
}
