/** Who you are, where, in which mood: what the person at this page says of itself. */

import { byId, icon, make, setText } from './dom.js';
import { MOODS, REACTIONS, membershipWords, moodOf } from './words.js';

/** @typedef {'out' | 'joining' | 'in'} Joined */

/**
 * @typedef {object} YouActions
 * @property {(name: string, channel: string) => void} identify name or channel may have changed
 * @property {() => void} join
 * @property {() => void} leave
 * @property {(mood: string) => void} mood empty: none
 * @property {(kind: string) => void} react
 * @property {(typing: boolean) => void} typing
 */

/** How long others see that somebody types, after the last key. */
export const TYPING_MS = 5_000;

export class YouView {
  #name = /** @type {HTMLInputElement} */ (byId('name'));
  #channel = /** @type {HTMLInputElement} */ (byId('channel'));
  #say = /** @type {HTMLInputElement} */ (byId('say'));
  #join = /** @type {HTMLButtonElement} */ (byId('join'));
  #leave = /** @type {HTMLButtonElement} */ (byId('leave'));
  /** @type {HTMLButtonElement[]} */
  #moods = [];
  #mood = '';
  #typedAt = -Infinity;

  /** @param {YouActions} actions */
  constructor(actions) {
    this.actions = actions;
    byId('you-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#identify();
      if (!this.#join.hidden) actions.join();
    });
    this.#leave.addEventListener('click', () => actions.leave());
    for (const field of [this.#name, this.#channel]) field.addEventListener('change', () => this.#identify());
    this.#say.addEventListener('input', () => this.#typing());
    this.#say.addEventListener('keydown', (event) => this.#onSayKey(event));
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

  /** @param {Joined} joined @param {boolean} connected @param {boolean} wanted whether we mean to be in */
  showMembership(joined, connected, wanted) {
    const focused = document.activeElement === (wanted ? this.#join : this.#leave);
    this.#join.hidden = wanted;
    this.#leave.hidden = !wanted;
    // Only a member has attributes.
    /** @type {HTMLFieldSetElement} */ (byId('react-field')).disabled = !wanted;
    this.#say.disabled = !wanted;
    setText(byId('membership'), membershipWords(joined, connected, wanted));
    // One button takes the other's place: the keyboard must not fall off the page.
    if (focused) (wanted ? this.#leave : this.#join).focus();
  }

  /** Shows what the broker holds for us. @param {Record<string, unknown>} attributes */
  showAttributes(attributes) {
    this.#showMood(moodOf(attributes));
  }

  #identify() {
    this.actions.identify(this.#name.value.trim(), this.#channel.value.trim());
  }

  /** Says so again only every now and then: it lasts a while. */
  #typing() {
    const typing = this.#say.value !== '';
    const now = performance.now();
    if (typing && now - this.#typedAt < TYPING_MS / 3) return;
    this.#typedAt = typing ? now : -Infinity;
    this.actions.typing(typing);
  }

  /** Return sends nothing: it is a mock chat, and must not join either. @param {KeyboardEvent} event */
  #onSayKey(event) {
    if (event.key !== 'Enter' || event.isComposing) return;
    event.preventDefault();
    this.#say.value = '';
    this.#typing();
  }

  /** @param {string} mood */
  #showMood(mood) {
    if (mood === this.#mood) return;
    this.#mood = mood;
    for (const chip of this.#moods) chip.setAttribute('aria-pressed', String(chip.dataset.mood === mood));
  }

  #makeChips() {
    this.#moods = MOODS.map((mood) => {
      const chip = button(mood, mood);
      chip.dataset.mood = mood;
      chip.dataset.testid = `mood-${mood}`;
      chip.setAttribute('aria-pressed', 'false');
      chip.addEventListener('click', () => {
        const chosen = this.#mood === mood ? '' : mood;
        this.#showMood(chosen);
        this.actions.mood(chosen);
      });
      return chip;
    });
    byId('moods').append(...this.#moods);
    byId('reactions').append(...[...REACTIONS].map(([kind, words]) => {
      const chip = button(kind);
      chip.setAttribute('aria-label', words);
      chip.dataset.testid = `react-${kind}`;
      chip.addEventListener('click', () => this.actions.react(kind));
      return chip;
    }));
  }
}

/** @param {string} picture @param {string} [words] */
function button(picture, words = '') {
  const chip = /** @type {HTMLButtonElement} */ (make('button', 'chip', icon(picture), words));
  chip.type = 'button';
  return chip;
}
