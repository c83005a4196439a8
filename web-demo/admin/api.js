/**
 * The HTTP API, asked with a key. Nothing else here reaches the broker. The key goes into a header and
 * never into an address.
 */

/** A refusal of the broker, or none of its answers: then `status` is 0. */
export class Problem extends Error {
  /** @param {number} status @param {string} message @param {number} [retryMs] */
  constructor(status, message, retryMs = 0) {
    super(message);
    this.status = status;
    this.retryMs = retryMs;
  }
}

/** A stream that says nothing for so long is dead: the broker says something every 15 s. */
const SILENCE_MS = 40_000;
const LONGEST_WAIT_MS = 15_000;

export class Api {
  #key;

  /** @param {string} key */
  constructor(key) {
    this.#key = key;
  }

  /**
   * @param {string[]} path below /v1, each part as it is called
   * @param {Record<string, string | number | undefined>} [query]
   * @returns {Promise<any>}
   * @throws {Problem}
   */
  async get(path, query) {
    return (await this.#ask('GET', path, query)).json();
  }

  /** @param {string[]} path @returns {Promise<any>} @throws {Problem} */
  async delete(path) {
    return (await this.#ask('DELETE', path)).json();
  }

  /**
   * Follows a channel until `signal` ends it, through losses of the network.
   * @param {string} channel
   * @param {{onFrame: (frame: any) => void, onState: (live: boolean) => void}} told
   * @param {AbortSignal} signal
   */
  async follow(channel, { onFrame, onState }, signal) {
    const place = { last: '' };
    for (let failures = 0; !signal.aborted; failures += 1) {
      const headers = place.last ? { 'last-event-id': place.last } : undefined;
      try {
        const silence = new AbortController();
        const either = AbortSignal.any([signal, silence.signal]);
        const response = await this.#ask('GET', ['channels', channel, 'events'], undefined, { headers, signal: either });
        onState(true);
        failures = 0;
        await listen(response, place, onFrame, silence);
      } catch (error) {
        if (!signal.aborted && error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) {
          onState(false);
          return;
        }
      }
      if (signal.aborted) return;
      onState(false);
      await pause(Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures) * (0.5 + Math.random() / 2), signal);
    }
  }

  /** @param {string} method @param {string[]} path @param {Record<string, string | number | undefined>} [query] @param {RequestInit} [options] */
  async #ask(method, path, query = {}, { headers, signal } = {}) {
    const url = new URL(`v1/${path.map(encodeURIComponent).join('/')}`, document.baseURI);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    let response;
    try {
      // Never from the browser's cache: a list may lie there for three seconds, and this page is live.
      response = await fetch(url, { method, signal, cache: 'no-store', headers: { ...headers, authorization: `Bearer ${this.#key}` } });
    } catch {
      throw new Problem(0, 'The broker can’t be reached.');
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    const retryMs = Number(response.headers.get('retry-after') ?? 0) * 1000;
    throw new Problem(response.status, problem.detail ?? `The broker answers ${response.status}.`, retryMs);
  }
}

/**
 * Reads server-sent events to the end of the stream.
 * @param {Response} response
 * @param {{last: string}} place where in the channel's history the stream is
 * @param {(frame: any) => void} onFrame
 * @param {AbortController} silence
 */
async function listen(response, place, onFrame, silence) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    rest += value;
    const events = rest.split('\n\n');
    rest = /** @type {string} */ (events.pop());
    for (const event of events) hear(event, place, onFrame);
  }
}

/** @param {string} event its lines @param {{last: string}} place @param {(frame: any) => void} onFrame */
function hear(event, place, onFrame) {
  const lines = event.split('\n');
  const field = (/** @type {string} */ name) => lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1).trimStart();
  const [id, data] = [field('id'), field('data')];
  if (id !== undefined) place.last = id;
  if (data) onFrame(JSON.parse(data));
}

/** @param {number} ms @param {AbortSignal} signal */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve(undefined);
    }, { once: true });
  });
}
