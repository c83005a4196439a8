/** What happened lately, in words, newest first. */

import { LIST_MS, byId, make, nameElement, oncePerFrame } from './dom.js';
import { clockTime, eventWords } from './words.js';

/** @typedef {import('./client/index.js').PresenceEvent} PresenceEvent */

const MOST_LINES = 60;

export class FeedView {
  #list = byId('feed');
  #empty = byId('feed-empty');
  /** Not shown yet, oldest first. Made only when drawn: of a crowd most are never seen. @type {Array<() => HTMLElement>} */
  #waiting = [];
  #draw = oncePerFrame(() => this.#drawNow(), LIST_MS);

  /** @param {PresenceEvent} event */
  happened(event) {
    const words = eventWords(event);
    if (!words) return;
    this.#add(words.tone, event.at ?? Date.now(), () => [nameElement(event.user), ` ${words.text}`]);
  }

  /** A line about nobody in particular. @param {string} words */
  note(words) {
    this.#add('note', Date.now(), () => [words]);
  }

  clear() {
    this.#waiting = [];
    this.#list.replaceChildren();
    this.#empty.hidden = false;
  }

  /** @param {string} tone @param {number} at @param {() => Array<Node | string>} words */
  #add(tone, at, words) {
    this.#waiting.push(() => line(tone, at, words()));
    if (this.#waiting.length > MOST_LINES) this.#waiting.shift();
    this.#draw();
  }

  #drawNow() {
    this.#list.prepend(...this.#waiting.reverse().map((make) => make()));
    this.#waiting = [];
    while (this.#list.childElementCount > MOST_LINES) this.#list.lastElementChild?.remove();
    this.#empty.hidden = this.#list.childElementCount > 0;
  }
}

/** @param {string} tone @param {number} at @param {Array<Node | string>} words */
function line(tone, at, words) {
  const time = make('time', '', clockTime(at));
  time.setAttribute('datetime', new Date(at).toISOString());
  const item = make('li', tone, make('span', 'what', ...words), time);
  item.dataset.testid = 'feed-item';
  return item;
}
