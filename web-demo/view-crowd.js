/** Simulated viewers, and what their coming and going costs on the wire. */

import { byId, setText } from './dom.js';
import { Meter, curve } from './meter.js';
import { batchingWords, levelChangeWords, levelWords } from './words.js';

/** @typedef {import('./client/index.js').Channel} Channel */
/** @typedef {import('./viewers.js').Wanted} Wanted */

/**
 * @typedef {object} Source where simulated viewers come from
 * @property {(channel: string) => Promise<number>} most how many there can be
 * @property {(wanted: Wanted) => Promise<boolean>} ask whether there can be any; an error says what is wrong
 */

/** A crowd goes home by itself a minute after the page has last asked for it. */
const KEEP_MS = 20_000;
const TICK_MS = 1_000;
/** Some are always away for a moment. Enough of them that a thousand are there. */
const SPARE = 1.1;

export class CrowdView {
  /** @type {Source} */
  #source;
  #meter = new Meter();
  /** @type {Channel | null} */
  #room = null;
  #roster = 1000;
  /** How many we have asked for, and where. */
  #wanted = { viewers: 0, channel: '' };
  /** @type {HTMLButtonElement[]} */
  #buttons = [...document.querySelectorAll('button[data-crowd]')].map((button) => /** @type {HTMLButtonElement} */ (button));

  /** @param {Source} source */
  constructor(source) {
    this.#source = source;
    for (const button of this.#buttons) {
      button.addEventListener('click', () => this.#bring(Number(button.dataset.crowd)));
    }
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.#wanted.viewers && this.#ask(), KEEP_MS);
  }

  /** @param {Channel} room @param {number} roster */
  watch(room, roster) {
    this.#roster = roster;
    if (room === this.#room) return;
    if (this.#wanted.viewers) this.#bring(0);
    this.#room = room;
    this.#meter = new Meter();
    this.#draw();
  }

  /** @param {string} text a message of the broker */
  hear(text) {
    this.#meter.hear(text);
  }

  /** @param {Channel} room @param {boolean} guarded whether the broker wants tokens, and so knows no crowd */
  show(room, guarded) {
    if (guarded && !this.#buttons[0].disabled) this.#forbidden();
    const level = byId('level');
    level.dataset.level = room.level ?? '';
    setText(level, levelWords(room.level, this.#roster));
    setText(byId('level-words'), levelChangeWords(room.level, this.#roster));
  }

  /** @param {number} viewers */
  async #bring(viewers) {
    if (!this.#room) return;
    const channel = this.#room.name;
    const most = viewers ? await this.#source.most(channel) : Infinity;
    this.#wanted = { viewers: Math.min(viewers >= 1000 ? Math.round(viewers * SPARE) : viewers, most), channel };
    this.#press(viewers);
    if (!most) return this.#forbidden();
    const words = `${Math.min(viewers, most).toLocaleString('en')} are on their way…`;
    setText(byId('crowd-words'), viewers ? words : 'They have gone home.');
    await this.#ask();
  }

  async #ask() {
    try {
      if (!await this.#source.ask(this.#wanted)) return this.#forbidden();
      setText(byId('crowd-problem'), '');
    } catch (error) {
      this.#wanted = { viewers: 0, channel: '' };
      this.#press(0);
      setText(byId('crowd-words'), '');
      setText(byId('crowd-problem'), `No crowd: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {number} viewers */
  #press(viewers) {
    for (const button of this.#buttons) {
      const own = Number(button.dataset.crowd);
      if (own) button.setAttribute('aria-pressed', String(own === viewers));
    }
  }

  #forbidden() {
    this.#wanted = { viewers: 0, channel: '' };
    this.#press(0);
    for (const button of this.#buttons) button.disabled = true;
    setText(byId('crowd-words'), 'This broker brings no simulated viewers: it knows its users by tokens, or serves a network.');
  }

  #tick() {
    this.#meter.tick(this.#room?.count ?? 0);
    if (!document.hidden) this.#draw();
  }

  #draw() {
    const { seconds } = this.#meter;
    const now = seconds.at(-1);
    setText(byId('now-count'), (now?.count ?? 0).toLocaleString('en'));
    setText(byId('now-events'), (now?.events ?? 0).toLocaleString('en'));
    setText(byId('now-frames'), (now?.frames ?? 0).toLocaleString('en'));
    const [counts, events, frames] = /** @type {const} */ (['count', 'events', 'frames']).map((key) => seconds.map((second) => second[key]));
    spark('spark-count', curve(counts));
    // In one scale: what lies between the two lines is what batching saves.
    const highest = Math.max(...events, ...frames);
    spark('spark-events', curve(events, highest), curve(frames, highest).line);
    setText(byId('batching'), batchingWords(this.#meter.last(10)));
    const { viewers, channel } = this.#wanted;
    if (viewers && this.#room && channel === this.#room.name && this.#room.count >= viewers / SPARE) {
      setText(byId('crowd-words'), 'They are here, and go on coming and going.');
    }
  }
}

/** @param {string} id @param {{line: string, area: string}} curve @param {string} [second] another line */
function spark(id, { line, area }, second = '') {
  const figure = byId(id);
  figure.querySelector('.second')?.setAttribute('d', second);
  figure.querySelector('.line')?.setAttribute('d', line);
  figure.querySelector('.area')?.setAttribute('d', area);
}
