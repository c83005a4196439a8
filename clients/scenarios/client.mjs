/** A client under test: a process that speaks JSON lines, as `README.md` beside this says. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { until } from './patience.mjs';

export class ClientUnderTest {
  /** What was asked, by its number, and how it ended. @type {Map<number, {ok: any} | {error: any}>} */
  #answers = new Map();
  /** What the client told that no step has asked for yet. @type {any[]} */
  told = [];
  /** How often the client has asked for a token, and when by its own clock. @type {number[]} */
  tokenTimes = [];
  #lastId = 0;
  #complaints = '';
  #child;

  /** @param {string[]} command */
  constructor([program, ...args]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#hear(line));
    this.#child.stderr.on('data', (data) => { this.#complaints += data; });
    this.#child.stdin.on('error', () => {}); // told by whoever waits for its answer
  }

  get pid() {
    return this.#child.pid;
  }

  /** @param {string} line */
  #hear(line) {
    const { id, event, ...more } = JSON.parse(line);
    if (id !== undefined) this.#answers.set(id, more);
    else if (event === 'token') this.tokenTimes.push(more.at);
    else this.told.push({ event, ...more });
  }

  /** @param {string} what to do @param {object} [more] @returns {number} its number */
  do(what, more = {}) {
    const id = this.#lastId += 1;
    this.#child.stdin.write(`${JSON.stringify({ id, do: what, ...more })}\n`);
    return id;
  }

  /** How it ended, or undefined as long as it has not. @param {number} id @returns {any} */
  answer(id) {
    return this.#answers.get(id);
  }

  /** @param {string} what @param {object} [more] @returns {Promise<any>} what comes of it */
  async done(what, more) {
    const id = this.do(what, more);
    const { ok, error } = await until(`the answer to ${what}`, () => {
      if (this.#child.exitCode !== null) throw new Error(`the adapter ended: ${this.#complaints}`);
      return this.answer(id);
    }, () => this.#complaints);
    if (error) throw new Error(`${what}: ${JSON.stringify(error)}`);
    return ok;
  }

  /** Ends the process. @returns {Promise<string>} what it wrote to standard error, which is to be nothing */
  async end() {
    this.#child.stdin.end();
    const patience = setTimeout(() => {
      this.#complaints += 'it did not end within 5 s of the end of its input\n';
      this.#child.kill('SIGKILL');
    }, 5_000);
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    clearTimeout(patience);
    return this.#complaints;
  }
}
