/** Why a broker lets in no WebSocket of this page. A browser keeps that to itself. */

/**
 * Asks the address as any page may. Nothing is found where there is no page, and where nobody answers.
 * @param {string} url
 * @returns {Promise<{code: string, message: string, field?: string} | undefined>}
 */
export async function whyRefused(url) {
  try {
    // Without the query: who we are is for the WebSocket alone.
    if (!globalThis.location?.origin) return;
    const answer = await fetch(url.replace(/^ws/, 'http').replace(/\?.*/, ''), { credentials: 'omit' });
    const { code, detail, field } = await answer.json();
    if (code === 'forbidden') return { code, message: detail, field };
  } catch {} // then it is unreachable, as far as anybody can say
}
