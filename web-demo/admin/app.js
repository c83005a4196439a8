/** The operator's page: the key, the address, and which view is shown. */

import { byId, setText } from '../dom.js';
import { Api, Problem } from './api.js';
import { ChannelView } from './view-channel.js';
import { ChannelsView } from './view-channels.js';
import { OverviewView } from './view-overview.js';
import { UserView } from './view-user.js';

/** Where the key is kept: in this tab alone, and never in its address. */
const KEPT = 'herenow.admin.key';
/** From one try to the next while the broker does not answer. */
const AGAIN_MS = 5_000;

/** @typedef {'overview' | 'channels' | 'channel' | 'user'} ViewName */

export class App {
  /** @type {Api} */ api = new Api('');
  /** @type {{name?: string, rights: string[]}} */ key = { rights: [] };
  /** @type {Record<ViewName, {open: (name?: any) => void, close: () => void}>} */ #views;
  /** @type {ViewName | null} */ #shown = null;

  constructor() {
    this.#views = {
      overview: new OverviewView(this), channels: new ChannelsView(this), channel: new ChannelView(this), user: new UserView(this),
    };
    byId('sign-in').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#enter(/** @type {HTMLInputElement} */ (byId('key')).value.trim());
    });
    byId('forget').addEventListener('click', () => this.#leave(''));
    addEventListener('hashchange', () => this.#route());
    document.addEventListener('keydown', (event) => press(event));
    const kept = sessionStorage.getItem(KEPT);
    if (kept) void this.#enter(kept);
    else this.#leave('');
  }

  /** Shows a channel, or a user. @param {'channels' | 'users'} kind @param {string} name */
  go(kind, name) {
    location.hash = `#/${kind}/${encodeURIComponent(name)}`;
  }

  /**
   * Does something that asks the broker, and shows what it has against it.
   * @param {ViewName} view that asks
   * @param {() => Promise<unknown>} act
   * @returns {Promise<number>} how long to wait before it is asked again, at least
   */
  async asking(view, act) {
    const problem = byId(`view-${view}`).querySelector('[data-problem]');
    try {
      await act();
      this.#light('open', 'Live');
      if (problem) setText(problem, '');
      return 0;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401) this.#leave(error.message);
      else if (error.status === 0) this.#light('waiting', 'No answer, trying again');
      else if (problem && view === this.#shown) setText(problem, error.message);
      return Math.max(error.retryMs, AGAIN_MS);
    }
  }

  /** @param {string} key */
  async #enter(key) {
    const api = new Api(key);
    try {
      this.key = await api.get(['key']);
    } catch (error) {
      const { status, message } = /** @type {Problem} */ (error);
      const words = status === 401 ? 'The broker knows no such key.' : message;
      // One that was kept is good, as far as anybody knows, as long as nobody says that it is not.
      this.#leave(words, status !== 0);
      return;
    }
    this.api = api;
    sessionStorage.setItem(KEPT, key);
    /** @type {HTMLInputElement} */ (byId('key')).value = '';
    setText(byId('key-problem'), '');
    setText(byId('key-name'), this.key.name ?? 'open to all');
    setText(byId('key-rights'), this.key.rights.join(', '));
    this.#frame(true);
    this.#route();
  }

  /** Back to where a key is asked for. @param {string} why @param {boolean} [forgets] */
  #leave(why, forgets = true) {
    if (forgets) sessionStorage.removeItem(KEPT);
    this.#close();
    this.api = new Api('');
    this.key = { rights: [] };
    this.#frame(false);
    setText(byId('key-problem'), why);
    byId('key').focus();
  }

  /** @param {boolean} isIn */
  #frame(isIn) {
    byId('sign-in').hidden = isIn;
    for (const id of ['tabs', 'connection', 'key-box']) byId(id).hidden = !isIn;
  }

  #close() {
    if (this.#shown) {
      this.#views[this.#shown].close();
      byId(`view-${this.#shown}`).hidden = true;
    }
    this.#shown = null;
  }

  #route() {
    if (!byId('sign-in').hidden) return;
    const [view, name] = place(location.hash);
    const isFirst = this.#shown === null;
    this.#close();
    this.#shown = view;
    const element = byId(`view-${view}`);
    element.hidden = false;
    const tab = { overview: 'overview', channels: 'channels', channel: 'channels', user: 'users' }[view];
    for (const link of byId('tabs').querySelectorAll('a')) {
      if (link.dataset.tab === tab) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    document.title = `${name ?? tab} – herenow admin`;
    this.#views[view].open(name);
    // Where there is nothing but a search it is meant; elsewhere a screen reader is told where it is.
    if (view === 'user' && !name) byId('user-search').focus();
    else if (!isFirst) element.querySelector('h1')?.focus({ preventScroll: true });
  }

  /** @param {'open' | 'waiting'} phase @param {string} words */
  #light(phase, words) {
    byId('connection').dataset.phase = phase;
    setText(byId('connection-words'), words);
  }
}

/** @param {string} hash @returns {[ViewName, string?]} */
function place(hash) {
  const [, kind, ...rest] = hash.split('/');
  let name;
  try {
    name = decodeURIComponent(rest.join('/'));
  } catch {
    name = ''; // nobody wrote such an address but by hand
  }
  if (kind === 'channels') return name ? ['channel', name] : ['channels'];
  if (kind === 'users') return name ? ['user', name] : ['user'];
  return ['overview'];
}

/** `/` leads to the search of whatever is shown. @param {KeyboardEvent} event */
function press(event) {
  const { target, key } = event;
  if (key !== '/' || event.ctrlKey || event.metaKey || event.altKey || target instanceof HTMLInputElement) return;
  const search = [.../** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('input.search'))].find((each) => each.offsetParent);
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
}

new App();
