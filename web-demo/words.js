/** What things are called when a person reads them. Pure: values in, words out. */

/** @typedef {import('./wire.js').LinkState} LinkState */
/** @typedef {import('./wire.js').Problem} Problem */
/** @typedef {import('./wire-replica.js').Change} Change */

const ADJECTIVES = ['brisk', 'calm', 'clever', 'cosy', 'eager', 'gentle', 'lucky', 'merry', 'quiet', 'sunny', 'swift', 'witty'];
const ANIMALS = ['badger', 'crane', 'finch', 'fox', 'heron', 'ibex', 'lynx', 'marten', 'otter', 'panda', 'robin', 'wren'];

/** A name for somebody who has not chosen one. @param {() => number} [random] */
export function randomName(random = Math.random) {
  /** @param {string[]} words */
  const pick = (words) => words[Math.floor(random() * words.length)];
  return `${pick(ADJECTIVES)}-${pick(ANIMALS)}`;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * One or two letters for an avatar. Cuts at graphemes, so that an emoji family stays together.
 * @param {string} name
 */
export function initials(name) {
  const words = name.split(/[^\p{L}\p{N}\p{M}\p{Extended_Pictographic}\u200d\ufe0f]+/u).filter(Boolean);
  const letters = (words.length ? words : [name.trim() || '?']).slice(0, 2).map(firstGrapheme);
  // Two wide signs do not fit in the circle, and two pictures are no initials.
  return letters.every(isNarrow) ? letters.join('') : letters[0];
}

/** @param {string} word */
function firstGrapheme(word) {
  const [first] = graphemes.segment(word);
  // A letter under a heap of accents would spill out of the circle.
  return [...first.segment.toUpperCase()].slice(0, 8).join('');
}

/** @param {string} letter */
function isNarrow(letter) {
  return /^[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{N}\p{M}]+$/u.test(letter);
}

/** A colour's angle, the same for the same name everywhere. @param {string} name */
export function hue(name) {
  let hash = 2166136261; // FNV-1a, with a stir so that "a1" and "a2" part
  for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 2246822519);
  return (hash >>> 8) % 360;
}

/** The moods that one can pick, and their colours. */
const MOOD_HUES = new Map([
  ['happy', 95],
  ['calm', 170],
  ['focused', 255],
  ['curious', 310],
  ['tired', 35],
  ['away', 220],
]);

export const MOODS = [...MOOD_HUES.keys()];

/** @param {string} mood */
export function moodHue(mood) {
  return MOOD_HUES.get(mood) ?? hue(mood);
}

/** The mood among attributes, however it was typed; empty if there is none. @param {Record<string, unknown> | undefined} attributes */
export function moodOf(attributes) {
  if (!attributes || !Object.hasOwn(attributes, 'mood')) return '';
  const { mood } = attributes;
  return typeof mood === 'string' ? mood : JSON.stringify(mood);
}

/** @param {number} ms how long somebody has been here */
export function howLong(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}

const clock = new Intl.DateTimeFormat([], { timeStyle: 'medium', hourCycle: 'h23' });

/** @param {number} ms milliseconds since 1970 */
export function clockTime(ms) {
  return clock.format(ms);
}

/**
 * What happened, to follow a name; null if it is nothing to tell. `tone` colours it.
 * @param {Change} change
 * @returns {{text: string, tone: 'came' | 'went' | 'lost' | 'changed'} | null}
 */
export function changeWords(change) {
  switch (change.event) {
    case 'join':
      return { text: 'joined', tone: 'came' };
    case 'leave':
      return { text: LEAVES[change.reason ?? ''] ?? 'left', tone: 'went' };
    case 'timeout':
      return { text: `timed out: ${timeoutWords(change)}`, tone: 'lost' };
    case 'updateAttributes': {
      const text = updateWords(change);
      return text ? { text, tone: 'changed' } : null;
    }
    default:
      return null;
  }
}

/** @type {Record<string, string>} */
const LEAVES = {
  left: 'left',
  closed: 'left: closed the connection',
  kicked: 'was removed by an operator',
};

/** @param {Change} change */
function timeoutWords({ reason, at, lastSeen }) {
  if (reason === 'connection') return 'connection lost';
  if (reason !== 'heartbeat') return 'no longer heard from';
  const seconds = Math.round(((at ?? 0) - (lastSeen ?? 0)) / 1000);
  return seconds > 0 ? `not heard for ${seconds} s` : 'not heard any more';
}

/** @param {Change} change */
function updateWords({ before, after, reason }) {
  const [was, is] = [moodOf(before?.attributes), moodOf(after?.attributes)];
  if (was === is) return '';
  if (is) return `is now ${is}`;
  return reason === 'expired' ? 'has a mood that wore off' : 'cleared the mood';
}

/**
 * A summary of what nobody told but a comparison found; empty if nothing changed.
 * @param {Change[]} changes
 */
export function caughtUpWords(changes) {
  const came = changes.filter((change) => change.event === 'join').length;
  const went = changes.filter((change) => change.event === 'leave').length;
  const parts = [came && `${came} came`, went && `${went} left`].filter(Boolean);
  return parts.length ? `Caught up: ${parts.join(', ')} meanwhile` : '';
}

/**
 * The connection in words: how it is, and why if it is not well.
 * @param {LinkState} state
 * @returns {{title: string, detail: string}}
 */
export function connectionWords(state) {
  switch (state.phase) {
    case 'connecting':
      return { title: 'Connecting…', detail: '' };
    case 'open':
      return { title: 'Connected', detail: '' };
    case 'waiting':
      return { title: 'Connection lost', detail: lossWords(state) };
    default:
      return { title: 'Disconnected', detail: ENDINGS[state.code] ?? (state.reason || `code ${state.code}`) };
  }
}

/** @type {Record<number, string>} */
const ENDINGS = {
  4001: 'the broker does not accept this name',
  4003: 'an operator removed you',
  4008: 'too many messages',
};

/** @type {Record<number, string>} */
const LOSSES = {
  1009: 'a message was too large',
  1011: 'the broker failed',
  1012: 'the broker is restarting',
  4100: 'this connection was too slow',
  4101: 'this page did not answer in time',
  4102: 'the session expired',
};

/** @param {Extract<LinkState, {phase: 'waiting'}>} state */
function lossWords({ code, reason }) {
  return LOSSES[code] ?? reason;
}

/** Whether you are in. @param {import('./wire.js').Membership} membership @param {boolean} connected */
export function membershipWords(membership, connected) {
  if (membership === 'out') return '';
  if (membership === 'in') return 'You are in. Leave to change your name or the channel.';
  return connected ? 'Joining…' : 'You will be back in once connected.';
}

/** A refusal, as a sentence. @param {Problem} problem */
export function problemWords({ message, retryAfterMs }) {
  const sentence = message.charAt(0).toUpperCase() + message.slice(1);
  const wait = retryAfterMs ? ` (try again in ${Math.ceil(retryAfterMs / 1000)} s)` : '';
  return `${sentence}${wait}.`.replace(/([.!?…])\.$/, '$1');
}
