/** A page, before a framework looks for one. It has frames: `change` comes at most once in each. */

import { JSDOM } from 'jsdom';

export const { window } = new JSDOM('<main></main>', { pretendToBeVisual: true, url: 'http://localhost/doc/7' });

const NAMES = [
  'document', 'location', 'navigator', 'FormData', 'requestAnimationFrame', 'Node', 'Element', 'HTMLElement', 'SVGElement', 'Text', 'Comment',
  'DocumentFragment', 'HTMLMediaElement', 'MutationObserver', 'Event', 'CustomEvent', 'MathMLElement', 'ShadowRoot',
];
define('window', window);
for (const name of NAMES) if (name in window) define(name, window[name]);

/** @param {string} name @param {unknown} value */
function define(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
