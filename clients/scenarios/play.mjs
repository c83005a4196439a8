/** Plays one scenario: its steps, one after the other, each of which says what one side does or what must come. */

import { setTimeout as sleep } from 'node:timers/promises';
import { Broker } from './broker.mjs';
import { ClientUnderTest } from './client.mjs';
import { matches } from './match.mjs';
import { until } from './patience.mjs';

/** What a scenario does not say of how a client is made: its waits are to be short. */
const OPTIONS = { user: 'ada', firstRetryMs: 10, maxRetryMs: 40, graceMs: 10_000, timeoutMs: 10_000 };

/** @typedef {{name: string, why: string, steps: any[]}} Scenario */

class Play {
  broker = new Broker();
  /** Calls that have a name. @type {Map<string, number>} */
  #calls = new Map();

  /** @param {string[]} command */
  constructor(command) {
    this.client = new ClientUnderTest(command);
  }

  /** @param {any} step */
  async step(step) {
    const [verb] = Object.keys(step);
    const act = this.#verbs[verb];
    if (!act) throw new Error(`there is no step ${verb}`);
    await act(step);
  }

  /** Waits until the adapter has done all that it was told, and told all that it knows. */
  async #inStep() {
    await this.client.done('sync');
  }

  /** @type {Record<string, (step: any) => unknown>} */
  #verbs = {
    // What the client is told to do.

    connect: ({ connect }) => this.client.done('connect', { url: this.broker.url, options: { ...OPTIONS, ...tokens(connect) } }),
    client: async ({ client, as, ...more }) => {
      const id = this.client.do(client, more);
      if (as) this.#calls.set(as, id);
      await this.#inStep();
    },
    answered: async ({ answered, with: wanted = null }) => {
      const { ok, error } = await this.#settled(answered);
      if (error) throw new Error(`it was refused: ${JSON.stringify(error)}`);
      if (wanted !== null && !matches(wanted, ok)) throw new Error(`it is ${JSON.stringify(ok)}`);
    },
    refused: async ({ refused, with: wanted }) => {
      const { ok, error } = await this.#settled(refused);
      if (!error) throw new Error(`it was done: ${JSON.stringify(ok)}`);
      if (!matches(wanted, error)) throw new Error(`it is ${JSON.stringify(error)}`);
    },
    open: async ({ open }) => {
      await this.#inStep();
      const answer = this.client.answer(this.#call(open));
      if (answer) throw new Error(`it is settled: ${JSON.stringify(answer)}`);
    },

    // What the client shows and tells.

    shows: async ({ shows, channel }) => {
      let last;
      await until('what it shows', async () => {
        last = await this.client.done('show', { channel });
        return matches(shows, last);
      }, () => last);
    },
    tells: async ({ tells }) => {
      const wanted = Array.isArray(tells) ? tells : [tells];
      for (const each of wanted) {
        const told = await until(`the client tells ${JSON.stringify(each)}`, () => this.client.told.shift());
        if (!matches(each, told)) throw new Error(`it tells ${JSON.stringify(told)}`);
      }
    },
    tellsNothing: async () => {
      await this.#inStep();
      if (this.client.told.length) throw new Error(`it tells ${JSON.stringify(this.client.told)}`);
    },
    fetched: async ({ fetched, apartMs = [] }) => {
      const times = await until(`${fetched} tokens`, () => this.client.tokenTimes.length >= fetched && this.client.tokenTimes, () => this.client.tokenTimes);
      if (times.length > fetched) throw new Error(`it fetched ${times.length}`);
      apartMs.forEach((/** @type {number} */ ms, /** @type {number} */ n) => {
        // Some for clocks that round.
        if (times[n + 1] - times[n] < ms - 5) throw new Error(`fetches ${n} and ${n + 1} are ${times[n + 1] - times[n]} ms apart`);
      });
    },

    // What the broker does.

    accepts: async ({ accepts, welcome, notBeforeMs = 0 }) => {
      const { asked, knockedAt } = await this.broker.accept();
      const waitedMs = knockedAt - this.broker.endedAt;
      // Each side learns of the end in its own time.
      if (notBeforeMs && waitedMs < 0.75 * notBeforeMs) throw new Error(`it came back after ${waitedMs} ms`);
      if (!matches({ speaks: ['herenow.v1'], ...accepts }, asked)) throw new Error(`it asks for ${JSON.stringify(asked)}`);
      if (welcome !== null) this.broker.welcome(welcome);
    },
    rejects: ({ rejects, problem }) => this.broker.reject(rejects, problem),
    gets: async ({ gets, ok, error, says }) => {
      const frame = await this.#frame(JSON.stringify(gets));
      if (!matches(gets, frame)) throw new Error(`it gets ${JSON.stringify(frame)}`);
      this.#reply(frame, { ok, error, says });
    },
    // Frames whose order is the client's own affair.
    getsAll: async ({ getsAll }) => {
      const rest = [...getsAll];
      while (rest.length) {
        const frame = await this.#frame(JSON.stringify(rest));
        const n = rest.findIndex(({ gets }) => matches(gets, frame));
        if (n < 0) throw new Error(`it gets ${JSON.stringify(frame)}`);
        this.#reply(frame, rest.splice(n, 1)[0]);
      }
    },
    getsNothing: async ({ getsNothing: forMs }) => {
      await sleep(forMs);
      await this.#inStep();
      const { frames } = this.broker.connection;
      if (frames.length) throw new Error(`it gets ${JSON.stringify(frames)}`);
    },
    beats: async ({ beats }) => {
      const { connection } = this.broker;
      await until(`${beats} heartbeats`, () => connection.heartbeats.length >= beats, () => connection.heartbeats);
    },
    // All that comes until the last, which is answered as all are: no faster than the bounds, and no more than `most`.
    flood: async ({ flood: last, most, framesPerSecond, framesBurst, channel }) => {
      const { connection } = this.broker;
      let n = 0;
      for (;;) {
        const frame = await this.#frame(JSON.stringify(last));
        n += 1;
        connection.say({ type: frame.type.startsWith('get') ? 'result' : 'ok', id: frame.id, channel, count: n });
        if (matches(last, frame)) break;
      }
      if (n > most) throw new Error(`it gets ${n} frames`);
      for (let from = 0; from < connection.times.length; from += 1) {
        for (let to = from; to < connection.times.length; to += 1) {
          // What was sent apart may come together: a tenth of the burst is for the wire.
          const may = framesBurst * 1.1 + (connection.times[to] - connection.times[from]) * framesPerSecond / 1_000;
          if (to - from + 1 > may) throw new Error(`${to - from + 1} frames in ${connection.times[to] - connection.times[from]} ms`);
        }
      }
    },
    says: ({ says }) => {
      for (const frame of Array.isArray(says) ? says : [says]) this.broker.connection.say(frame);
    },
    cuts: () => this.broker.connection.socket._socket.resetAndDestroy(),
    closes: ({ closes }) => this.broker.connection.socket.close(closes),
    stalls: () => this.broker.connection.stall(),
    deafens: () => { this.broker.connection.isDeaf = true; },
    goes: () => this.broker.stop(),
    returns: () => this.broker.start(),
    closed: async ({ closed }) => {
      const { connection } = this.broker;
      const code = await until('a close', () => connection.closed);
      if (!matches(closed, code)) throw new Error(`it closed with ${code}`);
    },
    staysAway: async ({ staysAway: forMs }) => {
      await sleep(forMs);
      if (this.broker.knocking) throw new Error('it dials again');
    },
    passes: ({ passes: ms }) => sleep(ms),
  };

  /** @param {string} name */
  #call(name) {
    const id = this.#calls.get(name);
    if (id === undefined) throw new Error(`nothing is called ${name}`);
    return id;
  }

  /** @param {string} name */
  async #settled(name) {
    return until(`the end of ${name}`, () => this.client.answer(this.#call(name)));
  }

  /** @param {string} what @returns {Promise<any>} */
  async #frame(what) {
    const { connection } = this.broker;
    return until(`the frame ${what}`, () => connection.frames.shift(), () => ({ closed: connection.closed, told: this.client.told }));
  }

  /** @param {any} frame @param {any} how */
  #reply(frame, { ok, error, says = [] }) {
    const { id, channel } = frame;
    if (ok) this.broker.connection.say({ type: frame.type.startsWith('get') ? 'result' : 'ok', id, channel, ...(ok === true ? {} : ok) });
    if (error) this.broker.connection.say({ type: 'error', id, message: 'refused by the scenario', ...error });
    for (const each of says) this.broker.connection.say(each);
  }
}

/**
 * @param {string[]} command of the adapter
 * @param {Scenario} scenario
 * @returns {Promise<string | null>} what is wrong
 */
export async function play(command, { steps }) {
  const it = new Play(command);
  await it.broker.start();
  let wrong = null;
  for (const [n, step] of steps.entries()) {
    try {
      await it.step(step);
    } catch (error) {
      wrong = `step ${n + 1}, ${JSON.stringify(step)}: ${/** @type {Error} */ (error).message}`;
      break;
    }
  }
  // Whatever happened, a client closes within a moment and has nothing to say on standard error.
  const complaints = await it.client.end();
  await it.broker.stop();
  return wrong ?? (complaints ? `it wrote to standard error: ${complaints}` : null);
}

/**
 * Tokens of which a scenario says only when they expire are made here: they look like JSON Web Tokens,
 * and are as good as any to a broker that lets in whom it is told to.
 * @param {any} options
 */
function tokens({ token, ...options }) {
  const made = (/** @type {any} */ each) => (each?.expiresInMs === undefined ? each : [
    { alg: 'none' }, { sub: 'ada', exp: (Date.now() + each.expiresInMs) / 1_000 }, each.name,
  ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.'));
  return token === undefined ? options : { ...options, token: Array.isArray(token) ? token.map(made) : made(token) };
}
