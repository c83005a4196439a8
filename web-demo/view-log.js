/** Every message as it is on the wire, both ways, newest last; and a line to type one. */

import { byId, make, oncePerFrame, setText } from './dom.js';
import { clockTime } from './words.js';

/** @typedef {{direction: 'in' | 'out', text: string, at: number}} Line */

/** Lines kept, shown or held back. */
const MOST_LINES = 400;
/** Characters shown of one message: a giant's snapshot would drown the rest. */
const MOST_CHARS = 1500;
/** As near to the end as this is at the end. */
const NEAR_END_PX = 24;

export class LogView {
  #list = byId('log');
  #scroller = byId('log-scroller');
  #pause = /** @type {HTMLButtonElement} */ (byId('log-pause'));
  #held = byId('log-held');
  #paused = false;
  /** Somebody who scrolled up is reading: new lines then must not take the old ones away. */
  #follows = true;
  #lastTop = 0;
  /** Not shown yet. @type {Line[]} */
  #waiting = [];
  #draw = oncePerFrame(() => this.#drawNow());

  constructor() {
    this.#pause.addEventListener('click', () => this.#setPaused(!this.#paused));
    byId('log-clear').addEventListener('click', () => this.#clear());
    this.#scroller.addEventListener('scroll', () => this.#scrolled());
    // The window, or an error below, can make the log smaller without any scrolling.
    new ResizeObserver(() => this.#follow()).observe(this.#scroller);
  }

  /** @param {'in' | 'out'} direction @param {string} text */
  add(direction, text) {
    this.#waiting.push({ direction, text, at: Date.now() });
    if (this.#waiting.length > MOST_LINES) this.#waiting.shift();
    this.#draw();
  }

  /** @param {boolean} paused */
  #setPaused(paused) {
    this.#paused = paused;
    this.#pause.setAttribute('aria-pressed', String(paused));
    setText(this.#pause, paused ? 'Resume' : 'Pause');
    this.#drawNow();
  }

  #clear() {
    this.#waiting = [];
    this.#list.replaceChildren();
    this.#drawNow();
  }

  #drawNow() {
    this.#held.hidden = !this.#paused || this.#waiting.length === 0;
    if (this.#paused) {
      setText(this.#held, `${this.#waiting.length} held back`);
      return;
    }
    this.#list.append(...this.#waiting.map(lineElement));
    this.#waiting = [];
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
  item.dataset.testid = `log-${direction}`;
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
export class LogInput {
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

  /** Puts a suggestion into the line, to be changed or sent. @param {string} text */
  suggest(text) {
    this.#input.value = text;
    this.#input.focus();
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
