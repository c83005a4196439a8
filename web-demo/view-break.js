/** The buttons that break the guinea pig's connection, and the timeline of what came of it. */

import { byId, make, setText } from './dom.js';

/** @typedef {import('./guinea-pig.js').Break} Break */

const MOST_LINES = 12;

export class BreakView {
  /** @type {HTMLButtonElement[]} */
  #buttons = [...document.querySelectorAll('button[data-break]')].map((button) => /** @type {HTMLButtonElement} */ (button));

  /** @param {(what: Break) => void} onBreak */
  constructor(onBreak) {
    for (const button of this.#buttons) {
      button.addEventListener('click', () => onBreak(/** @type {Break} */ (button.dataset.break)));
    }
  }

  /** @param {string} name */
  showName(name) {
    setText(byId('pig-name'), name);
  }

  /** @param {boolean} guarded whether the broker wants tokens, and so knows no guinea pig */
  showGuarded(guarded) {
    for (const button of this.#buttons) button.disabled = guarded;
  }

  /** @param {string} state in words @param {boolean} frozen */
  show(state, frozen) {
    setText(byId('pig-state'), state);
    for (const button of this.#buttons) {
      if (button.dataset.break === 'freeze') setText(button, frozen ? 'Thaw' : 'Freeze');
    }
  }

  /** What is done to it now, or why nothing can be. @param {string} words */
  say(words) {
    setText(byId('break-words'), words);
  }

  /** A line of the timeline. @param {string} tone @param {string} words @param {number} seconds since it was broken */
  tell(tone, words, seconds) {
    const time = make('span', 'since', seconds < 0.05 ? '0 s' : `+${seconds.toFixed(1)} s`);
    const item = make('li', tone, make('span', 'what', words), time);
    item.dataset.testid = 'timeline-item';
    const list = byId('timeline');
    list.append(item);
    while (list.childElementCount > MOST_LINES) list.firstElementChild?.remove();
  }
}
