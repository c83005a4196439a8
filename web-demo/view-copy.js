/** The code and the lines for what is on screen, to be copied. */

import { byId, make, setText } from './dom.js';
import { recipes } from './words.js';

const COPIED_MS = 2_000;

export class CopyView {
  /** @type {HTMLElement[]} */
  #texts = [];

  /** @param {Parameters<typeof recipes>[0]} scene */
  show(scene) {
    const all = recipes(scene);
    if (!this.#texts.length) this.#make(all.map(({ title }) => title));
    all.forEach(({ text }, index) => setText(this.#texts[index], text));
  }

  /** @param {string[]} titles */
  #make(titles) {
    byId('copies').append(...titles.map((title, index) => {
      const text = make('code', '');
      this.#texts.push(text);
      const button = make('button', 'small', 'Copy');
      button.setAttribute('type', 'button');
      button.setAttribute('aria-label', `Copy: ${title}`);
      button.dataset.testid = `copy-${index}`;
      button.addEventListener('click', () => copy(button, text.textContent ?? ''));
      const block = make('pre', '', text);
      block.tabIndex = 0;
      block.dataset.testid = `recipe-${index}`;
      return make('div', 'copy', make('div', 'card-head', make('h3', '', title), button), block);
    }));
  }
}

/** @param {HTMLElement} button says how it went @param {string} text @param {string} [otherwise] */
export async function copy(button, text, otherwise = 'Select it and copy') {
  const before = button.textContent ?? '';
  try {
    await navigator.clipboard.writeText(text);
    setText(button, 'Copied');
  } catch {
    setText(button, otherwise); // no clipboard without https
  }
  setTimeout(() => setText(button, before), COPIED_MS);
}
