/** A guinea pig: another client of this page, to which bad things can be done, and what it meets with. */

import { connect } from './client/index.js';
import { breakable } from './breakable.js';
import { eventWords, pigName, silenceWords } from './words.js';

/** @typedef {import('./client/index.js').Client} Client */
/** @typedef {import('./client/index.js').Channel} Channel */
/** @typedef {import('./client/index.js').PresenceEvent} PresenceEvent */
/** @typedef {'offline' | 'long' | 'freeze' | 'crash' | 'close' | 'slow' | 'back'} Break */

/**
 * @typedef {object} Shown where what becomes of it is shown
 * @property {(name: string) => void} showName
 * @property {(guarded: boolean) => void} showGuarded whether the broker wants tokens
 * @property {(state: string, frozen: boolean) => void} show
 * @property {(words: string) => void} say what is done to it now
 * @property {(tone: string, words: string, seconds: number) => void} tell what happened, so long after
 */

const GRACE_MS = 10_000;
/** Until others have seen that it is there, and it has seen them. */
const SETTLE_MS = 400;
const SHORT_MS = 4_000;
const LONG_MS = 15_000;

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

export class GuineaPig {
  #switch = breakable();
  /** @type {Shown} */
  #view;
  /** @type {Client | null} */
  #client = null;
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
  /** Whether the broker wants tokens. */
  #guarded = false;
  /** Which press of a button this is: the last one counts. */
  #turn = 0;

  /** @param {Shown} view */
  constructor(view) {
    this.#view = view;
    view.showName(this.#name);
  }

  /** @param {Channel} room as this page sees it @param {boolean} guarded whether the broker wants tokens */
  watch(room, guarded) {
    this.#counted = room.level === 'count';
    if (guarded === this.#guarded) return;
    this.#guarded = guarded;
    this.#view.showGuarded(guarded);
    if (guarded) this.#end();
    this.#view.say(guarded ? GUARDED : '');
    this.#show();
  }

  /** Another broker or channel: what is there of the old one goes. @param {string} url @param {string} channel */
  move(url, channel) {
    if (url === this.#url && channel === this.#channel) return;
    const wasThere = this.#client !== null;
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

  /** @param {Break} what */
  async suffer(what) {
    const turn = ++this.#turn;
    clearTimeout(this.#later);
    if (what === 'freeze' && this.#frozen) return this.#thaw();
    if (this.#frozen) this.#thaw();
    this.#switch.goOnline();
    this.#brokenAt = 0;
    this.#returning = false;
    const client = this.#client ?? this.#begin();
    client.retry();
    // Only who is there can be broken.
    try {
      await client.channel(this.#channel).join();
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    } catch {
      // Why is told at the top of the page, which has the same broker.
      if (turn === this.#turn) this.#view.say(this.#guarded ? GUARDED : NO_BROKER);
      return;
    }
    if (client !== this.#client || turn !== this.#turn) return;
    this.#view.say(what === 'freeze' ? this.#freezeWords() : WORDS[what]);
    this.#brokenAt = performance.now();
    this.#seen = false;
    this.#break(what);
    if (what !== 'close' && what !== 'back') this.#tell('note', silenceWords(what, this.#counted));
    this.#show();
  }

  /** @param {Break} what */
  #break(what) {
    switch (what) {
      case 'offline':
      case 'long':
        this.#tell('note', 'Network lost');
        return this.#goOffline(what === 'long' ? LONG_MS : SHORT_MS);
      case 'slow':
        this.#tell('note', 'Stopped reading');
        return this.#goOffline(SHORT_MS);
      case 'freeze':
        this.#tell('note', 'Frozen');
        this.#frozen = true;
        return this.#switch.freeze();
      case 'crash':
        this.#tell('note', 'Crashed');
        this.#switch.goOffline();
        return this.#end();
      case 'close':
        this.#tell('note', 'Tab closed');
        return this.#end();
      case 'back':
        this.#brokenAt = 0;
    }
  }

  /** @param {number} ms */
  #goOffline(ms) {
    this.#switch.goOffline();
    this.#later = setTimeout(() => {
      this.#switch.goOnline();
      this.#client?.retry();
    }, ms);
  }

  #thaw() {
    this.#frozen = false;
    this.#tell('note', 'Thawed');
    if (!this.#seen && !this.#counted) this.#tell('came', 'Others saw nothing');
    this.#switch.thaw();
    this.#view.say('');
    this.#show();
  }

  #freezeWords() {
    const { intervalMs, timeoutMs } = this.#client?.welcome?.heartbeat ?? { intervalMs: 30_000, timeoutMs: 60_000 };
    return `Its page hangs, and sends no heartbeat any more (one is due every ${intervalMs / 1000} s). ${timeoutMs / 1000} s after its last sign of life it times out, though its connection is fine. Press again to thaw it.`;
  }

  #begin() {
    this.#switch.goOnline();
    const client = connect(this.#url, {
      user: this.#name, WebSocket: this.#switch.WebSocket, graceMs: GRACE_MS, firstRetryMs: 500, maxRetryMs: 3_000,
    });
    this.#client = client;
    const room = client.channel(this.#channel);
    client.on('state', ({ phase }) => {
      if (this.#client === client && phase === 'open' && this.#brokenAt) this.#returning = true;
      this.#show();
    });
    client.on('frame', ({ direction, text }) => {
      if (direction === 'in' && this.#client === client) this.#hear(text);
    });
    room.on('change', () => this.#show());
    room.subscribe().catch(() => {}); // the page's own refusals say enough
    room.join({ mood: 'curious' }).catch((error) => {
      if (this.#client === client) this.#tell('lost', `It can’t join: ${error.message}`);
    });
    return client;
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
    const client = this.#client;
    this.#client = null;
    client?.close();
  }

  #show() {
    this.#view.show(this.#state(), this.#frozen);
  }

  #state() {
    if (this.#frozen) return 'frozen';
    if (!this.#client) return 'not here';
    if (this.#client.state.phase === 'waiting') return 'offline';
    return this.#client.channel(this.#channel).joined === 'in' ? 'here' : 'on its way';
  }

  /** @param {string} tone @param {string} words */
  #tell(tone, words) {
    this.#view.tell(tone, words, this.#brokenAt ? (performance.now() - this.#brokenAt) / 1000 : 0);
  }
}
