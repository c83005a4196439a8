/** How the connection is, in words, and when it will be tried again. */

import { byId, setText } from './dom.js';
import { connectionWords } from './words.js';

/** @typedef {import('./client/index.js').State} State */

export class ConnectionView {
  #box = byId('connection');
  #title = byId('connection-title');
  #detail = byId('connection-detail');
  #countdown = byId('connection-countdown');
  #retry = byId('retry');
  /** @type {State} */
  #state = { phase: 'connecting' };

  /** @param {() => void} retry */
  constructor(retry) {
    this.#retry.addEventListener('click', retry);
    setInterval(() => this.#count(), 500);
  }

  /** @param {State} state @param {boolean} before whether there was a connection before */
  show(state, before) {
    this.#state = state;
    const { title, detail } = connectionWords(state, before);
    this.#box.dataset.phase = state.phase;
    setText(this.#title, title);
    setText(this.#detail, detail && `(${detail})`);
    setText(this.#retry, state.phase === 'closed' ? 'Connect again' : 'Try now');
    this.#retry.hidden = state.phase !== 'waiting' && state.phase !== 'closed';
    this.#count();
  }

  #count() {
    const state = this.#state;
    if (state.phase !== 'waiting') {
      setText(this.#countdown, '');
      return;
    }
    const seconds = Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000));
    setText(this.#countdown, seconds > 0 ? `again in ${seconds} s` : 'again now');
  }
}
