/** A guinea pig: another client of this page, to which bad things can be done, and what others saw. */

import { connect } from './client/index.js';
import { breakable } from './breakable.js';
import { byId, make, setText } from './dom.js';
import { eventWords, pigName, silenceWords } from './words.js';

/** @typedef {import('./client/index.js').Client} Client */
/** @typedef {import('./client/index.js').Channel} Channel */
/** @typedef {import('./client/index.js').PresenceEvent} PresenceEvent */

const GRACE_MS = 10_000;
/** Until others have seen that it is there, and it has seen them. */
const SETTLE_MS = 400;
const SHORT_MS = 4_000;
const LONG_MS = 15_000;
const MOST_LINES = 12;

/** What each button does, in words, told before it is done. */
const WORDS = {
  offline: 'Its network is gone for four seconds. The grace is ten: others should notice nothing.',
  long: 'Its network is gone for fifteen seconds. After the grace of ten it times out; then it comes back.',
  crash: 'Its tab has crashed: no goodbye, and nobody comes back. After ten seconds of grace it times out.',
  close: 'Its tab was closed, and a browser says so: it leaves at once.',
  slow: 'A browser reads for its page, so a page can’t be slow on the wire. What it would come to is shown: it misses four seconds, and is brought up to date.',
  back: 'It is there again.',
};
const GUARDED = 'This broker knows its users by tokens, and the guinea pig has none.';
const NO_BROKER = 'There is no connection to break now.';

export class BreakView {
  #switch = breakable();
  /** @type {Client | null} */
  #pig = null;
  #name = pigName();
  #channel = '';
  #url = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #later;
  #brokenAt = 0;
  #frozen = false;
  /** Whether others have seen anything since. */
  #seen = false;
  /** Whether it has a connection again since, and has not been told yet what it missed. */
  #returning = false;
  /** Whether others are told the number alone. */
  #counted = false;
  /** Which press of a button this is: the last one counts. */
  #turn = 0;
  /** @type {HTMLButtonElement[]} */
  #buttons = [...document.querySelectorAll('button[data-break]')].map((button) => /** @type {HTMLButtonElement} */ (button));

  constructor() {
    setText(byId('pig-name'), this.#name);
    for (const button of this.#buttons) {
      button.addEventListener('click', () => this.#do(/** @type {any} */ (button.dataset.break)));
    }
  }

  /** @param {Channel} room as this page sees it @param {boolean} guarded whether the broker wants tokens */
  watch(room, guarded) {
    this.#counted = room.level === 'count';
    if (guarded === this.#buttons[0].disabled) return;
    for (const button of this.#buttons) button.disabled = guarded;
    if (guarded) this.#end();
    setText(byId('break-words'), guarded ? GUARDED : '');
    this.#show();
  }

  /** Another broker or channel: what is there of the old one goes. @param {string} url @param {string} channel */
  move(url, channel) {
    if (url === this.#url && channel === this.#channel) return;
    const wasThere = this.#pig !== null;
    this.#end();
    this.#url = url;
    this.#channel = channel;
    if (wasThere) this.#begin();
    this.#show();
  }

  /** What this page's own subscription was told. @param {PresenceEvent} event */
  happened(event) {
    if (event.user !== this.#name) return;
    const words = eventWords(event);
    if (!words) return;
    this.#seen = true;
    this.#tell(words.tone, `Others saw: ${this.#name} ${words.text}`);
  }

  /** @param {keyof typeof WORDS | 'freeze'} what */
  async #do(what) {
    const turn = ++this.#turn;
    clearTimeout(this.#later);
    if (what === 'freeze' && this.#frozen) return this.#thaw();
    if (this.#frozen) this.#thaw();
    this.#switch.goOnline();
    this.#brokenAt = 0;
    this.#returning = false;
    const pig = this.#pig ?? this.#begin();
    pig.retry();
    // Only who is there can be broken.
    try {
      await pig.channel(this.#channel).join();
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    } catch {
      // Why is told at the top of the page, which has the same broker.
      if (turn === this.#turn) setText(byId('break-words'), this.#buttons[0].disabled ? GUARDED : NO_BROKER);
      return;
    }
    if (pig !== this.#pig || turn !== this.#turn) return;
    setText(byId('break-words'), what === 'freeze' ? this.#freezeWords() : WORDS[what]);
    this.#brokenAt = performance.now();
    this.#seen = false;
    this[`_${what}`]();
    if (what !== 'close' && what !== 'back') this.#tell('note', silenceWords(what, this.#counted));
    this.#show();
  }

  _offline() {
    this.#tell('note', 'Network lost');
    this.#goOffline(SHORT_MS);
  }

  _long() {
    this.#tell('note', 'Network lost');
    this.#goOffline(LONG_MS);
  }

  _slow() {
    this.#tell('note', 'Stopped reading');
    this.#goOffline(SHORT_MS);
  }

  _freeze() {
    this.#tell('note', 'Frozen');
    this.#frozen = true;
    this.#switch.freeze();
  }

  _crash() {
    this.#tell('note', 'Crashed');
    this.#switch.goOffline();
    this.#end();
  }

  _close() {
    this.#tell('note', 'Tab closed');
    this.#end();
  }

  _back() {
    this.#brokenAt = 0;
  }

  /** @param {number} ms */
  #goOffline(ms) {
    this.#switch.goOffline();
    this.#later = setTimeout(() => {
      this.#switch.goOnline();
      this.#pig?.retry();
    }, ms);
  }

  #thaw() {
    this.#frozen = false;
    this.#tell('note', 'Thawed');
    if (!this.#seen && !this.#counted) this.#tell('came', 'Others saw nothing');
    this.#switch.thaw();
    setText(byId('break-words'), '');
    this.#show();
  }

  #freezeWords() {
    const { intervalMs, timeoutMs } = this.#pig?.welcome?.heartbeat ?? { intervalMs: 30_000, timeoutMs: 60_000 };
    return `Its page hangs, and sends no heartbeat any more (one is due every ${intervalMs / 1000} s). ${timeoutMs / 1000} s after its last sign of life it times out, though its connection is fine. Press again to thaw it.`;
  }

  #begin() {
    this.#switch.goOnline();
    const pig = connect(this.#url, {
      user: this.#name, WebSocket: this.#switch.WebSocket, graceMs: GRACE_MS, firstRetryMs: 500, maxRetryMs: 3_000,
    });
    this.#pig = pig;
    const room = pig.channel(this.#channel);
    pig.on('state', ({ phase }) => {
      if (this.#pig === pig && phase === 'open' && this.#brokenAt) this.#returning = true;
      this.#show();
    });
    pig.on('frame', ({ direction, text }) => {
      if (direction === 'in' && this.#pig === pig) this.#hear(text);
    });
    room.on('change', () => this.#show());
    room.subscribe().catch(() => {}); // the page's own refusals say enough
    room.join({ mood: 'curious' }).catch((error) => {
      if (this.#pig === pig) this.#tell('lost', `It can’t join: ${error.message}`);
    });
    return pig;
  }

  /** What the guinea pig itself is told on the way. @param {string} text */
  #hear(text) {
    if (text.startsWith('{"type":"heartbeatDue"')) this.#tell('note', 'The broker asks: still there?');
    else if (text.startsWith('{"type":"removed"')) this.#tell('lost', 'The broker has told it: removed');
    else if (!this.#returning) return;
    else if (text.includes('"resumed":true')) this.#back('and was resumed: told just what it had missed');
    else if (text.startsWith('{"type":"snapshot"')) this.#back('and was resynced: told all anew');
    else if (text.startsWith('{"type":"count"')) this.#back('and was told how many are here');
  }

  /** @param {string} how */
  #back(how) {
    this.#tell('came', `It is back, ${how}`);
    if (!this.#seen && !this.#counted) this.#tell('came', 'Others saw nothing: within the grace');
    this.#brokenAt = 0;
    this.#returning = false;
  }

  #end() {
    this.#frozen = false;
    this.#switch.thaw();
    const pig = this.#pig;
    this.#pig = null;
    pig?.close();
  }

  #show() {
    const pig = this.#pig;
    const joined = pig?.channel(this.#channel).joined;
    setText(byId('pig-state'), this.#frozen ? 'frozen' : !pig ? 'not here' : pig.state.phase === 'waiting' ? 'offline' : joined === 'in' ? 'here' : 'on its way');
    for (const button of this.#buttons) {
      if (button.dataset.break === 'freeze') setText(button, this.#frozen ? 'Thaw' : 'Freeze');
    }
  }

  /** @param {string} tone @param {string} words */
  #tell(tone, words) {
    const since = this.#brokenAt ? (performance.now() - this.#brokenAt) / 1000 : 0;
    const time = make('span', 'since', since < 0.05 ? '0 s' : `+${since.toFixed(1)} s`);
    const item = make('li', tone, make('span', 'what', words), time);
    item.dataset.testid = 'timeline-item';
    const list = byId('timeline');
    list.append(item);
    while (list.childElementCount > MOST_LINES) list.firstElementChild?.remove();
  }
}
