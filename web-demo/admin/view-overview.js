/** The broker in numbers, now and over the last hour; and what the key may do. */

import { byId, make, setText } from '../dom.js';
import { curve, HOUR_MS, rates, span } from './plot.js';
import { Poll } from './poll.js';
import { counted, duration, inBytes, perSecond, whole } from './words.js';

const EVERY_MS = 3_000;
/** A rate over less than this jumps about, and is no part of a curve. */
const SETTLED_MS = 5_000;
const NAMESPACE = 'http://www.w3.org/2000/svg';

/** @typedef {{name: string, words: string, read: (sample: any) => number, say: (value: number) => string, isRate?: boolean}} Plot */

/** @type {Plot[]} */
const PLOTS = [
  { name: 'connections', words: 'Connections', read: (it) => it.connections, say: whole },
  { name: 'channels', words: 'Channels', read: (it) => it.channels, say: whole },
  { name: 'members', words: 'Members', read: (it) => it.members, say: whole },
  { name: 'memory', words: 'Memory', read: (it) => it.residentBytes, say: inBytes },
  { name: 'opened', words: 'Connects', read: (it) => it.connectionsOpened, say: perSecond, isRate: true },
  { name: 'joins', words: 'Joins', read: (it) => it.joins, say: perSecond, isRate: true },
  { name: 'leaves', words: 'Leaves', read: (it) => it.leaves, say: perSecond, isRate: true },
  { name: 'timeouts', words: 'Lost', read: (it) => it.timeouts, say: perSecond, isRate: true },
  { name: 'ticks', words: 'Channels telling', read: (it) => it.ticks, say: perSecond, isRate: true },
  { name: 'refusals', words: 'Refusals', read: (it) => it.refusals, say: perSecond, isRate: true },
];

/** What each right is for, on this page. */
const RIGHTS = { read: 'read: see everything here', kick: 'kick: end connections, sign users out', write: 'write: leases and statuses, which this page does not touch' };

export class OverviewView {
  #poll;
  #app;
  /** @type {any[]} */ #samples = [];
  /** @type {any} */ #before;
  #uptimeMs = 0;
  #figures = PLOTS.map(figure);

  /** @param {import('./app.js').App} app */
  constructor(app) {
    this.#app = app;
    this.#poll = new Poll(() => app.asking('overview', () => this.#ask()), EVERY_MS);
    byId('plots').append(...this.#figures.map(({ element }) => element));
  }

  open() {
    const { name, rights } = this.#app.key;
    setText(byId('your-key-name'), name === undefined ? '' : `: ${name}`);
    byId('rights').replaceChildren(...Object.entries(RIGHTS).map(([right, words]) => {
      const has = rights.includes(right);
      const line = make('li', has ? 'yes' : 'no', words);
      if (!has) line.append(make('span', 'visually-hidden', ' (this key may not)'));
      return line;
    }));
    this.#poll.start();
  }

  close() {
    this.#poll.stop();
  }

  async #ask() {
    const told = await this.#app.api.get(['overview'], { since: this.#samples.at(-1)?.at });
    if (told.uptimeMs < this.#uptimeMs) {
      // Another life of the broker, or another node: what it counted begins anew.
      this.#samples = [];
      this.#before = undefined;
      this.#uptimeMs = 0;
      this.#poll.soon();
      return;
    }
    this.#uptimeMs = told.uptimeMs;
    const { now } = told;
    this.#samples = [...this.#samples, ...told.samples].filter(({ at }) => at > now.at - HOUR_MS);
    const nodes = told.otherNodes === undefined ? '' : `, one of ${counted(told.otherNodes + 1, 'node')}: the numbers are its own`;
    setText(byId('overview-about'), `herenow ${told.version}, up for ${duration(told.uptimeMs)}${nodes}. ${counted(now.users, 'user')} known, ${counted(now.subscribers, 'subscription')}, ${inBytes(now.backlogBytes)} kept for slow readers.`);
    const spanMs = span(this.#samples, now.at);
    const last = spanMs === HOUR_MS ? 'last hour' : `last ${duration(spanMs)}`;
    setText(byId('overview-span'), `The curves show the ${last}.`);
    this.#draw(now, spanMs, last);
    this.#before = now;
  }

  /** @param {any} now @param {number} spanMs how far back @param {string} last the same in words */
  #draw(now, spanMs, last) {
    const since = this.#before ?? this.#samples.at(-1) ?? now;
    PLOTS.forEach((plot, index) => {
      const { value, spark, range } = this.#figures[index];
      const all = this.#samples.filter(({ at }) => at < now.at);
      if (!plot.isRate || now.at - (all.at(-1)?.at ?? 0) >= SETTLED_MS) all.push(now);
      const points = plot.isRate ? rates(all, plot.read) : all.map((sample) => ({ at: sample.at, value: plot.read(sample) }));
      const current = plot.isRate ? (rates([since, now], plot.read)[0]?.value ?? 0) : plot.read(now);
      const drawn = curve(points, now.at, spanMs);
      setText(value, plot.say(current));
      const reach = `${plot.say(drawn.least)} to ${plot.say(drawn.most)}`;
      setText(range, reach);
      spark.setAttribute('aria-label', `${plot.words}, ${last}: ${reach}`);
      spark.querySelector('.line')?.setAttribute('d', drawn.line);
      spark.querySelector('.area')?.setAttribute('d', drawn.area);
    });
  }
}

/** @param {Plot} plot */
function figure({ name, words }) {
  const value = make('strong', '', '–');
  value.dataset.testid = `now-${name}`;
  const spark = document.createElementNS(NAMESPACE, 'svg');
  spark.setAttribute('viewBox', '0 0 240 48');
  spark.setAttribute('preserveAspectRatio', 'none');
  spark.setAttribute('role', 'img');
  spark.classList.add('spark');
  spark.dataset.testid = `plot-${name}`;
  for (const kind of ['area', 'line']) {
    const path = document.createElementNS(NAMESPACE, 'path');
    path.classList.add(kind);
    spark.append(path);
  }
  const range = make('p', 'axis');
  const element = make('figure', 'card', make('figcaption', '', make('span', '', words), value), spark, range);
  return { element, value, spark, range };
}
