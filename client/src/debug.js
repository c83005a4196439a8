/** Every frame, state and error on the console, for whoever wonders why. */

/**
 * @param {any} client
 * @param {boolean | undefined} wanted by the page's own program; if it does not say, by `localStorage.herenow`
 */
export function debug(client, wanted) {
  try {
    if (!(wanted ?? (globalThis.document && localStorage.herenow === 'debug'))) return;
  } catch { // no storage is allowed here
    return;
  }
  for (const name of ['state', 'error', 'frame']) {
    client.on(name, (/** @type {any} */ what) => {
      // Consoles end up in bug reports, and tokens shall not.
      console.debug('herenow', name, what.text?.replace(/("token":")[^"]*/, '$1…') ?? what, what.direction ?? '');
    });
  }
}
