/** A list of any length, of which only the rows in its window are elements. */

import { make, oncePerFrame } from '../dom.js';

/** Rows above and below the window, so that scrolling shows no gap. */
const SPARE = 8;
/** Browsers draw nothing beyond some 17 million pixels: further down nobody can scroll. */
const HIGHEST_PX = 15_000_000;

/** @template T */
export class WindowList {
  #viewport;
  #sizer = make('div', 'sizer');
  #options;
  /** @type {Map<number, {element: HTMLElement, item: T | undefined | null}>} */ #rows = new Map();
  #length = 0;
  #active = -1;
  #rowPx = 0;
  #redraw;

  /**
   * @param {HTMLElement} viewport has a height of its own, and scrolls
   * @param {object} options
   * @param {(index: number) => T | undefined} options.item undefined: not known yet
   * @param {(row: HTMLElement, item: T) => void} options.draw what the row shows, and how it is called
   * @param {(item: T) => void} options.open the row was chosen
   * @param {(first: number, last: number) => void} options.look these rows are drawn now
   */
  constructor(viewport, options) {
    this.#viewport = viewport;
    this.#options = options;
    this.#redraw = oncePerFrame(() => this.#draw());
    this.#sizer.setAttribute('role', 'presentation');
    viewport.setAttribute('role', 'listbox');
    viewport.tabIndex = 0;
    viewport.append(this.#sizer);
    viewport.addEventListener('scroll', this.#redraw, { passive: true });
    viewport.addEventListener('keydown', (event) => this.#press(event));
    this.#sizer.addEventListener('click', (event) => this.#click(event));
    new ResizeObserver(this.#redraw).observe(viewport);
  }

  /** The rows that are in the window now, by their numbers: the first, and the last. */
  get range() {
    const px = this.#rowHeight();
    const first = Math.floor(this.#viewport.scrollTop / px);
    const last = Math.ceil((this.#viewport.scrollTop + this.#viewport.clientHeight) / px) - 1;
    return /** @type {const} */ ([Math.max(0, first), Math.max(0, Math.min(this.#length - 1, last))]);
  }

  /** Something of it may have changed. @param {number} length */
  update(length) {
    const most = Math.floor(HIGHEST_PX / this.#rowHeight());
    this.#length = Math.min(length, most);
    this.#sizer.style.height = `${this.#length * this.#rowHeight()}px`;
    if (this.#active >= this.#length) this.#active = this.#length - 1;
    this.#redraw();
  }

  /** Back to the top, as another list. */
  reset() {
    this.#active = -1;
    this.#viewport.scrollTop = 0;
    for (const row of this.#rows.values()) row.item = null;
    this.update(0);
  }

  /** Rows are all of one height, which the style says. */
  #rowHeight() {
    if (!this.#rowPx) this.#rowPx = parseFloat(getComputedStyle(this.#viewport).getPropertyValue('--row')) || 44;
    return this.#rowPx;
  }

  #draw() {
    if (!this.#viewport.clientHeight) return; // not shown
    const px = this.#rowHeight();
    const [first, last] = this.range;
    const from = Math.max(0, first - SPARE);
    const to = this.#length ? Math.min(this.#length - 1, last + SPARE) : -1;
    const free = [];
    for (const [index, row] of this.#rows) {
      if (index >= from && index <= to) continue;
      this.#rows.delete(index);
      free.push(row.element);
    }
    for (let index = from; index <= to; index += 1) {
      const row = this.#rows.get(index) ?? this.#add(index, px, free.pop());
      this.#show(row, index);
    }
    for (const element of free) element.remove();
    const active = this.#rows.get(this.#active);
    if (active) this.#viewport.setAttribute('aria-activedescendant', active.element.id);
    else this.#viewport.removeAttribute('aria-activedescendant');
    if (this.#length) this.#options.look(from, to);
  }

  /** @param {number} index @param {number} px @param {HTMLElement} [used] */
  #add(index, px, used) {
    const element = used ?? make('div', 'window-row');
    element.id = `${this.#viewport.id}-${index}`;
    element.dataset.index = String(index);
    element.style.transform = `translateY(${index * px}px)`;
    element.setAttribute('role', 'option');
    element.setAttribute('aria-posinset', String(index + 1));
    if (!used) this.#sizer.append(element);
    const row = { element, item: /** @type {T | undefined | null} */ (null) };
    this.#rows.set(index, row);
    return row;
  }

  /** @param {{element: HTMLElement, item: T | undefined | null}} row @param {number} index */
  #show(row, index) {
    const { element } = row;
    element.setAttribute('aria-setsize', String(this.#length));
    element.setAttribute('aria-selected', String(index === this.#active));
    const item = this.#options.item(index);
    if (row.item === item) return;
    row.item = item;
    element.classList.toggle('unknown', item === undefined);
    if (item === undefined) element.replaceChildren('…');
    else this.#options.draw(element, item);
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const element = /** @type {HTMLElement} */ (event.target).closest('.window-row');
    if (!(element instanceof HTMLElement)) return;
    this.#active = Number(element.dataset.index);
    this.#open();
  }

  #open() {
    const item = this.#options.item(this.#active);
    if (item !== undefined) this.#options.open(item);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const page = Math.max(1, Math.floor(this.#viewport.clientHeight / this.#rowHeight()) - 1);
    const last = this.#length - 1;
    const to = {
      ArrowDown: this.#active + 1, ArrowUp: this.#active - 1, PageDown: this.#active + page,
      PageUp: this.#active - page, Home: 0, End: last,
    }[event.key];
    if (event.key === 'Enter' && this.#active >= 0) this.#open();
    else if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    else this.#go(Math.max(0, Math.min(last, to)));
    event.preventDefault();
  }

  /** @param {number} index */
  #go(index) {
    const px = this.#rowHeight();
    const { scrollTop, clientHeight } = this.#viewport;
    this.#active = index;
    if (index * px < scrollTop) this.#viewport.scrollTop = index * px;
    else if ((index + 1) * px > scrollTop + clientHeight) this.#viewport.scrollTop = (index + 1) * px - clientHeight;
    this.#redraw();
  }
}
