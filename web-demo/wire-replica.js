/**
 * A channel as one subscriber knows it: a pure fold over the broker's frames.
 *
 * No socket, no clock, no DOM. Frames go in, members and count come out, and every frame says what
 * it changed, so that a view never has to guess.
 */

/**
 * @typedef {object} Member
 * @property {string} user
 * @property {Record<string, unknown>} attributes
 * @property {number | null} joinedAt milliseconds since 1970, by the broker's clock; null if not told
 */

/**
 * What happened to one member. `before` is absent for somebody who came, `after` for somebody who
 * went.
 * @typedef {object} Change
 * @property {'join' | 'leave' | 'timeout' | 'updateAttributes'} event
 * @property {string} user
 * @property {Member} [before]
 * @property {Member} [after]
 * @property {string} [reason] the event's own reason
 * @property {number} [lastSeen] of a timeout
 * @property {number} [at]
 */

/**
 * What a frame did.
 * - `ignored`: not for this channel, or nothing to hold it against yet
 * - `pending`: a part of a snapshot that is not complete
 * - `snapshot`: the state was replaced; `changes` are the differences to what was known before,
 *   found by comparing (nobody told them), and empty for the `first` one or the first after a count
 * - `presence`: the broker told these changes
 * - `count`: the channel is told by its number and its newest members alone; `changes` is empty
 * - `gap`: a frame is missing; the state is old until the next snapshot. Told once.
 * @typedef {{kind: 'ignored' | 'pending' | 'gap'}
 *   | {kind: 'snapshot', first: boolean, changes: Change[]}
 *   | {kind: 'presence' | 'count', changes: Change[]}} Outcome
 */

const IGNORED = Object.freeze({ kind: /** @type {const} */ ('ignored') });
const PENDING = Object.freeze({ kind: /** @type {const} */ ('pending') });
const GAP = Object.freeze({ kind: /** @type {const} */ ('gap') });

export class Replica {
  /** @type {string | null} null until the first snapshot is complete, and after a count */
  epoch = null;
  seq = 0;
  count = 0;
  /**
   * Oldest first, because a Map appends. Keyed by a Map and not by an object, because users choose
   * their names and `__proto__` is one.
   * @type {Map<string, Member>}
   */
  members = new Map();
  /**
   * Of a channel that is only counted: the newest members, by name alone. Null while `members` is
   * the whole list.
   * @type {Member[] | null}
   */
  recent = null;

  /** @type {{epoch: string, seq: number, newestFirst: Member[]} | null} */
  #parts = null;
  #lost = false;

  /** @param {string} channel */
  constructor(channel) {
    this.channel = channel;
  }

  /** Whether the broker has ever told who is here, or how many. */
  get known() {
    return this.epoch !== null || this.recent !== null;
  }

  /** Where to resume, or null if only a snapshot will do. */
  get since() {
    return this.epoch === null || this.#lost ? null : { epoch: this.epoch, seq: this.seq };
  }

  /** @param {number} [limit] @returns {Member[]} */
  newestFirst(limit = Infinity) {
    if (this.recent !== null) return this.recent.slice(0, limit);
    return [...this.members.values()].slice(-limit).reverse();
  }

  /** The connection is gone: what was only half told will never be finished. */
  interrupted() {
    this.#parts = null;
  }

  /** @param {any} frame @returns {Outcome} */
  apply(frame) {
    if (frame.channel !== this.channel) return IGNORED;
    if (frame.type === 'snapshot') return this.#snapshot(frame);
    if (frame.type === 'presence') return this.#presence(frame);
    if (frame.type === 'count') return this.#counted(frame);
    return IGNORED; // also `level`: what comes behind it says as much
  }

  /**
   * What was known of the members goes stale from here on, so it is forgotten, and there is nothing
   * to resume from.
   * @param {any} frame @returns {Outcome}
   */
  #counted({ count, recent = [] }) {
    this.epoch = null;
    this.#parts = null;
    this.members = new Map();
    this.count = count;
    this.recent = recent.map(({ user }) => ({ user, attributes: {}, joinedAt: null }));
    return { kind: 'count', changes: [] };
  }

  /** @param {any} frame @returns {Outcome} */
  #snapshot(frame) {
    const parts = this.#parts;
    const continues = parts !== null && parts.epoch === frame.epoch && parts.seq === frame.seq;
    const newestFirst = continues ? [...parts.newestFirst, ...frame.members] : frame.members;
    if (frame.more) {
      this.#parts = { epoch: frame.epoch, seq: frame.seq, newestFirst };
      return PENDING;
    }
    const first = this.epoch === null;
    const before = this.members;
    this.members = new Map();
    for (const member of [...newestFirst].reverse()) this.members.set(member.user, member);
    this.epoch = frame.epoch;
    this.seq = frame.seq;
    this.count = frame.count;
    this.recent = null;
    this.#parts = null;
    this.#lost = false;
    return { kind: 'snapshot', first, changes: first ? [] : differences(before, this.members) };
  }

  /** @param {any} frame @returns {Outcome} */
  #presence(frame) {
    if (this.epoch === null || this.#lost) return IGNORED;
    // A frame about members that not everybody may see repeats the seq instead of advancing it.
    if (frame.seq !== this.seq + 1 && frame.seq !== this.seq) {
      this.#lost = true;
      return GAP;
    }
    const changes = [];
    for (const event of frame.events) {
      const change = this.#event(event);
      if (change) changes.push(change);
    }
    this.seq = frame.seq;
    this.count = frame.count;
    return { kind: 'presence', changes };
  }

  /** @param {any} event @returns {Change | null} */
  #event({ event, user, attributes, at, reason, lastSeen }) {
    const before = this.members.get(user);
    switch (event) {
      case 'join': {
        const after = { user, attributes, joinedAt: at };
        this.members.delete(user); // a newcomer goes to the end, even if known
        this.members.set(user, after);
        return { event, user, before, after, at };
      }
      case 'updateAttributes': {
        if (!before) return null;
        const after = { ...before, attributes };
        this.members.set(user, after);
        return { event, user, before, after, reason, at };
      }
      case 'leave':
      case 'timeout':
        if (!this.members.delete(user)) return null;
        return { event, user, before, reason, lastSeen, at };
      default:
        return null; // a newer broker's event: the next snapshot will tell
    }
  }
}

/**
 * @param {Map<string, Member>} before
 * @param {Map<string, Member>} after
 * @returns {Change[]}
 */
function differences(before, after) {
  /** @type {Change[]} */
  const changes = [];
  for (const member of before.values()) {
    if (!after.has(member.user)) changes.push({ event: 'leave', user: member.user, before: member });
  }
  for (const member of after.values()) {
    const old = before.get(member.user);
    if (!old) {
      changes.push({ event: 'join', user: member.user, after: member });
    } else if (JSON.stringify(old.attributes) !== JSON.stringify(member.attributes)) {
      changes.push({ event: 'updateAttributes', user: member.user, before: old, after: member });
    }
  }
  return changes;
}
