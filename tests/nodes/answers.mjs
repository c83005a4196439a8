/** That all nodes answer the same, whatever one asks, and what differs if they do not. */

import { isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {{http: string}} Node */

/** @param {Node} node @param {string} path @returns {Promise<any>} */
export async function get(node, path) {
  const ask = () => fetch(`${node.http}${path}`);
  // A connection that was idle may be closed just as it is used again: asked a second time, anew.
  const answer = await ask().catch(ask);
  const body = await answer.json();
  return answer.ok ? body : { status: answer.status, code: body.code };
}

/** All pages of a list. @param {Node} node @param {string} path @param {string} list the field with the entries @param {number} limit */
async function pages(node, path, list, limit) {
  const [all, rests] = [/** @type {any[]} */ ([]), /** @type {any[]} */ ([])];
  let after = '';
  do {
    const page = await get(node, `${path}${path.includes('?') ? '&' : '?'}limit=${limit}${after}`);
    if (!page[list]) return page;
    // A list's place in the history is each node's own.
    const { [list]: entries, next, epoch: _, seq: __, ...rest } = page;
    all.push(...entries);
    rests.push(rest, next);
    after = next === undefined ? '' : `&after=${encodeURIComponent(next)}`;
  } while (after);
  return { all, rests };
}

// When somebody who is here was heard last: heartbeats are told to nobody, so each node knows its own.
const steady = (/** @type {any} */ { lastSeen: _, ...rest }) => rest;

/**
 * Everything that may be asked of a node, as one object.
 * @param {Node} node
 * @param {{channels: string[], users: string[], viewers?: string[], limit?: number}} of
 */
export async function answers(node, { channels, users, viewers = [''], limit = 7 }) {
  /** @type {Record<string, any>} */
  const all = {};
  /** @type {Array<Promise<void>>} */
  const asked = [];
  const ask = (/** @type {string} */ name, /** @type {Promise<any>} */ answer) => {
    asked.push(answer.then((it) => { all[name] = it; }));
  };
  for (const viewer of viewers) {
    const as = viewer && `user=${encodeURIComponent(viewer)}`;
    for (const channel of channels) {
      const path = `/v1/channels/${encodeURIComponent(channel)}`;
      ask(`${viewer}: members of ${channel}`, pages(node, `${path}/members?${as}`, 'members', limit));
      ask(`${viewer}: count of ${channel}`, get(node, `${path}/count?${as}`));
      ask(`${viewer}: ${channel}`, get(node, `${path}?${as}`).then(({ count }) => count));
      for (const user of users) {
        ask(`${viewer}: ${user} in ${channel}`, get(node, `${path}/members/${encodeURIComponent(user)}?${as}`).then(steady));
      }
    }
    for (const user of users) {
      const path = `/v1/users/${encodeURIComponent(user)}`;
      ask(`${viewer}: channels of ${user}`, pages(node, `${path}/channels?${as}`, 'channels', 2));
      ask(`${viewer}: status of ${user}`, get(node, `${path}/status?${as}`).then((it) => (it.online ? steady(it) : it)));
    }
    for (let first = 0; first < users.length; first += 100) {
      const ids = users.slice(first, first + 100).map(encodeURIComponent).join(',');
      ask(`${viewer}: statuses from ${first}`, get(node, `/v1/users/status?ids=${ids}&${as}`).then((it) => (
        { ...it, users: it.users?.map((/** @type {any} */ one) => (one.online ? steady(one) : one)) }
      )));
    }
    ask(`${viewer}: channels`, pages(node, `/v1/channels?${as}`, 'channels', 3));
  }
  await Promise.all(asked);
  return all;
}

/** What the nodes do not agree on, in lines. @param {Node[]} nodes @param {Parameters<typeof answers>[1]} of */
export async function differences(nodes, of) {
  const [first, ...others] = await Promise.all(nodes.map((node) => answers(node, of)));
  return others.flatMap((other, index) => (
    Object.keys(first)
      .filter((name) => !isDeepStrictEqual(first[name], other[name]))
      .map((name) => `${name}\n  node 0: ${apart(first[name], other[name])}\n  node ${index + 1}: ${apart(other[name], first[name])}`)
  ));
}

/** Of a long list what the other one has not, or has elsewhere. @param {any} one @param {any} other */
function apart(one, other) {
  if (!one?.all || !other?.all) return JSON.stringify(one);
  const all = one.all.filter((/** @type {any} */ entry, /** @type {number} */ n) => !isDeepStrictEqual(entry, other.all[n]));
  const rests = isDeepStrictEqual(one.rests, other.rests) ? [] : one.rests;
  return `${one.all.length} entries, of which ${JSON.stringify(all.slice(0, 20))} ${JSON.stringify(rests)}`;
}

/** How an observer's replica differs from what its own node answers. @param {import('./line.mjs').Observer} observer @param {Node} node */
export async function behind(observer, node) {
  const path = `/v1/channels/${encodeURIComponent(observer.channel)}/members?user=${encodeURIComponent(observer.line.user)}`;
  const { all } = await pages(node, path, 'members', 1000);
  const plain = (/** @type {any[]} */ members) => members
    .map(({ user, info, attributes, away, joinedAt }) => ({ user, info, attributes, away, joinedAt }))
    .sort((one, other) => (one.user < other.user ? -1 : 1));
  const [replica, truth] = [plain(observer.members()), plain(all ?? [])];
  return isDeepStrictEqual(replica, truth) ? [] : [
    `the replica of ${observer.channel}\n  is:        ${JSON.stringify(replica)}\n  should be: ${JSON.stringify(truth)}`,
  ];
}

/** How what a watcher was told differs from what its own node answers. @param {import('./line.mjs').Watcher} watcher @param {Node} node */
export async function unwatched({ statuses, line }, node) {
  const users = [...statuses.keys()];
  /** @type {string[]} */
  const found = [];
  for (const user of users) {
    const truth = await get(node, `/v1/users/${encodeURIComponent(user)}/status?user=${encodeURIComponent(line.user)}`);
    const told = statuses.get(user);
    const [is, should] = told?.online && truth.online ? [steady(told), steady(truth)] : [told, truth];
    if (!isDeepStrictEqual(is, should)) found.push(`the status of ${user}
  is:        ${JSON.stringify(is)}
  should be: ${JSON.stringify(should)}`);
  }
  return found;
}

/**
 * Waits until a check finds nothing, and fails with what it found last.
 * @param {string} what @param {number} withinMs @param {() => Promise<string[]>} check
 * @returns {Promise<number>} how long it took, in milliseconds
 */
export async function agree(what, withinMs, check) {
  const begun = performance.now();
  for (;;) {
    const asked = performance.now();
    const found = await check();
    if (!found.length) return asked - begun;
    if (asked - begun > withinMs) {
      throw new Error(`${what}: still so after ${withinMs} ms, ${found.length} in all:\n${found.slice(0, 6).join('\n').slice(0, 6000)}`);
    }
    await sleep(50);
  }
}

/**
 * All nodes answer the same, and all replicas are what their node answers.
 * @param {Node[]} nodes @param {Array<{observer: import('./line.mjs').Observer, node: Node}>} observers
 * @param {Parameters<typeof answers>[1]} of @param {number} [withinMs]
 */
export function allEqual(nodes, observers, of, withinMs = 5000) {
  return agree('nodes differ', withinMs, async () => {
    const seen = await Promise.all(observers.map(({ observer, node }) => behind(observer, node)));
    return [...seen.flat(), ...await differences(nodes, of)];
  });
}
