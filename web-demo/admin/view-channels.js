/** All channels that somebody is in, the largest first. */

import { byId, make, nameElement, setText } from '../dom.js';
import { Pages } from './pages.js';
import { Poll } from './poll.js';
import { WindowList } from './window-list.js';
import { counted, whole } from './words.js';

const EVERY_MS = 2_000;
/** Somebody may still be typing. */
const TYPING_MS = 200;

/** @typedef {{channel: string, count: number}} Row */

export class ChannelsView {
  #app;
  #pages;
  #list;
  #poll;
  #search = /** @type {HTMLInputElement} */ (byId('channel-search'));
  #partial = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #typing;

  /** @param {import('./app.js').App} app */
  constructor(app) {
    this.#app = app;
    this.#pages = /** @type {Pages<Row>} */ (new Pages((cursor, limit) => this.#load(cursor, limit), () => this.#show()));
    this.#list = new WindowList(byId('channel-list'), {
      item: (index) => this.#pages.item(index),
      draw,
      open: ({ channel }) => app.go('channels', channel),
      look: (_, last) => {
        if (this.#pages.lacks(last)) void app.asking('channels', () => this.#pages.reach(last));
      },
    });
    this.#poll = new Poll(() => app.asking('channels', () => this.#pages.refresh(...this.#list.range)), EVERY_MS);
    this.#search.addEventListener('input', () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#begin(), TYPING_MS);
    });
    this.#search.addEventListener('keydown', ({ key }) => {
      if (key !== 'ArrowDown') return;
      // What is chosen in the list would be lost if it began anew a moment later.
      if (this.#typing) this.#begin();
      byId('channel-list').focus();
    });
  }

  open() {
    this.#poll.start();
    this.#list.update(this.#pages.length);
  }

  close() {
    this.#poll.stop();
  }

  /** Another list. */
  #begin() {
    clearTimeout(this.#typing);
    this.#typing = undefined;
    this.#pages.clear();
    this.#list.reset();
    setText(byId('channels-about'), '');
    this.#poll.soon();
  }

  /** @param {Row | undefined} behind @param {number} limit */
  async #load(behind, limit) {
    const query = { order: 'size', prefix: this.#search.value || undefined, after: behind?.channel, below: behind?.count, limit };
    const { channels, next, total, partial = false } = await this.#app.api.get(['channels'], query);
    this.#partial = partial;
    return { items: channels, next: next && channels.at(-1), total };
  }

  #show() {
    this.#list.update(this.#pages.length);
    byId('channels-none').hidden = this.#pages.length > 0;
    setText(byId('channels-none'), this.#search.value ? 'No channel’s name begins so.' : 'Nobody is anywhere.');
    const others = this.#partial ? ', as far as this node knows' : '';
    setText(byId('channels-about'), `${counted(this.#pages.length, 'channel')}${this.#search.value ? ' that begin so' : ''}, the largest first${others}`);
  }
}

/** @param {HTMLElement} row @param {Row} item */
function draw(row, { channel, count }) {
  row.dataset.channel = channel;
  row.replaceChildren(nameElement(channel), make('span', 'number', whole(count)));
  row.setAttribute('aria-label', `${channel}: ${counted(count, 'member')}`);
}
