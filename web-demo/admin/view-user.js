/** One user: its status, where it is, by which connections; and the way to end them. */

import { byId, make, nameElement, setText } from '../dom.js';
import { Pages } from './pages.js';
import { Poll } from './poll.js';
import { WindowList } from './window-list.js';
import { counted, duration, statusText } from './words.js';

const EVERY_MS = 3_000;
/** Connections that are shown: whoever has more is signed out rather than looked through. */
const MOST_LINES = 100;
/** Rows of a short list. */
const FEW = 3;

/** @typedef {{title: string, words: string, yes: string}} Question */

export class UserView {
  #app;
  #pages;
  #list;
  #poll;
  #user = '';
  /** @type {Map<string, HTMLElement>} */ #lines = new Map();
  #find = /** @type {HTMLInputElement} */ (byId('user-search'));
  #kickAll = /** @type {HTMLButtonElement} */ (byId('kick-all'));

  /** @param {import('./app.js').App} app */
  constructor(app) {
    this.#app = app;
    this.#pages = /** @type {Pages<string>} */ (new Pages((cursor, limit) => this.#loadPlaces(cursor, limit), () => this.#showPlaces()));
    this.#list = new WindowList(byId('where'), {
      item: (index) => this.#pages.item(index),
      draw: drawPlace,
      open: (channel) => app.go('channels', channel),
      look: (_, last) => {
        if (this.#pages.lacks(last)) void app.asking('user', () => this.#pages.reach(last));
      },
    });
    this.#poll = new Poll(() => app.asking('user', () => this.#ask()), EVERY_MS);
    byId('user-find').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#find.value) app.go('users', this.#find.value);
    });
    byId('lines').addEventListener('click', ({ target }) => {
      const connection = /** @type {HTMLElement} */ (target).closest('button')?.dataset.connection;
      if (connection) void this.#kickOne(connection);
    });
    this.#kickAll.addEventListener('click', () => void this.#kickEverywhere());
  }

  /** @param {string} [user] none: only the search */
  open(user = '') {
    this.#user = user;
    this.#find.value = user;
    byId('user').hidden = true;
    setText(byId('user-title'), user || 'Users');
    byId('user-hint').hidden = Boolean(user);
    setText(byId('user-hint'), 'Type a user’s whole name.');
    this.#kickAll.disabled = !this.#mayKick;
    if (!user) return;
    this.#pages.clear();
    this.#list.reset();
    this.#lines.clear();
    byId('lines').replaceChildren();
    this.#poll.start();
  }

  close() {
    this.#user = '';
    this.#poll.stop();
  }

  get #mayKick() {
    return this.#app.key.rights.includes('kick');
  }

  async #ask() {
    const { api } = this.#app;
    const user = this.#user;
    const known = api.get(['users', user, 'status']).catch((problem) => {
      if (problem.status === 404) return null;
      throw problem;
    });
    const [status, lines] = await Promise.all([
      known,
      api.get(['users', user, 'connections'], { limit: MOST_LINES }),
      this.#pages.refresh(...this.#list.range),
    ]);
    if (user !== this.#user) return;
    byId('user').hidden = false;
    this.#showStatus(status);
    this.#showLines(lines);
    this.#showPlaces();
  }

  /** @param {any} status null: nobody knows the user */
  #showStatus(status) {
    const now = Date.now();
    const facts = status
      ? [
        ['Is', statusText(status)],
        ['Says', status.text],
        ['Wait time', status.waitTime && `${status.waitTime}`],
        ['Last seen', status.lastSeen && (status.online ? 'now' : `${duration(now - status.lastSeen)} ago`)],
      ]
      : [['Is', 'not known: it was never here, or so long ago that it was forgotten']];
    byId('status').replaceChildren(...facts.filter(([, text]) => text).flatMap(([name, text]) => [make('dt', '', name), make('dd', '', text)]));
  }

  /** Lines that stay are the same elements, so that no button goes from under a finger. @param {any} told */
  #showLines({ connections, next, partial }) {
    const now = Date.now();
    const before = this.#lines;
    this.#lines = new Map(connections.map((/** @type {any} */ each) => {
      const line = before.get(each.connection) ?? this.#line(each.connection);
      const heard = each.lastSeen === undefined ? 'going' : `heard ${duration(now - each.lastSeen)} ago`;
      const where = each.channels.length ? `in ${each.channels.join(', ')}` : 'in no channel';
      const words = /** @type {HTMLElement} */ (line.querySelector('.where'));
      setText(words, `${where} · ${heard}`);
      words.title = where;
      return [each.connection, line];
    }));
    for (const [connection, line] of before) if (!this.#lines.has(connection)) line.remove();
    byId('lines').append(...[...this.#lines.values()].filter(({ isConnected }) => !isConnected));
    const some = next ? `The first ${MOST_LINES} are shown.` : connections.length ? '' : 'None.';
    const others = partial ? 'Other nodes may have more of them.' : '';
    const may = this.#mayKick ? '' : 'This key has not the right to kick.';
    setText(byId('lines-about'), [some, others, may].filter(Boolean).join(' '));
  }

  /** @param {string} connection */
  #line(connection) {
    const kick = /** @type {HTMLButtonElement} */ (make('button', 'small danger', 'Kick…'));
    kick.type = 'button';
    kick.disabled = !this.#mayKick;
    kick.dataset.connection = connection;
    kick.dataset.testid = 'kick';
    kick.setAttribute('aria-label', `Kick connection ${connection}`);
    const line = make('li', '', make('div', 'what', make('p', 'id', connection), make('p', 'hint where')), kick);
    line.dataset.testid = 'line';
    return line;
  }

  /** @param {string} connection */
  async #kickOne(connection) {
    const user = this.#user;
    const question = { title: `Kick ${connection}?`, words: `This connection of ${user} is closed, and leaves its channels. Others of the user stay, and its token stays good.`, yes: 'Kick' };
    if (!await ask(question)) return;
    await this.#app.asking('user', () => this.#app.api.delete(['users', user, 'connections', connection]));
    this.#poll.soon();
  }

  async #kickEverywhere() {
    const user = this.#user;
    const question = { title: `Sign ${user} out?`, words: 'All its connections are closed, its leases end, and tokens from before are refused.', yes: 'Sign out' };
    if (!await ask(question)) return;
    await this.#app.asking('user', () => this.#app.api.delete(['users', user, 'connections']));
    this.#poll.soon();
  }

  /** @param {string | undefined} after @param {number} limit */
  async #loadPlaces(after, limit) {
    const { channels, next } = await this.#app.api.get(['users', this.#user, 'channels'], { after, limit });
    return { items: channels, next };
  }

  #showPlaces() {
    this.#list.update(this.#pages.length);
    byId('where-none').hidden = this.#pages.length > 0;
    byId('where').hidden = this.#pages.length === 0;
    byId('where').classList.toggle('few', this.#pages.length <= FEW);
    setText(byId('where-title'), `Where: ${counted(this.#pages.length, 'channel')}${this.#pages.hasMore ? ' and more' : ''}`);
  }
}

/** @param {HTMLElement} row @param {string} channel */
function drawPlace(row, channel) {
  row.dataset.channel = channel;
  row.replaceChildren(nameElement(channel));
  row.setAttribute('aria-label', channel);
}

/** Whether the person means it. @param {Question} question @returns {Promise<boolean>} */
function ask({ title, words, yes }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('ask'));
  setText(byId('ask-title'), title);
  setText(byId('ask-words'), words);
  setText(byId('ask-yes'), yes);
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
