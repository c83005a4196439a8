/** What happened lately, in words, newest first. */

import { byId, make, nameElement } from './dom.js';
import { caughtUpWords, changeWords, clockTime } from './words.js';

/** @typedef {import('./wire-replica.js').Outcome} Outcome */

const MOST_LINES = 60;

export class FeedView {
  #list = byId('feed');
  #empty = byId('feed-empty');

  /** @param {Extract<Outcome, {changes: any}>} outcome */
  changed(outcome) {
    // What a snapshot differs in, nobody told: who came and went how often meanwhile is unknown.
    if (outcome.kind === 'snapshot') {
      const words = caughtUpWords(outcome.changes);
      if (words) this.note(words);
      return;
    }
    for (const change of outcome.changes.slice(-MOST_LINES)) {
      const words = changeWords(change);
      if (!words) continue;
      const text = make('span', 'what', nameElement(change.user), ` ${words.text}`);
      this.#add(words.tone, text, change.at ?? Date.now());
    }
  }

  /** A line about nobody in particular. @param {string} words */
  note(words) {
    this.#add('note', make('span', 'what', words), Date.now());
  }

  clear() {
    this.#list.replaceChildren();
    this.#empty.hidden = false;
  }

  /** @param {string} tone @param {HTMLElement} text @param {number} at */
  #add(tone, text, at) {
    const time = make('time', '', clockTime(at));
    time.setAttribute('datetime', new Date(at).toISOString());
    const item = make('li', tone, text, time);
    item.dataset.testid = 'feed-item';
    this.#list.prepend(item);
    while (this.#list.childElementCount > MOST_LINES) this.#list.lastElementChild?.remove();
    this.#empty.hidden = true;
  }
}
