/**
 * The page: puts the wire and the views together, and remembers who and where you are.
 *
 * Views know the document, the wire knows the broker, and only this file knows both.
 */

import { byId, make, setText } from './dom.js';
import { ConnectionView } from './view-connection.js';
import { FeedView } from './view-feed.js';
import { LogInput, LogView } from './view-log.js';
import { MembersView } from './view-members.js';
import { YouView } from './view-you.js';
import { Wire } from './wire.js';
import { clockTime, problemWords, randomName } from './words.js';

/** @typedef {import('./wire.js').Problem} Problem */
/** @typedef {import('./wire.js').LinkState} LinkState */

const DEFAULT_CHANNEL = 'lobby';
/** Kept for the tab, so that a reload keeps the name and a second tab is somebody else. */
const NAME_KEY = 'herenow.name';

/** Where a refusal is shown: next to what it is about. @type {Record<Problem['about'], string>} */
const PROBLEM_PLACES = {
  identity: 'name-problem',
  subscribe: 'channel-problem',
  setAttributes: 'mood-problem',
  join: 'join-problem',
  leave: 'join-problem',
  typed: 'typed-problem',
};

const wire = new Wire({
  connection: onConnection,
  membership: showMembership,
  room: onRoom,
  watching: (watching) => {
    unwatched = !watching;
    showStaleness();
  },
  problem: (problem) => showProblem(problem.about, problemWords(problem)),
  raw: (direction, text) => log.add(direction, text),
});

const log = new LogView();
const feed = new FeedView();
const members = new MembersView(wire);
const connection = new ConnectionView(() => wire.retryNow());
const you = new YouView({ identify, join, leave, mood: setMood });
const typed = new LogInput(sendTyped);

let name = rememberedName();
let channel = '';
let connected = false;
/** When the connection was lost, if it is. @type {number | null} */
let lostAt = null;
/** Whether a person typed `unsub`. */
let unwatched = false;

// ---- start ----

byId('copy-link').addEventListener('click', copyLink);
byId('watch-again').addEventListener('click', () => wire.watchAgain());
addEventListener('hashchange', () => identify(name, channelInAddress()));
showChannel(channelInAddress());
connect();

// ---- who and where ----

/** @param {string} newName @param {string} newChannel empty means: choose one for me */
function identify(newName, newChannel) {
  newName ||= randomName();
  newChannel ||= DEFAULT_CHANNEL;
  if (newName !== name) {
    name = newName;
    rememberName(name);
    connect();
  }
  if (newChannel !== channel) showChannel(newChannel);
  you.showIdentity(name, channel);
}

function connect() {
  clearProblems();
  const url = new URL('ws', document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  url.searchParams.set('user', name);
  wire.connect(url.href);
}

/** @param {string} newChannel */
function showChannel(newChannel) {
  channel = newChannel;
  clearProblems();
  feed.clear();
  wire.watch(channel);
  if (channelInAddress() !== channel) history.replaceState(null, '', link());
  /** @type {HTMLAnchorElement} */ (byId('another-tab')).href = link();
  setText(byId('channel-title'), channel);
  you.showIdentity(name, channel);
  showSuggestions();
  members.refresh();
}

function channelInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim() || DEFAULT_CHANNEL;
  } catch {
    return DEFAULT_CHANNEL; // a stray % in a link typed by hand
  }
}

function link() {
  const url = new URL(location.href);
  url.hash = encodeURIComponent(channel);
  return url.href;
}

async function copyLink() {
  const button = byId('copy-link');
  try {
    await navigator.clipboard.writeText(link());
    setText(button, 'Copied');
  } catch {
    setText(button, 'Copy the address bar'); // no clipboard without https
  }
  setTimeout(() => setText(button, 'Copy link'), 2000);
}

function rememberedName() {
  try {
    const known = sessionStorage.getItem(NAME_KEY);
    if (known) return known;
  } catch {
    // storage may be forbidden; a name for this visit will do
  }
  const chosen = randomName();
  rememberName(chosen);
  return chosen;
}

/** @param {string} chosen */
function rememberName(chosen) {
  try {
    sessionStorage.setItem(NAME_KEY, chosen);
  } catch {
    // as above
  }
}

// ---- what you do ----

function join() {
  clearProblems();
  wire.join(you.mood ? { mood: you.mood } : {});
}

function leave() {
  clearProblems();
  wire.leave();
}

/** @param {string} mood */
function setMood(mood) {
  showProblem('setAttributes', '');
  wire.setAttributes({ mood: mood || null });
}

/** @param {string} text */
function sendTyped(text) {
  const sent = wire.sendTyped(text);
  showProblem('typed', sent ? '' : 'Not connected: nothing was sent.');
  return sent;
}

// ---- what the wire tells ----

/** @param {LinkState} state */
function onConnection(state) {
  const wasConnected = connected;
  connected = state.phase === 'open';
  // From open straight to connecting is our own doing: another name, another connection.
  if (wasConnected && !connected && state.phase !== 'connecting') {
    lostAt = Date.now();
    feed.note('Connection lost');
  }
  if (connected && lostAt !== null) feed.note('Connected again');
  if (connected) {
    lostAt = null;
    showProblem('identity', '');
  }
  connection.show(state);
  showMembership();
  showStaleness();
  members.refresh();
}

/** @param {Extract<import('./wire.js').Outcome, {changes: any}>} outcome */
function onRoom(outcome) {
  members.changed(outcome);
  feed.changed(outcome);
  const ours = wire.membership === 'in' && wire.room?.members.get(wire.user);
  if (ours) you.showAttributes(ours.attributes);
  document.title = `(${wire.room?.count}) ${channel} · herenow`;
}

function showMembership() {
  you.showMembership(wire.membership, connected);
}

function showStaleness() {
  const known = wire.room?.known ?? false;
  const lost = lostAt !== null && known;
  const stale = byId('stale');
  stale.hidden = !lost && !unwatched;
  byId('watch-again').hidden = lost;
  setText(byId('stale-words'), lost
    ? `As it was at ${clockTime(lostAt ?? 0)}, when the connection was lost.`
    : 'Not kept up to date: you unsubscribed by hand.');
  byId('members').classList.toggle('stale', !stale.hidden);
}

// ---- problems ----

/** @param {Problem['about']} about @param {string} words */
function showProblem(about, words) {
  setText(byId(PROBLEM_PLACES[about]), words);
}

function clearProblems() {
  for (const id of Object.values(PROBLEM_PLACES)) setText(byId(id), '');
}

// ---- what one could type ----

function showSuggestions() {
  const room = /^[^\s"\\]+$/u.test(channel) ? channel : JSON.stringify(channel);
  const lines = [`who ${room}`, `set ${room} mood=great`, `where`, 'help'];
  const buttons = lines.map((line) => {
    const button = make('button', 'suggestion', line);
    button.setAttribute('type', 'button');
    button.addEventListener('click', () => typed.suggest(line));
    return button;
  });
  byId('suggestions').replaceChildren(...buttons);
  byId('typed').setAttribute('placeholder', lines[0]);
}
