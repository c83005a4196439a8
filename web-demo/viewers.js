/** Asks the broker for simulated viewers. They are real connections, which it makes to itself. */

const PATH = 'demo/crowd';

/** @typedef {{viewers: number, channel: string}} Wanted */

/**
 * How many this broker would bring; none at all without an answer.
 * @param {string} channel
 * @returns {Promise<number>}
 */
export async function mostViewers(channel) {
  try {
    const response = await fetch(`${PATH}?channel=${encodeURIComponent(channel)}`);
    return response.ok ? (await response.json()).max : 0;
  } catch {
    return Infinity; // no network: asking in earnest will tell
  }
}

/**
 * Asks for this many, who go home by themselves a minute after they were asked for last.
 * @param {Wanted} wanted
 * @returns {Promise<boolean>} whether the broker knows simulated viewers at all
 * @throws {Error} what it has against these
 */
export async function askForViewers(wanted) {
  const response = await fetch(PATH, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(wanted),
  });
  if (response.status === 404) return false;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? answer.title);
  return true;
}
