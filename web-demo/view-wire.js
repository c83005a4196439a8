/** Every message as it is on the wire, both ways, newest last; and a line to type one. */

import { LIST_MS, byId, make, oncePerFrame, setText } from './dom.js';
import { clockTime } from './words.js';

/** @typedef {{direction: 'in' | 'out', text: string, at: number}} Line */

/** Messages kept, shown or not. */
const MOST_LINES = 300;
/** Characters shown of one message: a giant's snapshot would drown the rest. */
const MOST_CHARS = 1200;
/** As near to the end as this is at the end. */
const NEAR_END_PX = 24;

export class WireView {
  #list = byId('wire');
  #scroller = byId('wire-scroller');
  #pause = /** @type {HTMLButtonElement} */ (byId('wire-pause'));
  #filter = /** @type {HTMLInputElement} */ (byId('wire-filter'));
  #direction = /** @type {HTMLSelectElement} */ (byId('wire-direction'));
  #held = byId('wire-held');
  #paused = false;
  /** Somebody who scrolled up is reading: new lines then must not take the old ones away. */
  #follows = true;
  #lastTop = 0;
  /** All that are kept. @type {Line[]} */
  #lines = [];
  /** Those of them that have come since the last drawing. */
  #fresh = 0;
  #draw = oncePerFrame(() => this.#drawNow(), LIST_MS);

  constructor() {
    this.#pause.addEventListener('click', () => this.#setPaused(!this.#paused));
    byId('wire-clear').addEventListener('click', () => this.#clear());
    for (const control of [this.#filter, this.#direction]) control.addEventListener('input', () => this.#drawAll());
    this.#scroller.addEventListener('scroll', () => this.#scrolled());
    // The window, or an error below, can make the log smaller without any scrolling.
    new ResizeObserver(() => this.#follow()).observe(this.#scroller);
  }

  /** @param {'in' | 'out'} direction @param {string} text */
  add(direction, text) {
    this.#lines.push({ direction, text, at: Date.now() });
    this.#fresh += 1;
    // Who is paused keeps what is shown: only what is held back falls off.
    if (this.#lines.length > MOST_LINES) this.#lines.splice(this.#paused ? MOST_LINES / 2 : 0, 1);
    this.#draw();
  }

  /** @param {boolean} paused */
  #setPaused(paused) {
    this.#paused = paused;
    this.#pause.setAttribute('aria-pressed', String(paused));
    setText(this.#pause, paused ? 'Resume' : 'Pause');
    if (paused) this.#drawNow();
    else this.#drawAll();
  }

  #clear() {
    this.#lines = [];
    this.#drawAll();
  }

  /** @param {Line} line */
  #isWanted({ direction, text }) {
    const wanted = this.#filter.value.toLowerCase();
    return (!this.#direction.value || this.#direction.value === direction) && text.toLowerCase().includes(wanted);
  }

  #drawAll() {
    this.#list.replaceChildren();
    this.#fresh = this.#lines.length;
    const paused = this.#paused;
    this.#paused = false;
    this.#drawNow();
    this.#paused = paused;
  }

  #drawNow() {
    this.#held.hidden = !this.#paused || this.#fresh === 0;
    if (this.#paused) {
      setText(this.#held, `${this.#fresh} held back`);
      return;
    }
    const fresh = this.#fresh ? this.#lines.slice(-this.#fresh) : [];
    this.#fresh = 0;
    this.#list.append(...fresh.filter((line) => this.#isWanted(line)).map(lineElement));
    while (this.#list.childElementCount > MOST_LINES) this.#list.firstElementChild?.remove();
    this.#follow();
  }

  /** Only a person scrolls up. Not being at the end may also mean that the log has just shrunk. */
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) this.#follows = true;
    else if (scrollTop < this.#lastTop) this.#follows = false;
    this.#lastTop = scrollTop;
  }

  #follow() {
    if (this.#follows) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}

/** @param {Line} line */
function lineElement({ direction, text, at }) {
  const shown = text.slice(0, MOST_CHARS);
  const cut = text.length - shown.length;
  const frame = make('code', '', ...highlight(shown), cut ? make('em', '', ` … ${cut} more characters`) : '');
  const arrow = make('span', 'arrow', direction === 'out' ? '↑' : '↓');
  arrow.setAttribute('aria-label', direction === 'out' ? 'sent' : 'received');
  arrow.setAttribute('role', 'img');
  const item = make('li', direction, make('time', '', clockTime(at)), arrow, frame);
  item.dataset.testid = `wire-${direction}`;
  return item;
}

const TOKENS = /("type": *|"event": *)("(?:[^"\\]|\\.)*")|"(?:[^"\\]|\\.)*"(?=:)/g;

/**
 * The text, its keys quiet and its frame type loud. Together the pieces are the text, unchanged.
 * @param {string} text
 * @returns {Array<Node | string>}
 */
function highlight(text) {
  if (!text.startsWith('{')) return [text];
  /** @type {Array<Node | string>} */
  const pieces = [];
  let done = 0;
  for (const match of text.matchAll(TOKENS)) {
    const [whole, key, type] = match;
    pieces.push(text.slice(done, match.index), make('span', 'key', key ?? whole));
    if (type) pieces.push(make('span', 'type', type));
    done = match.index + whole.length;
  }
  pieces.push(text.slice(done));
  return pieces;
}

/** The line to type a message, with a memory as shells have. */
export class WireInput {
  #input = /** @type {HTMLInputElement} */ (byId('typed'));
  /** @type {string[]} */
  #past = [];
  #back = 0;

  /** @param {(text: string) => boolean} send whether it could be sent */
  constructor(send) {
    byId('typed-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.#input.value.trim();
      if (text === '' || !send(text)) return;
      this.#past.push(text);
      this.#back = 0;
      this.#input.value = '';
    });
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowUp') this.#recall(event, 1);
      if (event.key === 'ArrowDown') this.#recall(event, -1);
    });
  }

  /** What one could type. @param {string[]} lines */
  suggest(lines) {
    const buttons = lines.map((line) => {
      const button = make('button', 'suggestion', line);
      button.setAttribute('type', 'button');
      button.addEventListener('click', () => {
        this.#input.value = line;
        this.#input.focus();
      });
      return button;
    });
    byId('suggestions').replaceChildren(...buttons);
    this.#input.placeholder = lines[0];
  }

  /** @param {KeyboardEvent} event @param {1 | -1} step */
  #recall(event, step) {
    const back = Math.min(Math.max(this.#back + step, 0), this.#past.length);
    if (back === this.#back) return;
    event.preventDefault();
    this.#back = back;
    this.#input.value = back === 0 ? '' : this.#past[this.#past.length - back];
  }
}
