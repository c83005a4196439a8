/** What things are called when a person reads them. Pure: values in, words out. */

/** @typedef {import('./client/index.js').State} State */
/** @typedef {import('./client/index.js').PresenceEvent} PresenceEvent */

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

/** The moods that one can pick. Each has a picture of its name. */
export const MOODS = ['happy', 'curious', 'focused', 'excited', 'tired'];

/** The reactions that one can throw, and what they are called. Each has a picture of its name. */
export const REACTIONS = new Map([
  ['heart', 'Love it'],
  ['star', 'Brilliant'],
  ['flame', 'On fire'],
  ['bolt', 'Wow'],
]);

/** The picture of a mood; for one of one's own words, a sign that there is one. @param {string} mood */
export function moodPicture(mood) {
  return mood && (MOODS.includes(mood) ? mood : 'other');
}

/**
 * The reaction among attributes, if it is one.
 * @param {Record<string, unknown> | undefined} attributes
 * @returns {{kind: string, n: number} | undefined}
 */
export function reactionOf(attributes) {
  const reaction = /** @type {any} */ (attributes?.reaction);
  return REACTIONS.has(reaction?.kind) ? reaction : undefined;
}

/** Who is typing, of those given. @param {ReadonlyArray<{user: string}>} people */
export function typingWords(people) {
  const [one, two] = people;
  if (!one) return '';
  if (!two) return `${one.user} is typing…`;
  if (people.length === 2) return `${one.user} and ${two.user} are typing…`;
  return `${people.length} people are typing…`;
}

/** An avatar in words. @param {{user: string, attributes: Record<string, unknown>, away?: boolean}} member @param {boolean} ours */
export function watcherWords({ user, attributes, away }, ours) {
  const mood = moodOf(attributes);
  const notes = [ours && 'you', mood, attributes.typing && 'typing', away && 'in another tab'].filter(Boolean);
  return notes.length ? `${user} (${notes.join(', ')})` : user;
}

/** The mood among attributes, however it was typed; empty if there is none. @param {Record<string, unknown> | undefined} attributes */
export function moodOf(attributes) {
  if (!attributes || !Object.hasOwn(attributes, 'mood')) return '';
  const { mood } = attributes;
  return typeof mood === 'string' ? mood : JSON.stringify(mood);
}

const clock = new Intl.DateTimeFormat([], { timeStyle: 'medium', hourCycle: 'h23' });

/** @param {number} ms milliseconds since 1970 */
export function clockTime(ms) {
  return clock.format(ms);
}

/**
 * What happened, to follow a name; null if it is nothing to tell. `tone` colours it.
 * @param {PresenceEvent} event
 * @returns {{text: string, tone: 'came' | 'went' | 'lost' | 'changed'} | null}
 */
export function eventWords(event) {
  switch (event.event) {
    case 'join':
      return { text: 'joined', tone: 'came' };
    case 'leave':
      return { text: LEAVES[event.reason ?? ''] ?? 'left', tone: 'went' };
    case 'timeout':
      return { text: `timed out: ${timeoutWords(event)}`, tone: 'lost' };
    case 'updateAttributes': {
      const text = updateWords(event);
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

/** @param {PresenceEvent} event */
function timeoutWords({ reason, at, lastSeen }) {
  if (reason === 'connection') return 'connection lost';
  if (reason !== 'heartbeat') return 'no longer heard from';
  const seconds = Math.round(((at ?? 0) - (lastSeen ?? 0)) / 1000);
  return seconds > 0 ? `not heard for ${seconds} s` : 'not heard any more';
}

/** @param {PresenceEvent} event */
function updateWords({ before, attributes, reason }) {
  const [was, is] = [moodOf(before?.attributes), moodOf(attributes)];
  if (was === is) return '';
  if (is) return `is now ${is}`;
  return reason === 'expired' ? 'has a mood that wore off' : 'cleared the mood';
}

/**
 * The connection in words: how it is, and why if it is not well.
 * @param {State} state
 * @param {boolean} before whether there was a connection before
 * @returns {{title: string, detail: string}}
 */
export function connectionWords(state, before) {
  switch (state.phase) {
    case 'connecting':
      return { title: 'Connecting…', detail: '' };
    case 'open':
      return { title: 'Connected', detail: '' };
    case 'waiting':
      return { title: before ? 'Connection lost' : 'Not connected', detail: LOSSES[state.error?.closeCode ?? 0] ?? state.error?.message ?? 'this page was left' };
    default:
      return {
        title: REFUSALS.includes(state.error.code) ? 'Refused' : 'Disconnected',
        // Then a card below has the broker's own words, and takes a token.
        detail: state.error.field === 'token' ? 'this broker wants a signed token' : ENDINGS[state.error.code] ?? state.error.message,
      };
  }
}

/** Then it is about who we are. */
const REFUSALS = ['unauthenticated', 'token_expired', 'token_failed', 'forbidden'];

/** By the error's code. @type {Record<string, string>} */
const ENDINGS = {
  kicked: 'an operator removed you',
  violation: 'the broker found this page unruly',
  unsupported_protocol: 'page and broker are of different versions: reload',
};

/** By the Close code. @type {Record<number, string>} */
const LOSSES = {
  1011: 'the broker failed',
  1012: 'the broker is restarting',
  4100: 'this connection was too slow',
  4101: 'this page did not answer in time',
  4102: 'the token has expired',
};

/**
 * Whether you are in.
 * @param {'out' | 'joining' | 'in'} joined
 * @param {boolean} connected
 * @param {boolean} wanted whether you mean to be
 */
export function membershipWords(joined, connected, wanted) {
  if (!wanted) return 'You are watching without being counted. Join to be seen, to react and to type.';
  if (joined === 'in') return 'You are in, until you leave or close this tab.';
  return connected ? 'Joining…' : 'You will be in once connected.';
}

/** What stands on the stage. @param {'out' | 'joining' | 'in'} joined @param {boolean} wanted */
export function captionWords(joined, wanted) {
  if (!wanted) return 'You are watching. Join, and everyone here sees you arrive.';
  return joined === 'in' ? 'You are one of them. Open a second tab, and see yourself arrive.' : 'Who watches this together, at this very moment?';
}

/** In place of faces, where there are none. @param {{level: 'events' | 'count' | null, count: number}} room @param {boolean} connected */
export function nobodyWords({ level, count }, connected) {
  if (level !== null) return count ? '' : 'Nobody is here now.';
  return connected ? '' : 'Not known without a connection.';
}

/** A change of level, as a line of activity. @param {'events' | 'count'} level */
export function levelNote(level) {
  return level === 'count' ? 'Too many to name: only counted from here on' : 'Few enough to name: told one by one again';
}

/** A refusal, as a sentence. @param {{message: string, retryAfterMs?: number}} problem */
export function problemWords({ message, retryAfterMs }) {
  const sentence = message.charAt(0).toUpperCase() + message.slice(1);
  const wait = retryAfterMs ? ` (try again in ${Math.ceil(retryAfterMs / 1000)} s)` : '';
  return `${sentence}${wait}.`.replace(/([.!?…])\.$/, '$1');
}

/**
 * What the level in force means.
 * @param {'events' | 'count' | null} level
 * @param {number} roster up to so many members everyone is told by name
 */
export function levelWords(level, roster) {
  if (level === 'events') return `told one by one, up to ${roster.toLocaleString('en')}`;
  return level === 'count' ? 'only counted: too many to name' : '';
}

/**
 * What is different at the level in force, and when it changes.
 * @param {'events' | 'count' | null} level
 * @param {number} roster
 */
export function levelChangeWords(level, roster) {
  const many = roster.toLocaleString('en');
  if (level === 'events') return `Beyond ${many} the list becomes a number: then a crowd costs each viewer next to nothing.`;
  if (level !== 'count') return '';
  return `There are more than ${many}, so frames tell the number and the newest faces, and no longer each coming, going, mood and reaction. When enough have gone, everyone is told by name again.`;
}

/**
 * What batching saves.
 * @param {{frames: number, events: number}} last of the last ten seconds
 */
export function batchingWords({ frames, events }) {
  if (events === 0) return frames ? `${frames} count frames in ten seconds, whatever the crowd does.` : '';
  const each = events / frames;
  return `${events} events in ${frames} frames over ten seconds: ${each < 1.05 ? 'one' : each.toFixed(1)} a frame.`;
}

/** A name for the guinea pig, so that two pages do not share one. @param {() => number} [random] */
export function pigName(random = Math.random) {
  return `pip-${Math.floor(random() * 36 ** 3).toString(36).padStart(3, '0')}`;
}

/**
 * What others make of a guinea pig that has just gone silent.
 * @param {'offline' | 'long' | 'slow' | 'crash' | 'freeze'} what
 * @param {boolean} counted whether they are told but the number
 */
export function silenceWords(what, counted) {
  if (counted) return 'Others are told the number alone: one more or less is all that they would see';
  if (what === 'freeze') return 'Others see nothing yet: its connection is fine';
  return 'Others see nothing yet: ten seconds of grace';
}

/**
 * A channel or a user as a word of the shorthand: quoted if it has to be.
 * @param {string} name
 */
export function shorthandName(name) {
  return /^[^\s"\\]+$/u.test(name) ? name : JSON.stringify(name);
}

/** As one word of a shell. @param {string} text */
export function shellWord(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * What to take along: the code for what is on screen, and the same by hand.
 * @param {{origin: string, user: string, channel: string, mood: string, guarded?: boolean}} scene `guarded`: the
 *   broker wants tokens. Ours is a secret, and nothing to be pasted elsewhere by mistake.
 * @returns {{title: string, text: string}[]}
 */
export function recipes({ origin, user, channel, mood, guarded = false }) {
  const [socket, room] = [`${origin.replace(/^http/, 'ws')}/ws`, JSON.stringify(channel)];
  const who = guarded ? 'token: "TOKEN"' : `user: ${JSON.stringify(user)}`;
  const asked = guarded ? 'token=TOKEN' : `user=${encodeURIComponent(user)}`;
  const key = guarded ? " -H 'Authorization: Bearer KEY'" : '';
  const attributes = mood ? ` mood: ${JSON.stringify(mood)} ` : '';
  const path = `${origin}/v1/channels/${encodeURIComponent(channel)}`;
  return [
    { title: 'A page', text: `<ul id="who"></ul>
<script type="module">
  import { connect } from "${origin}/client/herenow.js";
  const here = connect("${socket}", { ${who} });
  const room = here.channel(${room});
  room.on("change", () => {
    document.querySelector("#who").replaceChildren(...room.members.map(({ user }) =>
      Object.assign(document.createElement("li"), { textContent: user })));
  });
  await room.subscribe();
  await room.join({${attributes}});
</script>` },
    { title: 'By hand', text: `npx wscat -c ${shellWord(`${socket}?${asked}`)}
> sub ${shorthandName(channel)}
> join ${shorthandName(channel)}${mood ? ` mood=${shorthandName(mood)}` : ''}` },
    { title: 'From a back end', text: `curl${key} ${shellWord(`${path}/count`)}
curl${key} ${shellWord(`${path}/members`)}
curl -X PUT${key} ${shellWord(`${path}/members/bob`)} --json '{"attributes":{"mood":"calm"}}'` },
  ];
}
