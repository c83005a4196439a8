/** The statuses of users in the broker in memory, and who watches them. */

/** @typedef {{busy?: boolean, invisible?: boolean, waitTime?: number | null, text?: string | null}} Patch */
/** @typedef {(frame: object) => void} Tell */

export class FakeUsers {
  /** @type {Map<string, Record<string, any>>} */
  #records = new Map();
  /** By user: who watches, and what each was told last. @type {Map<string, Map<Tell, string>>} */
  #watchers = new Map();
  #presence;

  /** @param {(user: string) => {online: boolean, away?: boolean, info?: object}} presence what keeps a user online */
  constructor(presence) {
    this.#presence = presence;
  }

  /** @param {string} user @param {Patch} patch */
  set(user, patch) {
    this.#records.set(user, { ...this.#known(user), ...patch, updatedAt: Date.now() });
  }

  /** Somebody came or went. @param {string} user */
  seen(user) {
    this.#records.set(user, { ...this.#known(user), lastSeen: Date.now() });
  }

  /** @param {string} user @param {Tell} tell */
  watch(user, tell) {
    const watchers = this.#watchers.get(user) ?? new Map();
    this.#watchers.set(user, watchers.set(tell, ''));
  }

  /** @param {string} user @param {Tell} tell */
  unwatch(user, tell) {
    this.#watchers.get(user)?.delete(tell);
  }

  /** The connection is gone. @param {Tell} tell */
  forget(tell) {
    for (const watchers of this.#watchers.values()) watchers.delete(tell);
  }

  /** Tells whoever watches, if something is new. @param {string} user */
  tick(user) {
    for (const [tell, last] of this.#watchers.get(user) ?? []) {
      const status = this.status(user, tell);
      const essence = JSON.stringify(status.online ? { ...status, lastSeen: 0 } : status);
      if (essence === last) continue;
      this.#watchers.get(user)?.set(tell, essence);
      tell({ type: 'status', ...status });
    }
  }

  /** @param {string} user @param {Tell & {user?: string}} viewer */
  status(user, viewer) {
    const { busy = false, invisible, waitTime, text, lastSeen, createdAt, updatedAt } = this.#records.get(user) ?? {};
    const { online, away, info } = this.#presence(user);
    const isOwn = viewer.user === user;
    const shows = online && (!invisible || isOwn);
    /** @type {Record<string, any>} */
    const status = {
      user, online: shows, away: (shows && away) || undefined, invisible: (isOwn && invisible) || undefined, busy,
      waitTime: waitTime ?? undefined, text: text ?? undefined, info, lastSeen, createdAt, updatedAt,
    };
    return status;
  }

  /** @param {string} user */
  #known(user) {
    return this.#records.get(user) ?? { createdAt: Date.now(), updatedAt: Date.now() };
  }
}
