/**
 * A channel as one subscriber knows it: a fold of pure functions over the broker's frames.
 *
 * No socket, no clock, no DOM, and nothing here changes what it was given. A replica and a frame go
 * in; the next replica comes out, and what truly changed for whoever looks at it.
 */

/** What members carry, and tokens say, where nobody told more: any JSON. @typedef {Record<string, any>} Attributes */

/**
 * @template {object} [A=Attributes] what members carry
 * @template {object} [I=Attributes] what their tokens say of them
 * @typedef {object} Member
 * @property {string} user
 * @property {I} [info] what the user's token says
 * @property {A} attributes
 * @property {boolean} [away] true: away from all its windows and devices; absent: not so
 * @property {number | null} joinedAt milliseconds since 1970, by the broker's clock; null if not told
 */

/**
 * Why: of a `leave` the first three, of a `timeout` the next three, of `updateAttributes` the last. A
 * newer broker may know others.
 * @typedef {'left' | 'closed' | 'kicked' | 'heartbeat' | 'connection' | 'lease' | 'node' | 'expired' | (string & {})} Reason
 */

/**
 * What happened to one member. `before` is absent for somebody who came, `after` for somebody who
 * went.
 * @typedef {object} Change
 * @property {'join' | 'leave' | 'timeout' | 'updateAttributes'} event
 * @property {string} user
 * @property {Member} [before]
 * @property {Member} [after]
 * @property {Reason} [reason] the event's own
 * @property {number} [lastSeen] of a timeout
 * @property {number | null} [at]
 */

/**
 * @typedef {object} Replica
 * @property {string | null} epoch the history that `seq` counts in; null if only a snapshot will do
 * @property {number} seq
 * @property {number} told the broker's count, which is told and never counted
 * @property {'events' | 'count' | null} level the one in force; null until anything is known
 * @property {boolean} live whether presence frames can be applied
 * @property {ReadonlyMap<string, Member>} members oldest first; at level `count` only the newest
 * @property {ReadonlyMap<string, Member>} missing those among them whom the history that ended knew and
 *   the new one does not know yet: after a restart everybody comes back one by one, and nobody has left
 * @property {boolean} [partial] true: the broker's node does not know yet whom other nodes have
 * @property {string} [sight] whom we could see when the last snapshot came, as the broker names it
 * @property {{epoch: string, seq: number, sight?: string, members: Member[]} | null} parts of a snapshot
 *
 * @typedef {{replica: Replica, changes: Change[], gap?: boolean}} Step `gap`: a frame is missing, and
 *   only a snapshot heals it
 */

/** A Map and no object, since users choose their names, and `__proto__` is one. */
const NOBODY = /** @type {ReadonlyMap<string, Member>} */ (new Map());

/** @type {Replica} */
export const NOTHING = {
  epoch: null, seq: 0, told: 0, level: null, live: false, members: NOBODY, missing: NOBODY, parts: null,
};

/** How many are here, those included who are missing for now. @param {Replica} replica */
export function count({ told, missing }) {
  return told + missing.size;
}

/** @param {Replica} replica @returns {Member<any, any>[]} */
export function newestFirst({ members }) {
  return [...members.values()].reverse();
}

/** What `since` a subscribe should have, if any. @param {Replica} replica */
export function since({ epoch, seq, sight }) {
  return epoch === null ? undefined : { epoch, seq, sight };
}

/** Nothing that can be told. @param {Replica} replica @returns {Step} */
export function unchanged(replica) {
  return { replica, changes: [] };
}

/** The connection is lost: what was half told will never be finished. @param {Replica} replica */
export function interrupted(replica) {
  return unchanged({ ...replica, live: false, parts: null });
}

/** The broker goes on where we were. @param {Replica} replica */
export function resumed(replica) {
  return unchanged({ ...replica, live: true });
}

/** Whoever is still missing has gone, unless the broker does not know. @param {Replica} replica @returns {Step} */
export function settle(replica) {
  if (replica.partial) return unchanged(replica);
  const { members, missing } = replica;
  const here = new Map([...members].filter(([user]) => !missing.has(user)));
  return { replica: { ...replica, members: here, missing: NOBODY }, changes: [...missing.values()].map(left) };
}

/** @param {Replica} replica @param {any} frame @param {string} [sight] the connection's @returns {Step} */
export function apply(replica, frame, sight) {
  switch (frame.type) {
    case 'snapshot': return snapshot(replica, frame, sight);
    case 'presence': return presence(replica, frame);
    case 'count': return counted(replica, frame);
    default: return unchanged(replica); // also `level`: what comes behind it says as much
  }
}

/** @param {Replica} replica @param {any} frame @param {string} [sight] @returns {Step} */
function snapshot(replica, { epoch, seq, count, members: listed, more, partial }, sight) {
  const { parts, members: known } = replica;
  const before = parts && parts.epoch === epoch && parts.seq === seq ? parts : { members: [], sight };
  const all = [...before.members, ...listed];
  // As it was at the first part: fresh roles that came since bring a snapshot of their own.
  const seen = before.sight;
  if (more) return unchanged({ ...replica, parts: { epoch, seq, sight: seen, members: all } });

  // Of a member that is in two parts the later counts: it was made later.
  const here = new Map([...byUser(all)].reverse());
  // Of another history that is to come, or as far as one node of a cluster knows: who is not in it yet
  // may still be on the way, or be there all the same.
  const mayMiss = partial || epoch !== (replica.epoch ?? epoch);
  const absent = [...known].filter(([user]) => !here.has(user));
  const missing = new Map(absent.filter(([user]) => mayMiss || (!replica.partial && replica.missing.has(user))));
  const changes = [
    ...absent.flatMap(([user, before]) => (missing.has(user) ? [] : left(before))),
    ...[...here].flatMap(([user, after]) => arrival(known.get(user), after)),
  ];
  return {
    replica: {
      epoch, seq, sight: seen, told: count, level: 'events', live: true, members: new Map([...missing, ...here]), missing, partial, parts: null,
    },
    // What was known at level `count` was not the whole: nothing to compare with. Nor was what one node
    // of a cluster knew: whoever is named now may have been there all the while.
    changes: replica.level === 'events' ? changes.filter(({ event }) => !(replica.partial && event === 'join')) : [],
  };
}

/** @param {Replica} replica @param {any} frame @returns {Step} */
function presence(replica, { seq, count, events }) {
  if (!replica.live || replica.level !== 'events') return unchanged(replica);
  // A frame about members whom not everyone may see repeats the seq instead of advancing it.
  if (seq > replica.seq + 1) return { ...unchanged({ ...replica, live: false, epoch: null }), gap: true };
  const members = new Map(replica.members);
  const missing = new Map(replica.missing);
  const changes = events.flatMap((/** @type {any} */ event) => happen(members, missing, event));
  return { replica: { ...replica, seq, told: count, members, missing }, changes };
}

/**
 * On a slow connection entries of a snapshot may be newer than its seq, and what follows tells some of it
 * again: a join of somebody known is a change, if it is one, and what becomes of somebody unknown is
 * nothing.
 * @param {Map<string, Member>} members
 * @param {Map<string, Member>} missing
 * @param {any} event
 * @returns {Change[]}
 */
function happen(members, missing, event) {
  const { event: kind, user, attributes } = event;
  const before = members.get(user);
  const isJoin = kind === 'join';
  const isUpdate = kind === 'updateAttributes';
  if (!isJoin && !(before && (isUpdate || kind === 'leave' || kind === 'timeout'))) return []; // or a newer broker's event
  missing.delete(user);
  // A newcomer goes to the end.
  if (!isUpdate || event.joinedAt) members.delete(user);
  if (!isJoin && !isUpdate) return [{ ...event, before }];
  const base = /** @type {Member} */ (isJoin ? { joinedAt: event.at } : before);
  const { info = base.info, away = base.away, joinedAt = base.joinedAt } = event;
  const after = { ...base, user, info, attributes, away: away || undefined, joinedAt };
  members.set(user, after);
  return isJoin ? arrival(before, after) : [{ ...event, before, after }];
}

/**
 * At this level the list is not known, so it is forgotten, and there is nothing to resume.
 * @param {Replica} replica @param {any} frame @returns {Step}
 */
function counted(replica, { count, recent }) {
  const named = (recent ?? []).map((/** @type {any} */ member) => ({ attributes: {}, joinedAt: null, ...member }));
  return unchanged({
    ...NOTHING, seq: replica.seq, told: count, level: 'count', live: true, members: byUser(named.reverse()),
  });
}

/**
 * Somebody is here who was not, or who was and may be changed.
 * @param {Member | undefined} before @param {Member} after @returns {Change[]}
 */
function arrival(before, after) {
  const { user } = after;
  if (!before) return [{ event: 'join', user, after, at: after.joinedAt }];
  return essence(before) === essence(after) ? [] : [{ event: 'updateAttributes', user, before, after }];
}

/** Gone meanwhile; nobody told why. @param {Member} before @returns {Change} */
function left(before) {
  return { event: 'leave', user: before.user, before };
}

/**
 * What can be seen of a member. The broker tells objects with their keys in order. No `info` is as good as
 * an empty one.
 * @param {Member} member
 */
function essence({ attributes, info = {}, away }) {
  return JSON.stringify([attributes, info, away]);
}

/** @param {Member[]} members */
function byUser(members) {
  return new Map(members.map((each) => [each.user, each]));
}
