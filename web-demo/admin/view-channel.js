/** One channel: who is in it, what each says, what keeps each there, and what happens. */

import { apply, interrupted, NOTHING } from '../client/replica.js';
import { byId, make, nameElement, setText } from '../dom.js';
import { Pages } from './pages.js';
import { Poll } from './poll.js';
import { WindowList } from './window-list.js';
import { attributesText, counted, duration, eventText, sourceText, whole } from './words.js';

/** Without news: attributes of a channel that tells its count alone, and connections that come and go. */
const EVERY_MS = 5_000;
/** With news. */
const APART_MS = 1_000;
/** Lines of what happened. */
const LINES = 50;

export class ChannelView {
  #app;
  #pages;
  #list;
  #poll;
  #channel = '';
  #replica = NOTHING;
  #following = new AbortController();
  #live = false;
  #count = 0;
  #find = /** @type {HTMLInputElement} */ (byId('member-search'));

  /** @param {import('./app.js').App} app */
  constructor(app) {
    this.#app = app;
    this.#pages = /** @type {Pages<any>} */ (new Pages((cursor, limit) => this.#load(cursor, limit), () => this.#show()));
    this.#list = new WindowList(byId('member-list'), {
      item: (index) => this.#pages.item(index),
      draw,
      open: ({ user }) => app.go('users', user),
      look: (_, last) => {
        if (this.#pages.lacks(last)) void app.asking('channel', () => this.#pages.reach(last));
      },
    });
    this.#poll = new Poll(() => app.asking('channel', () => this.#pages.refresh(...this.#list.range)), EVERY_MS);
    byId('member-find').addEventListener('submit', (event) => {
      event.preventDefault();
      void app.asking('channel', () => this.#seek(this.#find.value));
    });
    document.addEventListener('visibilitychange', () => this.#follow());
  }

  /** @param {string} channel */
  open(channel) {
    this.#channel = channel;
    this.#find.value = '';
    this.#pages.clear();
    this.#list.reset();
    setText(byId('channel-name'), channel);
    setText(byId('channel-count'), '–');
    byId('feed').replaceChildren();
    byId('feed-empty').hidden = false;
    this.#replica = NOTHING;
    this.#poll.start();
    this.#follow();
  }

  close() {
    this.#channel = '';
    this.#poll.stop();
    this.#following.abort();
  }

  /** Follows the channel as long as somebody looks. */
  #follow() {
    this.#following.abort();
    if (!this.#channel || document.hidden) return;
    this.#following = new AbortController();
    const { signal } = this.#following;
    void this.#app.api.follow(this.#channel, {
      onFrame: (frame) => !signal.aborted && this.#hear(frame),
      onState: (live) => !signal.aborted && this.#turn(live),
    }, signal);
  }

  /** @param {boolean} live */
  #turn(live) {
    this.#live = live;
    if (!live) ({ replica: this.#replica } = interrupted(this.#replica));
    this.#say();
  }

  /** @param {any} frame */
  #hear(frame) {
    const { replica, changes } = apply(this.#replica, frame);
    this.#replica = replica;
    this.#count = replica.told;
    changes.forEach((change) => this.#tell(change));
    this.#say();
    this.#poll.soon(APART_MS);
  }

  /** @param {import('../client/replica.js').Change} change */
  #tell({ event, user, reason, after }) {
    const feed = byId('feed');
    const kind = event === 'join' ? 'came' : event === 'timeout' ? 'lost' : event === 'leave' ? 'note' : 'changed';
    const said = event === 'updateAttributes' && after ? ` · ${attributesText(after.attributes)}` : '';
    const what = make('span', 'what', nameElement(user), ` ${eventText(event, reason)}${said}`);
    feed.prepend(make('li', kind, what, make('time', '', new Date().toLocaleTimeString())));
    while (feed.children.length > LINES) feed.lastElementChild?.remove();
    byId('feed-empty').hidden = true;
  }

  /** @param {number | undefined} after @param {number} limit */
  async #load(after, limit) {
    const { members, next, count } = await this.#app.api.get(['channels', this.#channel, 'members'], { sources: 'true', after, limit });
    if (!this.#live) this.#count = count;
    const now = Date.now();
    return { items: members.map((/** @type {any} */ member) => ({ ...member, seen: now })), next, total: count };
  }

  /** One member, by its name: it opens, if there is one. @param {string} user */
  async #seek(user) {
    if (!user) return;
    await this.#app.api.get(['channels', this.#channel, 'members', user]);
    this.#app.go('users', user);
  }

  #show() {
    this.#list.update(this.#pages.length);
    byId('members-none').hidden = this.#pages.length > 0;
    if (!this.#live) this.#say();
  }

  #say() {
    setText(byId('channel-count'), whole(this.#count));
    const words = this.#replica.level === 'count' ? 'told as a count: it is large, and so who comes and goes is not told one by one' : 'told live';
    setText(byId('channel-about'), `${this.#count === 1 ? 'member' : 'members'}, ${this.#live ? words : 'not live just now'}`);
  }
}

/** @param {HTMLElement} row @param {any} member */
function draw(row, { user, attributes, sources = [], away, joinedAt, seen }) {
  const said = attributesText(attributes);
  const kept = sources.map(sourceText).join(', ');
  const since = duration(seen - joinedAt);
  const name = nameElement(user);
  if (away) name.append(make('span', 'soft', ' away'));
  const [said_, kept_] = [make('span', 'soft', said), make('span', 'soft', kept)];
  said_.title = said;
  kept_.title = kept;
  row.dataset.user = user;
  row.classList.toggle('away', Boolean(away));
  row.replaceChildren(name, said_, kept_, make('span', 'soft number', since));
  row.setAttribute('aria-label', [user, away ? 'away' : '', said, `kept by ${counted(sources.length, 'source')}: ${kept}`, `for ${since}`].filter(Boolean).join('; '));
}
