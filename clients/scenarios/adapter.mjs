/** The adapter of the JavaScript client. `README.md` beside this says what it is told and what it tells. */

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { connect } from '../javascript/src/index.js';

const WebSocket = createRequire(new URL('../javascript/package.json', import.meta.url))('ws');

/** @type {import('../javascript/src/index.js').Client} */
let here;
/** Watched users. @type {Map<string, () => void>} */
const watches = new Map();
/** Channels whose events are told. */
const heard = new Set();

/** @param {object} line */
function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** @param {any} error */
function plain({ code, message, field, wanted, retryAfterMs }) {
  return { code: code ?? 'crash', message, field, wanted, retryAfterMs };
}

/** A token, or a list of those that the function brings, one after the other; null: it fails. @param {any} token */
function source(token) {
  if (!Array.isArray(token)) return token;
  let n = 0;
  return async () => {
    tell({ event: 'token', at: performance.now() });
    const next = token[Math.min(n, token.length - 1)];
    n += 1;
    if (next === null) throw new Error('no token today');
    return next;
  };
}

/** @param {string} name */
function room(name) {
  const channel = here.channel(name);
  if (heard.has(name)) return channel;
  heard.add(name);
  for (const event of /** @type {const} */ (['join', 'leave', 'timeout', 'updateAttributes'])) {
    channel.on(event, ({ user, attributes, info, away, reason, before }) => {
      tell({ event, channel: name, user, attributes, info, away, reason, before: before?.attributes });
    });
  }
  channel.on('error', (error) => tell({ event: 'channelError', channel: name, error: plain(error) }));
  return channel;
}

/** What JSON cannot say. @param {any} value */
function unsayable(value) {
  if (value !== '$unsayable') return value;
  /** @type {any} */
  const itself = {};
  itself.itself = itself;
  return itself;
}

/** @type {Record<string, (command: any) => any>} */
const commands = {
  sync: () => new Promise((resolve) => { setTimeout(resolve, 2); }),
  connect: ({ url, options: { token, ...options } }) => {
    here = connect(url, { WebSocket, lazy: false, ...options, ...(token === undefined ? {} : { token: source(token), user: undefined }) });
    here.on('error', (error) => tell({ event: 'error', error: plain(error) }));
  },
  show: ({ channel: name }) => {
    const { phase, error } = here.state;
    const state = { phase, error: error && plain(error) };
    if (!name) return { state, me: here.me };
    const { members, count, level, live, joined, error: why, self } = room(name);
    return {
      state, me: here.me, members: members.map((member) => ({ ...member, away: member.away ?? false })), count, level, live, joined, error: why && plain(why), self: self?.user,
    };
  },
  join: ({ channel, attributes, options }) => room(channel).join(unsayable(attributes), options),
  leave: ({ channel }) => room(channel).leave(),
  setAttributes: ({ channel, attributes, ttlMs, replace }) => room(channel).setAttributes(unsayable(attributes), { ttl: ttlMs, replace }),
  subscribe: ({ channel, options }) => room(channel).subscribe(options),
  unsubscribe: ({ channel }) => room(channel).unsubscribe(),
  getMembers: ({ channel, options }) => room(channel).getMembers(options),
  getCount: ({ channel }) => room(channel).getCount(),
  getAttributes: ({ channel, user }) => room(channel).getAttributes(user),
  away: ({ channel, away }) => (channel ? room(channel) : here).away(away),
  getChannels: ({ user }) => here.getChannels(user),
  status: ({ patch }) => here.status(patch),
  request: ({ frame }) => here.request(frame),
  check: () => here.check(),
  retry: () => here.retry(),
  close: () => here.close(),
  watch: ({ user, live }) => {
    watches.set(user, here.user(user).watch(({ online, live: isLive, busy }) => tell({ event: 'status', user, online, live: isLive, busy }), { live }));
  },
  unwatch: ({ user }) => watches.get(user)?.(),
};

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { id, do: what, ...command } = JSON.parse(line);
    try {
      tell({ id, ok: await commands[what](command) ?? null });
    } catch (error) {
      tell({ id, error: plain(error) });
    }
  })
  .on('close', () => here?.close());
