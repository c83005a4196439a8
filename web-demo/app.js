/**
 * The page: puts the client and the views together, and remembers who and where you are.
 *
 * Views know the document: they show what they are handed, and say what was pressed. The client, the
 * guinea pig and the simulated viewers know the broker. Only this file knows both.
 */

import { connect } from './client/index.js';
import { byId, setText } from './dom.js';
import { GuineaPig } from './guinea-pig.js';
import { BreakView } from './view-break.js';
import { ConnectionView } from './view-connection.js';
import { CopyView, copy } from './view-copy.js';
import { CrowdView } from './view-crowd.js';
import { FeedView } from './view-feed.js';
import { StageView } from './view-stage.js';
import { TYPING_MS, YouView } from './view-you.js';
import { WireInput, WireView } from './view-wire.js';
import { askForViewers, mostViewers } from './viewers.js';
import { captionWords, levelNote, nobodyWords, problemWords, randomName, shorthandName } from './words.js';

/** @typedef {import('./client/index.js').Client} Client */
/** @typedef {import('./client/index.js').Channel} Channel */
/** @typedef {import('./client/index.js').HerenowError} HerenowError */

const DEFAULT_CHANNEL = 'lobby';
/** Kept for the tab, so that a reload keeps the name and a second tab is somebody else. */
const NAME_KEY = 'herenow.name';
/** How long a reaction stays an attribute; it has floated away by then. */
const REACTION_MS = 3_000;

const stage = new StageView();
const feed = new FeedView();
const crowd = new CrowdView({ most: mostViewers, ask: askForViewers });
const pig = new GuineaPig(new BreakView((what) => pig.suffer(what)));
const wire = new WireView();
const copies = new CopyView();
const connection = new ConnectionView(() => here.retry());
const you = new YouView({ identify, join, leave, mood: setMood, react, typing });
const typed = new WireInput(sendTyped);

/** Channels are listened to once, however often we come back. @type {WeakSet<Channel>} */
const watched = new WeakSet();

let name = rememberedName();
/** A token, where the broker wants one. @type {string | undefined} */
let token;
/** Whether we mean to be a member: a visitor is, from the beginning. */
let wanted = true;
let reactions = 0;
/** Whether a join was typed by hand, and has not shown yet. */
let joinTyped = false;
/** Whether the broker has been reached under this name. */
let reached = false;
/** Whether a loss was told and its end was not. */
let lost = false;
/** At which level we were told last. @type {Channel['level']} */
let level = null;
let here = dial();
let room = enter(channelInAddress());

byId('copy-link').addEventListener('click', () => copy(byId('copy-link'), location.href, 'Copy the address bar'));
byId('token-form').addEventListener('submit', useToken);
addEventListener('hashchange', () => identify(name, channelInAddress()));

// ---- who and where ----

/** @param {string} newName @param {string} channel empty means: choose one for me */
function identify(newName, channel) {
  newName ||= randomName();
  channel ||= DEFAULT_CHANNEL;
  if (newName !== name) {
    name = newName;
    rememberName(name);
    reconnect(channel);
  } else if (channel !== room.name) {
    room.leave().catch(ignore);
    room.unsubscribe().catch(ignore);
    room = enter(channel);
  }
  you.showIdentity(name, room.name);
}

/** @param {string} channel */
function reconnect(channel) {
  here.close();
  clearProblems();
  reached = lost = false;
  here = dial();
  room = enter(channel);
}

function dial() {
  const client = connect('ws', token === undefined ? { user: name } : { token });
  client.on('frame', ({ direction, text }) => {
    wire.add(direction, text);
    if (direction === 'in') crowd.hear(text);
    if (direction === 'in' && text.startsWith('{"type":"error"')) showTypedError(text);
  });
  client.on('state', () => client === here && onState());
  return client;
}

/** @param {string} channel */
function enter(channel) {
  const entered = here.channel(channel);
  clearProblems();
  feed.clear();
  stage.clear();
  level = null;
  location.replace(`#${encodeURIComponent(channel)}`);
  /** @type {HTMLAnchorElement} */ (byId('another-tab')).href = location.href;
  setText(byId('channel-title'), channel);
  you.showIdentity(name, channel);
  pig.move('ws', channel);
  const word = shorthandName(channel);
  typed.suggest([`who ${word}`, `set ${word} mood=great`, 'where', 'help']);
  if (!watched.has(entered)) listen(entered);
  // Join first: then we are in the first list already, and do not arrive in front of ourselves.
  if (wanted) join(entered);
  entered.subscribe().catch((error) => showProblem('channel', error));
  queueMicrotask(show);
  return entered;
}

/** @param {Channel} entered */
function listen(entered) {
  watched.add(entered);
  for (const event of /** @type {const} */ (['join', 'leave', 'timeout', 'updateAttributes'])) {
    entered.on(event, (happened) => {
      if (entered !== room) return;
      followByHand(happened);
      feed.happened(happened);
      stage.happened(happened);
      pig.happened(happened);
    });
  }
  entered.on('change', () => entered === room && show());
  entered.on('error', (error) => entered === room && showProblem('join', error));
}

/**
 * A person can leave and join by typing, past the client: then that is what is wanted.
 * @param {import('./client/index.js').PresenceEvent} event
 */
function followByHand({ event, user }) {
  if (user !== here.me) return;
  if (event === 'leave' && room.joined === 'in') leave();
  if (event === 'join' && joinTyped) join();
  joinTyped = false;
}

function channelInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim() || DEFAULT_CHANNEL;
  } catch {
    return DEFAULT_CHANNEL; // a stray % in a link typed by hand
  }
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

/** @param {Event} event */
function useToken(event) {
  event.preventDefault();
  token = /** @type {HTMLInputElement} */ (byId('token')).value.trim() || undefined;
  reconnect(room.name);
}

// ---- what you do ----

function join(entered = room) {
  wanted = true;
  clearProblems();
  entered.join(joinTyped ? undefined : you.mood ? { mood: you.mood } : {}, { whenHidden: 'away' })
    .catch((error) => onRefusedJoin(error));
  queueMicrotask(show);
}

/** @param {HerenowError} error */
function onRefusedJoin(error) {
  // No answer yet is no refusal: the client goes on trying, and the top of the page says so.
  if (['timeout', 'closed', 'superseded'].includes(error.code)) return;
  // Then it is no join that was refused, but who we are.
  if (here.state.phase !== 'open') return;
  wanted = false;
  showProblem('join', error);
  show();
}

function leave() {
  wanted = false;
  clearProblems();
  room.leave().catch(ignore);
  show();
}

/** @param {string} mood */
function setMood(mood) {
  setText(byId('mood-problem'), '');
  setAttributes({ mood: mood || null });
}

/** @param {string} kind */
function react(kind) {
  reactions += 1;
  const reaction = { kind, n: reactions };
  setAttributes({ reaction }, REACTION_MS);
  // In a crowd that is only counted nobody is told of attributes, and we neither.
  if (room.level === 'count') stage.float(name, reaction);
}

/** @param {boolean} isTyping */
function typing(isTyping) {
  if (isTyping) setAttributes({ typing: true }, TYPING_MS);
  else setAttributes({ typing: null });
}

/** @param {Record<string, unknown>} patch @param {number} [ttl] */
function setAttributes(patch, ttl) {
  if (!wanted) return;
  room.setAttributes(patch, { ttl }).catch((error) => showProblem('mood', error));
}

/** @param {string} text */
function sendTyped(text) {
  const sent = here.send(text);
  joinTyped = sent && !wanted && /^\s*(join\s|\{.*"join")/.test(text);
  setText(byId('typed-problem'), sent ? '' : 'Not connected: nothing was sent.');
  return sent;
}

/** The library gives every frame of its own an id: an error without one answers what was typed. @param {string} text */
function showTypedError(text) {
  const { id, ...problem } = JSON.parse(text);
  if (id === undefined && here.state.phase === 'open') setText(byId('typed-problem'), problemWords(problem));
}

// ---- what the client tells ----

function onState() {
  const { state } = here;
  if (state.phase === 'open') {
    if (lost) feed.note('Connected again');
    reached = true;
    lost = false;
    setText(byId('name-problem'), '');
    setText(byId('token-problem'), '');
    byId('token-form').hidden = true;
  } else if (reached && !lost && state.phase !== 'connecting') {
    lost = true;
    feed.note('Connection lost');
  }
  if (state.phase === 'closed' && state.error.code === 'unauthenticated') {
    const ourName = state.error.field === 'user';
    showProblem(ourName ? 'name' : 'token', state.error);
    byId('token-form').hidden = ourName;
  }
  connection.show(state, reached);
  show();
}

function show() {
  const connected = here.state.phase === 'open';
  stage.show(room, here.me);
  crowd.watch(room, here.welcome?.limits.roster ?? 1000);
  const guarded = token !== undefined || !byId('token-form').hidden;
  crowd.show(room, guarded);
  pig.watch(room, guarded);
  you.showMembership(room.joined, connected, wanted);
  setText(byId('caption'), captionWords(room.joined, wanted));
  setText(byId('nobody'), nobodyWords(room, connected));
  if (level && room.level && level !== room.level) feed.note(levelNote(room.level));
  level = room.level;
  const ours = room.joined === 'in' && room.get(here.me);
  if (ours && room.level === 'events') you.showAttributes(ours.attributes);
  const stale = room.level !== null && !room.live;
  byId('stale').hidden = !stale;
  setText(byId('stale'), stale ? 'As it was when the connection was lost.' : '');
  byId('members').classList.toggle('stale', stale);
  document.title = room.level === null ? 'herenow' : `(${room.count}) ${room.name} · herenow`;
  const origin = new URL('.', document.baseURI).href.slice(0, -1);
  copies.show({ origin, user: here.me || name, channel: room.name, mood: you.mood, guarded });
}

// ---- problems ----

/** @param {'name' | 'token' | 'channel' | 'join' | 'mood'} about @param {HerenowError} error */
function showProblem(about, error) {
  if (['timeout', 'closed', 'superseded'].includes(error.code)) return;
  // Without a connection it is not what we asked for that was refused, but who we are.
  if (here.state.phase !== 'open' && ['channel', 'join', 'mood'].includes(about)) return;
  setText(byId(`${about}-problem`), problemWords(error));
}

function clearProblems() {
  for (const about of ['name', 'token', 'channel', 'join', 'mood', 'typed']) setText(byId(`${about}-problem`), '');
}

/** What we leave behind does not matter. */
function ignore() {}
