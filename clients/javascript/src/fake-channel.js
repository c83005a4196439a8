/**
 * One channel of the broker in memory: its members, what keeps them there, and what its subscribers are
 * told at a tick. It knows no socket: who is told is handed in as a function.
 */

/** @typedef {Record<string, any>} Attributes */

/**
 * @typedef {object} FakeMember never changed, only replaced
 * @property {string} user
 * @property {object} [info]
 * @property {Attributes} attributes
 * @property {number} joinedAt
 * @property {boolean} [away] there when true
 * @property {string[] | null} visibleTo the roles that may see it; null: everyone
 * @property {number} place grows with each that joins, or counts as joined anew
 *
 * @typedef {object} Source what keeps a member present: a connection, or the test
 * @property {number} graceMs
 * @property {boolean} away
 * @property {ReturnType<typeof setTimeout>} [grace] it is lost, and this is its end
 *
 * @typedef {{user: string, roles: Set<string>}} Viewer
 * @typedef {{event: 'leave' | 'timeout' | 'updateAttributes', reason?: string, lastSeen?: number}} Why
 * @typedef {{asked: string, level: string | null, recent?: number, recentAttributes?: boolean, viewer: Viewer}} Subscription
 * @typedef {(frame: object) => void} Tell
 */

/** So many frames are kept for those who come back. */
const LOG = 256;
/** So many of the newest members come with a count at `auto`, if nobody says how many. */
const RECENT = 200;
const GONE = /** @type {Why} */ ({ event: 'leave', reason: 'left' });

export class FakeChannel {
  epoch = Math.random().toString(36).slice(2, 10);
  seq = 0;
  /** Oldest first. @type {Map<string, FakeMember>} */
  members = new Map();
  /** @type {Map<string, Map<object, Source>>} */
  #sources = new Map();
  /** By user: who it was at the last tick, and what became of it. @type {Map<string, {before?: FakeMember, why: Why}>} */
  #touched = new Map();
  /** @type {Map<Tell, Subscription>} */
  #subscriptions = new Map();
  /** By user and key: when the key vanishes. @type {Map<string, Map<string, ReturnType<typeof setTimeout>>>} */
  #vanishing = new Map();
  /** @type {{seq: number}[]} */
  #log = [];
  #places = 0;
  #roster;
  #touch;

  /**
   * @param {string} name
   * @param {number} roster members above which `auto` tells the count
   * @param {(user: string) => void} touch asks for a tick
   */
  constructor(name, roster, touch) {
    this.name = name;
    this.#roster = roster;
    this.#touch = touch;
  }

  /** Members visible to all. */
  get count() {
    return [...this.members.values()].filter(({ visibleTo }) => !visibleTo).length;
  }

  /** Whether this user has a source here, one in grace included. @param {string} user */
  has(user) {
    return this.members.has(user);
  }

  /** @param {object} key of the source @param {string} user */
  joined(key, user) {
    return this.#sources.get(user)?.has(key) ?? false;
  }

  /**
   * @param {object} key of the source
   * @param {{user: string, info?: object}} who
   * @param {{attributes?: Attributes, merge?: boolean, graceMs?: number, visibleTo?: string[], away?: boolean}} wish
   */
  join(key, { user, info }, { attributes, merge = false, graceMs = 0, visibleTo, away }) {
    const before = this.members.get(user);
    const sources = this.#sources.get(user) ?? new Map();
    this.#sources.set(user, sources);
    const living = [...sources.values()].some(({ grace }) => !grace);
    const held = sources.get(key);
    for (const [other, { grace }] of sources) {
      clearTimeout(grace);
      if (grace) sources.delete(other);
    }
    sources.set(key, { graceMs, away: away ?? held?.away ?? false });
    const kept = before && (living || merge) ? before : undefined;
    if (attributes) this.#forgetTimes(user, merge ? Object.keys(attributes) : undefined);
    const mayBeSeenBy = visibleTo ? audience(visibleTo) : living && before ? before.visibleTo : null;
    // Whoever comes to be seen by more counts as joined at that moment.
    const anew = before?.visibleTo && !mayBeSeenBy?.every((role) => before.visibleTo?.includes(role));
    if (anew) this.members.delete(user);
    this.#put(user, {
      user,
      info: info ?? before?.info,
      attributes: merge ? merged(kept?.attributes, attributes) : merged({}, attributes ?? kept?.attributes),
      joinedAt: before && !anew ? before.joinedAt : Date.now(),
      visibleTo: mayBeSeenBy,
      place: before && !anew ? before.place : ++this.#places,
    }, before);
  }

  /** @param {object} key @param {string} user @param {string} [reason] */
  leave(key, user, reason = 'left') {
    if (this.joined(key, user)) this.#end(key, user, { event: 'leave', reason });
  }

  /** The connection is lost: its grace begins. @param {object} key @param {string} user */
  lose(key, user) {
    const source = this.#sources.get(user)?.get(key);
    if (!source) return;
    const why = /** @type {Why} */ ({ event: 'timeout', reason: 'connection', lastSeen: Date.now() });
    if (!source.graceMs) return this.#end(key, user, why);
    source.grace = timer(source.graceMs, () => this.#end(key, user, why));
  }

  /** The member is gone, whatever kept it. @param {string} user @param {Why} why */
  remove(user, why) {
    for (const { grace } of this.#sources.get(user)?.values() ?? []) clearTimeout(grace);
    this.#sources.delete(user);
    this.#put(user, undefined, undefined, why);
  }

  /** @param {string} user @param {Attributes} patch @param {{merge?: boolean, ttlMs?: number}} [how] */
  set(user, patch, { merge = false, ttlMs } = {}) {
    const before = /** @type {FakeMember} */ (this.members.get(user));
    this.#forgetTimes(user, merge ? Object.keys(patch) : undefined);
    this.#put(user, { ...before, attributes: merged(merge ? before.attributes : {}, patch) });
    if (ttlMs === undefined) return;
    const times = this.#vanishing.get(user) ?? new Map();
    this.#vanishing.set(user, times);
    for (const key of Object.keys(patch)) times.set(key, timer(ttlMs, () => this.#vanish(user, key)));
  }

  /** @param {object} key @param {string} user @param {boolean} away */
  away(key, user, away) {
    const source = this.#sources.get(user)?.get(key);
    if (!source) return;
    source.away = away;
    this.#put(user, /** @type {FakeMember} */ (this.members.get(user)));
  }

  /**
   * @param {Tell} tell
   * @param {Viewer} viewer
   * @param {{level?: string, since?: {epoch: string, seq: number}, recent?: number, recentAttributes?: boolean}} wish
   * @returns {{answer: object, begin: () => void}} what to answer, and what begins behind it
   */
  subscribe(tell, viewer, { level: asked = 'auto', since, recent, recentAttributes }) {
    const before = this.#subscriptions.get(tell);
    /** @type {Subscription} */
    const subscription = { asked, level: null, recent, recentAttributes, viewer };
    const level = this.#levelOf(subscription);
    this.#subscriptions.set(tell, subscription);
    const missed = level === 'events' && since?.epoch === this.epoch ? this.#since(since.seq) : undefined;
    return {
      answer: { level, resumed: Boolean(missed) },
      begin: () => {
        subscription.level = level;
        if (before?.level && before.level !== level) tell({ type: 'level', channel: this.name, level, reason: 'asked' });
        if (missed) for (const frame of missed) tell(frame);
        else this.#state(tell, subscription, 'subscribed');
      },
    };
  }

  /** @param {Tell} tell */
  unsubscribe(tell) {
    this.#subscriptions.delete(tell);
  }

  /** Newest first. @param {Viewer} viewer */
  list(viewer) {
    return [...this.members.values()].filter((member) => sees(viewer, member)).map(told).reverse();
  }

  /** @param {Viewer} viewer @param {string} user */
  find(viewer, user) {
    const member = this.members.get(user);
    return member && sees(viewer, member) ? told(member) : undefined;
  }

  /** Tells what changed since the last tick; changes of one user fold into their net effect. */
  tick() {
    const touched = [...this.#touched];
    this.#touched.clear();
    const everyone = { user: '', roles: new Set() };
    const open = this.#events(touched, everyone);
    if (open.length) this.seq += 1;
    const frame = (/** @type {object[]} */ events) => (
      { type: 'presence', channel: this.name, seq: this.seq, count: this.count, events }
    );
    if (open.length) this.#log = [...this.#log, frame(open)].slice(-LOG);
    const moved = open.some(({ event }) => event !== 'updateAttributes');
    // What one of the newest shows is new to whoever is shown it.
    const newest = this.#newest(RECENT);
    const shown = touched.some(([user, { before }]) => newest.some((now) => (
      now.user === user && before && !(same(before.attributes, now.attributes) && same(before.info, now.info))
    )));
    for (const [tell, subscription] of [...this.#subscriptions]) {
      const { level, viewer } = subscription;
      const now = this.#levelOf(subscription);
      if (level === null) continue; // it begins with what is true by now
      if (now !== level) {
        subscription.level = now;
        tell({ type: 'level', channel: this.name, level: now, reason: 'size' });
        this.#state(tell, subscription, 'level');
      } else if (level === 'count') {
        if (moved || (subscription.recentAttributes && shown)) this.#state(tell, subscription, '');
      } else {
        const events = this.#events(touched, viewer);
        if (events.length || open.length) tell(frame(events));
      }
    }
  }

  /** @param {object} key @param {string} user @param {Why} why */
  #end(key, user, why) {
    const sources = /** @type {Map<object, Source>} */ (this.#sources.get(user));
    clearTimeout(sources.get(key)?.grace);
    sources.delete(key);
    if (sources.size) this.#put(user, /** @type {FakeMember} */ (this.members.get(user)));
    else this.remove(user, why);
  }

  /** @param {string} user @param {FakeMember | undefined} after @param {FakeMember} [before] @param {Why} [why] */
  #put(user, after, before = this.members.get(user), why = { event: 'updateAttributes' }) {
    const first = this.#touched.get(user);
    this.#touched.set(user, { before: first ? first.before : before, why });
    if (after) {
      const sources = [...this.#sources.get(user)?.values() ?? []];
      const { away: _, ...rest } = after;
      const isAway = sources.length > 0 && sources.every(({ away }) => away);
      this.members.set(user, isAway ? { ...rest, away: true } : rest);
    } else {
      this.members.delete(user);
      this.#forgetTimes(user);
    }
    this.#touch(user);
  }

  /** @param {string} user @param {string} key */
  #vanish(user, key) {
    this.#vanishing.get(user)?.delete(key);
    const member = /** @type {FakeMember} */ (this.members.get(user));
    this.#put(user, { ...member, attributes: merged(member.attributes, { [key]: null }) }, member, { event: 'updateAttributes', reason: 'expired' });
  }

  /** @param {string} user @param {string[]} [keys] all if absent */
  #forgetTimes(user, keys) {
    const times = this.#vanishing.get(user) ?? new Map();
    for (const key of keys ?? [...times.keys()]) {
      clearTimeout(times.get(key));
      times.delete(key);
    }
  }

  /** @param {[string, {before?: FakeMember, why: Why}][]} touched @param {Viewer} viewer */
  #events(touched, viewer) {
    return touched.flatMap(([user, { before, why }]) => {
      const after = this.members.get(user);
      const lens = (/** @type {FakeMember | undefined} */ member) => (member && sees(viewer, member) ? member : undefined);
      return difference(lens(before), lens(after), why);
    });
  }

  /** @param {number} seq @returns {object[] | undefined} undefined if not all are kept */
  #since(seq) {
    const missed = this.#log.filter((frame) => frame.seq > seq);
    return missed.length === this.seq - seq ? missed : undefined;
  }

  /** @param {Subscription} subscription */
  #levelOf({ asked, level }) {
    if (asked !== 'auto') return asked;
    // Back again only at four fifths, so that a channel at the limit does not go to and fro.
    const limit = level === 'count' ? this.#roster * 0.8 : this.#roster;
    return this.count > limit ? 'count' : 'events';
  }

  /** Those visible to all, newest first. @param {number} most */
  #newest(most) {
    return [...this.members.values()].filter(({ visibleTo }) => !visibleTo).reverse().slice(0, most);
  }

  /** @param {Tell} tell @param {Subscription} subscription @param {string} reason of a snapshot */
  #state(tell, { level, asked, recent, recentAttributes, viewer }, reason) {
    const { name: channel, seq, count, epoch } = this;
    if (level === 'events') {
      return tell({ type: 'snapshot', channel, epoch, seq, count, members: this.list(viewer), reason });
    }
    const most = recent ?? (asked === 'auto' ? RECENT : 0);
    const named = this.#newest(most).map(({ user, info, attributes }) => ({ user, info, attributes: recentAttributes ? attributes : undefined }));
    tell({ type: 'count', channel, seq, count, recent: most ? named : undefined });
  }
}

/** @param {FakeMember | undefined} before @param {FakeMember | undefined} after @param {Why} why @returns {any[]} */
function difference(before, after, why) {
  const at = Date.now();
  if (!before) return after ? [joined(after)] : [];
  const { user, away = false } = before;
  if (!after) return [{ user, ...(why.event === 'updateAttributes' ? GONE : why), at }];
  const info = same(before.info, after.info) ? undefined : after.info ?? {};
  const isAway = Boolean(after.away) === away ? undefined : Boolean(after.away);
  const joinedAt = before.visibleTo && before.place !== after.place ? after.joinedAt : undefined;
  if (!info && isAway === undefined && joinedAt === undefined && same(before.attributes, after.attributes)) return [];
  const reason = why.event === 'updateAttributes' ? why.reason : undefined;
  return [{ event: 'updateAttributes', user, attributes: after.attributes, info, away: isAway, joinedAt, at, reason }];
}

/** @param {FakeMember} member */
function joined(member) {
  const { joinedAt: at, ...rest } = told(member);
  return { event: 'join', ...rest, at };
}

/** What viewers are told of it. @param {FakeMember} member */
function told({ visibleTo: _, place: __, ...member }) {
  return member;
}

/** @param {Viewer} viewer @param {FakeMember} member */
function sees({ user, roles }, member) {
  return !member.visibleTo || user === member.user || member.visibleTo.some((role) => roles.has(role) || role === `user:${user}`);
}

/** @param {string[]} visibleTo */
function audience(visibleTo) {
  return visibleTo.includes('any') || visibleTo.includes('users') ? null : visibleTo;
}

/** With its keys in order, as the broker tells them. @param {Attributes | undefined} attributes @param {Attributes | undefined} patch */
function merged(attributes = {}, patch = {}) {
  const entries = Object.entries({ ...attributes, ...patch }).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** @param {unknown} a @param {unknown} b */
function same(a, b) {
  return JSON.stringify(a ?? {}) === JSON.stringify(b ?? {});
}

/** One that keeps no process alive. @param {number} ms @param {() => void} act */
function timer(ms, act) {
  const timer = /** @type {any} */ (setTimeout(act, ms));
  timer.unref?.();
  return timer;
}
