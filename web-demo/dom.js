/** The few things that every view does with the document. */

/**
 * The element with this id, which index.html has.
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @returns {E}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html lacks #${id}`);
  return /** @type {E} */ (found);
}

/**
 * An element with a class and children. Strings become text, never markup: names and moods come
 * from strangers.
 * @param {string} tag
 * @param {string} className
 * @param {...(Node | string)} children
 */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/**
 * A name, fenced off so that its writing direction ends where it ends.
 * @param {string} name
 */
export function nameElement(name) {
  const element = make('bdi', 'name', name);
  element.title = name;
  return element;
}

/**
 * One of the pictures in index.html.
 * @param {string} name
 */
export function icon(name) {
  const NAMESPACE = 'http://www.w3.org/2000/svg';
  const picture = document.createElementNS(NAMESPACE, 'svg');
  const use = document.createElementNS(NAMESPACE, 'use');
  use.setAttribute('href', `#i-${name}`);
  picture.append(use);
  picture.classList.add('icon', `icon-${name}`);
  picture.setAttribute('aria-hidden', 'true');
  return picture;
}

/**
 * Sets text only if it differs: a screen reader speaks a live region whenever it is written to.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Long lists are drawn no more often than this while they change all the time: nobody reads faster. */
export const LIST_MS = 120;
/** The frame in which a long list was drawn last: each has a frame of its own. */
let listFrame = -1;

/**
 * Calls `draw` before the next paint, once, however often it is asked.
 * @param {() => void} draw
 * @param {number} [apartMs] at least so long after the last time
 * @returns {() => void}
 */
export function oncePerFrame(draw, apartMs = 0) {
  let asked = false;
  let last = -Infinity;
  const atNextFrame = () => requestAnimationFrame((frame) => {
    if (apartMs && frame === listFrame) return void atNextFrame();
    if (apartMs) listFrame = frame;
    asked = false;
    last = performance.now();
    draw();
  });
  return () => {
    if (asked) return;
    asked = true;
    const waitMs = last + apartMs - performance.now();
    if (waitMs > 0) setTimeout(atNextFrame, waitMs);
    else atNextFrame();
  };
}
