/** Who you are, where, in which mood: the form that the person at this page fills in. */

import { byId, make, setText } from './dom.js';
import { MOODS, membershipWords, moodHue, moodOf } from './words.js';

/** @typedef {import('./wire.js').Membership} Membership */

/**
 * @typedef {object} YouActions
 * @property {(name: string, channel: string) => void} identify name or channel may have changed
 * @property {() => void} join
 * @property {() => void} leave
 * @property {(mood: string) => void} mood empty: none
 */

export class YouView {
  #name = /** @type {HTMLInputElement} */ (byId('name'));
  #channel = /** @type {HTMLInputElement} */ (byId('channel'));
  #moodText = /** @type {HTMLInputElement} */ (byId('mood-text'));
  #join = /** @type {HTMLButtonElement} */ (byId('join'));
  #leave = /** @type {HTMLButtonElement} */ (byId('leave'));
  #membership = byId('membership');
  /** @type {HTMLButtonElement[]} */
  #chips = [];
  #mood = '';

  /** @param {YouActions} actions */
  constructor(actions) {
    this.actions = actions;
    byId('you-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#leave.addEventListener('click', () => actions.leave());
    for (const field of [this.#name, this.#channel]) {
      field.addEventListener('change', () => this.#identify());
    }
    this.#moodText.addEventListener('change', () => this.#chooseMood(this.#moodText.value.trim()));
    this.#moodText.addEventListener('keydown', (event) => this.#onMoodKey(event));
    this.#makeChips();
  }

  get mood() {
    return this.#mood;
  }

  /** @param {string} name @param {string} channel */
  showIdentity(name, channel) {
    this.#name.value = name;
    this.#channel.value = channel;
  }

  /** @param {Membership} membership @param {boolean} connected */
  showMembership(membership, connected) {
    const out = membership === 'out';
    const focused = document.activeElement === (out ? this.#leave : this.#join);
    this.#name.readOnly = !out;
    this.#channel.readOnly = !out;
    this.#join.hidden = !out;
    this.#leave.hidden = out;
    setText(this.#membership, membershipWords(membership, connected));
    // One button takes the other's place: the keyboard must not fall off the page.
    if (focused) (out ? this.#join : this.#leave).focus();
  }

  /** Shows what the broker holds for us, unless it is just being typed. @param {Record<string, unknown>} attributes */
  showAttributes(attributes) {
    const mood = moodOf(attributes);
    if (mood === this.#mood || document.activeElement === this.#moodText) return;
    this.#mood = mood;
    this.#showMood();
  }

  #submit() {
    this.#identify();
    if (!this.#join.hidden) this.actions.join();
  }

  #identify() {
    this.actions.identify(this.#name.value.trim(), this.#channel.value.trim());
  }

  /** Return in this field means "this mood", not "join". @param {KeyboardEvent} event */
  #onMoodKey(event) {
    if (event.key !== 'Enter' || event.isComposing) return;
    event.preventDefault();
    this.#chooseMood(this.#moodText.value.trim());
  }

  /** @param {string} mood */
  #chooseMood(mood) {
    if (mood === this.#mood) return;
    this.#mood = mood;
    this.#showMood();
    this.actions.mood(mood);
  }

  #showMood() {
    for (const chip of this.#chips) {
      chip.setAttribute('aria-pressed', String(chip.dataset.mood === this.#mood));
    }
    this.#moodText.value = MOODS.includes(this.#mood) ? '' : this.#mood;
  }

  #makeChips() {
    this.#chips = MOODS.map((mood) => {
      const chip = /** @type {HTMLButtonElement} */ (make('button', 'chip', mood));
      chip.type = 'button';
      chip.dataset.mood = mood;
      chip.dataset.testid = `mood-${mood}`;
      chip.style.setProperty('--hue', String(moodHue(mood)));
      chip.setAttribute('aria-pressed', 'false');
      chip.addEventListener('click', () => this.#chooseMood(this.#mood === mood ? '' : mood));
      return chip;
    });
    byId('moods').append(...this.#chips);
  }
}
