/** What happened lately, in words, newest first. */

import { byId, make, nameElement, oncePerFrame } from './dom.js';
import { clockTime, eventWords } from './words.js';

/** @typedef {import('./client/index.js').PresenceEvent} PresenceEvent */

const MOST_LINES = 60;

export class FeedView {
  #list = byId('feed');
  #empty = byId('feed-empty');
  /** Not shown yet. @type {HTMLElement[]} */
  #waiting = [];
  #draw = oncePerFrame(() => this.#drawNow());

  /** @param {PresenceEvent} event */
  happened(event) {
    const words = eventWords(event);
    if (!words) return;
    const text = make('span', 'what', nameElement(event.user), ` ${words.text}`);
    this.#add(words.tone, text, event.at ?? Date.now());
  }

  /** A line about nobody in particular. @param {string} words */
  note(words) {
    this.#add('note', make('span', 'what', words), Date.now());
  }

  clear() {
    this.#waiting = [];
    this.#list.replaceChildren();
    this.#empty.hidden = false;
  }

  /** @param {string} tone @param {HTMLElement} text @param {number} at */
  #add(tone, text, at) {
    const time = make('time', '', clockTime(at));
    time.setAttribute('datetime', new Date(at).toISOString());
    const item = make('li', tone, text, time);
    item.dataset.testid = 'feed-item';
    this.#waiting.push(item);
    if (this.#waiting.length > MOST_LINES) this.#waiting.shift();
    this.#draw();
  }

  #drawNow() {
    this.#list.prepend(...this.#waiting.reverse());
    this.#waiting = [];
    while (this.#list.childElementCount > MOST_LINES) this.#list.lastElementChild?.remove();
    this.#empty.hidden = this.#list.childElementCount > 0;
  }
}
