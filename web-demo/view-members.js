/** The people in the channel: one row each, newest first. */

import { byId, make, nameElement, oncePerFrame, setText } from './dom.js';
import { howLong, hue, initials, moodHue, moodOf } from './words.js';

/** @typedef {import('./wire.js').Wire} Wire */
/** @typedef {import('./wire-replica.js').Member} Member */
/** @typedef {import('./wire-replica.js').Outcome} Outcome */

/** No more rows than this: the count is exact, the list is for reading. */
const MOST_ROWS = 200;

/** How often "3 min" is brought up to date. */
const REFRESH_MS = 15_000;

/**
 * @typedef {object} Row
 * @property {HTMLElement} item
 * @property {HTMLElement} mood
 * @property {HTMLElement} you
 * @property {HTMLElement} since
 */

export class MembersView {
  #list = byId('members');
  #count = byId('count');
  #countWords = byId('count-words');
  #empty = byId('members-empty');
  #more = byId('members-more');
  /** Rows are kept by user: whoever stays keeps the very same elements. @type {Map<string, Row>} */
  #rows = new Map();
  /** Who has just come and may be greeted with an animation. @type {Set<string>} */
  #arrived = new Set();
  #draw = oncePerFrame(() => this.#drawNow());

  /** @param {Wire} wire */
  constructor(wire) {
    this.wire = wire;
    setInterval(this.#draw, REFRESH_MS);
  }

  /** @param {Extract<Outcome, {changes: any}>} outcome */
  changed(outcome) {
    if (outcome.kind === 'presence') {
      for (const { event, user } of outcome.changes) {
        if (event === 'join') this.#arrived.add(user);
      }
    }
    this.#draw();
  }

  /** Draws what the wire knows now: after the channel or our own name changed. */
  refresh() {
    this.#draw();
  }

  #drawNow() {
    const { room } = this.wire;
    const known = room?.known ?? false;
    const count = room?.count ?? 0;
    const members = room?.newestFirst(MOST_ROWS) ?? [];
    setText(this.#count, known ? String(count) : '–');
    setText(this.#countWords, count === 1 && known ? 'person here' : 'people here');
    setText(this.#empty, known ? 'Nobody is here yet. Be the first to join.' : 'Looking who is here…');
    this.#empty.hidden = known && count > 0;
    setText(this.#more, members.length > 0 ? `and ${count - members.length} more` : 'Only their number is told here.');
    this.#more.hidden = count <= members.length;
    this.#drawRows(members);
    this.#arrived.clear();
  }

  /** @param {Member[]} members */
  #drawRows(members) {
    const stays = new Set(members.map((member) => member.user));
    for (const [user, row] of this.#rows) {
      if (stays.has(user)) continue;
      row.item.remove();
      this.#rows.delete(user);
    }
    // Moving an element restarts its animations, so only what stands elsewhere is moved.
    let place = this.#list.firstElementChild;
    for (const member of members) {
      const row = this.#rows.get(member.user) ?? this.#newRow(member.user);
      this.#fill(row, member);
      if (row.item === place) place = place.nextElementSibling;
      else this.#list.insertBefore(row.item, place);
    }
  }

  /** @param {string} user @returns {Row} */
  #newRow(user) {
    const avatar = make('span', 'avatar', initials(user));
    avatar.style.setProperty('--hue', String(hue(user)));
    avatar.setAttribute('aria-hidden', 'true');
    const you = make('span', 'you', 'you');
    const mood = make('span', 'mood');
    mood.dir = 'auto';
    mood.dataset.testid = 'member-mood';
    const since = make('span', 'since');
    const who = make('span', 'who', nameElement(user), you);
    const item = make('li', 'member', avatar, who, mood, since);
    item.dataset.testid = 'member';
    item.dataset.user = user;
    if (this.#arrived.has(user)) item.classList.add('arrived');
    const row = { item, mood, you, since };
    this.#rows.set(user, row);
    return row;
  }

  /** @param {Row} row @param {Member} member */
  #fill(row, member) {
    const mood = moodOf(member.attributes);
    setText(row.mood, mood);
    row.mood.hidden = mood === '';
    row.mood.title = mood;
    row.mood.style.setProperty('--hue', String(moodHue(mood)));
    row.you.hidden = member.user !== this.wire.user;
    setText(row.since, member.joinedAt === null ? '' : howLong(this.wire.now() - member.joinedAt));
  }
}
