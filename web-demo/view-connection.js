/** How the connection is, in words, and when it will be tried again. */

import { byId, setText } from './dom.js';
import { connectionWords } from './words.js';

/** @typedef {import('./wire.js').LinkState} LinkState */

export class ConnectionView {
  #box = byId('connection');
  #title = byId('connection-title');
  #detail = byId('connection-detail');
  #countdown = byId('connection-countdown');
  #retry = byId('retry');
  /** @type {LinkState} */
  #state = { phase: 'connecting' };

  /** @param {() => void} retry */
  constructor(retry) {
    this.#retry.addEventListener('click', retry);
    setInterval(() => this.#count(), 500);
  }

  /** @param {LinkState} state */
  show(state) {
    this.#state = state;
    const { title, detail } = connectionWords(state);
    const mayRetry = state.phase === 'waiting' || state.phase === 'ended';
    this.#box.dataset.phase = state.phase;
    setText(this.#title, title);
    setText(this.#detail, detail && `(${detail})`);
    setText(this.#retry, state.phase === 'ended' ? 'Connect again' : 'Try now');
    this.#retry.hidden = !mayRetry;
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
