/** Who is watching: an avatar each, newest first; reactions that float up; who is typing. */

import { LIST_MS, byId, icon, make, oncePerFrame, setText } from './dom.js';
import { hue, initials, moodOf, moodPicture, reactionOf, typingWords, watcherWords } from './words.js';

/** @typedef {import('./client/index.js').Channel} Channel */
/** @typedef {import('./client/index.js').Member} Member */
/** @typedef {import('./client/index.js').PresenceEvent} PresenceEvent */

/** No more avatars than this: the number is exact, faces are for looking at. */
const MOST_AVATARS = 200;
/** More than this coming or going at once is a crowd, and nobody looks at each. */
const MOST_MOVING = 24;
/** As long as the animations in style.css. */
const COMING_MS = 450;
const GOING_MS = 320;
const FLOAT_MS = 2_600;
const MOST_FLOATS = 24;
/** The number is read aloud no more often than this: a crowd changes it all the time. */
const SPEAK_MS = 10_000;

/** @typedef {{item: HTMLElement, badge: HTMLElement}} Avatar */

export class StageView {
  #list = byId('members');
  #more = make('li', 'more');
  #floats = byId('floats');
  /** Kept by user: whoever stays keeps the very same elements. @type {Map<string, Avatar>} */
  #avatars = new Map();
  #coming = 0;
  #going = 0;
  /** Whether the list has been shown before: who is there already does not arrive. */
  #shown = false;
  /** What is to be shown. @type {{room: Channel, me: string} | null} */
  #scene = null;
  #draw = oncePerFrame(() => this.#drawNow(), LIST_MS);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #speaking;

  constructor() {
    this.#more.dataset.testid = 'members-more';
  }

  /** Another channel, or another of us. */
  clear() {
    this.#scene = null;
    this.#shown = false;
    for (const [user] of this.#avatars) this.#remove(user, false);
    clearTimeout(this.#speaking);
    this.#speaking = undefined;
    setText(byId('typing'), '');
    setText(byId('count'), '–');
  }

  /** @param {Channel} room @param {string} me */
  show(room, me) {
    const known = room.level !== null;
    setText(byId('count'), known ? room.count.toLocaleString('en') : '–');
    if (known) this.#speaking ??= setTimeout(() => this.#speak(room), this.#shown ? SPEAK_MS : 0);
    setText(byId('count-words'), room.level === 'count' ? 'here, only counted' : 'here');
    const live = byId('live');
    live.classList.toggle('off', !room.live);
    setText(live, room.live ? 'Live' : 'Not live');
    this.#scene = { room, me };
    this.#draw();
  }

  #drawNow() {
    if (!this.#scene) return;
    const { room, me } = this.#scene;
    const members = room.members.slice(0, MOST_AVATARS);
    this.#showAvatars(members, me);
    const more = Math.max(0, room.count - members.length);
    setText(this.#more, more ? `+${more.toLocaleString('en')}` : '');
    if (more) this.#list.append(this.#more);
    else this.#more.remove();
    setText(byId('typing'), typingWords(room.members.filter(({ user, attributes }) => attributes.typing && user !== me)));
    this.#shown = room.level !== null;
  }

  /** @param {Channel} room */
  #speak(room) {
    this.#speaking = undefined;
    setText(byId('count-spoken'), `${room.count} here`);
  }

  /** @param {PresenceEvent} event */
  happened({ event, attributes, before, user }) {
    const reaction = event === 'updateAttributes' && reactionOf(attributes);
    if (reaction && reaction.n !== reactionOf(before?.attributes)?.n) this.float(user, reaction);
  }

  /** @param {string} user @param {{kind: string, n: number}} reaction */
  float(user, reaction) {
    if (this.#floats.childElementCount >= MOST_FLOATS) return;
    const float = make('span', 'float', icon(reaction.kind));
    float.dataset.testid = 'float';
    float.style.setProperty('--x', String(hue(`${user}${reaction.n}`) / 360));
    this.#floats.append(float);
    setTimeout(() => float.remove(), FLOAT_MS);
  }

  /** @param {readonly Member[]} members @param {string} me */
  #showAvatars(members, me) {
    const stays = new Set(members.map(({ user }) => user));
    const goes = [...this.#avatars.keys()].filter((user) => !stays.has(user));
    const gently = goes.length <= MOST_MOVING;
    for (const user of goes) this.#remove(user, gently);
    // Moving an element restarts its animations, so only what stands elsewhere is moved.
    let place = this.#next(this.#list.firstElementChild);
    for (const member of members) {
      const avatar = this.#avatars.get(member.user) ?? this.#make(member.user);
      this.#fill(avatar, member, me);
      if (avatar.item === place) place = this.#next(place.nextElementSibling);
      else this.#list.insertBefore(avatar.item, place);
    }
  }

  /** The next that stays: who goes is still to be seen for a moment. @param {Element | null} place */
  #next(place) {
    let next = place;
    while (next?.classList.contains('going')) next = next.nextElementSibling;
    return next;
  }

  /** @param {string} user @param {boolean} gently */
  #remove(user, gently) {
    const item = this.#avatars.get(user)?.item;
    this.#avatars.delete(user);
    if (!item) return;
    if (!gently || this.#going >= MOST_MOVING) {
      item.remove();
      return;
    }
    this.#going += 1;
    item.classList.add('going');
    delete item.dataset.testid;
    item.setAttribute('aria-hidden', 'true');
    setTimeout(() => {
      this.#going -= 1;
      item.remove();
    }, GOING_MS);
  }

  /** @param {string} user @returns {Avatar} */
  #make(user) {
    const face = make('span', 'avatar', initials(user));
    face.style.setProperty('--hue', String(hue(user)));
    const badge = make('span', 'badge');
    badge.style.setProperty('--hue', String(hue(user)));
    const item = make('li', '', face, badge);
    if (this.#shown && this.#coming < MOST_MOVING) this.#arrive(item);
    item.dataset.testid = 'member';
    item.dataset.user = user;
    const avatar = { item, badge };
    this.#avatars.set(user, avatar);
    return avatar;
  }

  /** @param {HTMLElement} item */
  #arrive(item) {
    this.#coming += 1;
    item.classList.add('arrived');
    setTimeout(() => {
      this.#coming -= 1;
      item.classList.remove('arrived');
    }, COMING_MS);
  }

  /** @param {Avatar} avatar @param {Member} member @param {string} me */
  #fill({ item, badge }, member, me) {
    const ours = member.user === me;
    const typing = Boolean(member.attributes.typing);
    const words = watcherWords(member, ours);
    if (item.title !== words) {
      item.title = words;
      item.setAttribute('aria-label', words);
    }
    const mood = moodOf(member.attributes);
    if (item.dataset.mood !== mood) item.dataset.mood = mood;
    item.classList.toggle('me', ours);
    item.classList.toggle('typing', typing);
    item.classList.toggle('away', Boolean(member.away));
    const picture = typing ? '…' : moodPicture(mood);
    if (badge.dataset.picture === picture) return;
    badge.dataset.picture = picture;
    badge.replaceChildren(...(typing ? ['…'] : picture ? [icon(picture)] : []));
  }
}
