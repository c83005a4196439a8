// Keeps a table in SQLite equal to the broker, one node or several, by webhooks, through restarts of either side.
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import sqlite from 'node-sqlite3-wasm';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

const { SECRET = '', BROKER, API_KEY, PORT = '9090', FILE = 'mirror.db' } = env;
const webhook = new Webhook(SECRET);
rmSync(`${FILE}.lock`, { recursive: true, force: true }); // Left behind by one that was killed.
const db = new sqlite.Database(FILE);
db.exec('CREATE TABLE IF NOT EXISTS members (channel, user, attributes, PRIMARY KEY (channel, user))');
db.exec('CREATE TABLE IF NOT EXISTS tellers (channel PRIMARY KEY, node)');
const empty = (channel) => db.run('DELETE FROM members WHERE channel = ?', [channel]);
const put = (channel, user, attributes) => db.run('REPLACE INTO members VALUES (?, ?, ?)', [channel, user, JSON.stringify(attributes)]);
const set = (channel, user, attributes) => db.run('UPDATE members SET attributes = ? WHERE channel = ? AND user = ?', [JSON.stringify(attributes), channel, user]);
const remove = (channel, user) => db.run('DELETE FROM members WHERE channel = ? AND user = ?', [channel, user]);

async function* list(path, field) {
  for (let after = ''; after !== undefined; ) {
    const answer = await fetch(`${BROKER}/v1${path}?limit=1000${after}`, { headers: API_KEY ? { authorization: `Bearer ${API_KEY}` } : {} });
    const page = await answer.json();
    if (!answer.ok || page.partial) throw new Error(`${path}: ${answer.ok ? 'not everything is known there yet' : answer.status}`);
    yield* page[field];
    after = page.next && `&after=${encodeURIComponent(page.next)}`;
  }
}

async function read(channel) {
  empty(channel);
  for await (const { user, attributes } of list(`/channels/${encodeURIComponent(channel)}/members`, 'members')) put(channel, user, attributes);
}

// Each of several nodes names itself. Of what another one told last a list is read, since this may come late;
// and what one tells, the list of another has a moment later.
const tellerOf = (channel) => db.get('SELECT node FROM tellers WHERE channel = ?', [channel])?.node;
async function takeAll({ node, events }) {
  const channels = new Set(node ? events.map(({ channel }) => channel).filter(Boolean) : []);
  const moved = [...channels].filter((channel) => (tellerOf(channel) ?? node) !== node);
  if (node && (moved.length > 0 || events.some(({ type }) => type === 'gap'))) await sleep(2_000);
  for (const channel of channels) db.run('REPLACE INTO tellers VALUES (?, ?)', [channel, node]);
  for (const channel of moved) await read(channel);
  for (const item of events) if (!moved.includes(item.channel)) await take(item, node);
}

async function take({ type, channel, reason, events = [] }, node) {
  // The broker, if it is one node, knows of nobody but those whom it tells from here on.
  if (type === 'started' && !node) db.run('DELETE FROM members');
  if (type === 'occupied') empty(channel);
  // Something is lacking, and a list has what it came to.
  if (type === 'gap' && channel !== undefined) await read(channel);
  if (type === 'gap' && channel === undefined) {
    const there = new Set();
    for await (const one of list('/channels', 'channels')) there.add(one.channel);
    for (const one of db.all('SELECT DISTINCT channel FROM members')) if (!there.has(one.channel)) empty(one.channel);
    for (const one of reason === 'moved' ? [] : there) await read(one);
  }
  const acts = { join: put, updateAttributes: set, leave: remove, timeout: remove };
  for (const { event, user, attributes } of events) acts[event]?.(channel, user, attributes);
}

// One batch after the other, each whole or not at all: what is not taken comes again.
async function transact(body, headers) {
  db.exec('BEGIN');
  try {
    await takeAll(webhook.verify(body, headers));
    db.exec('COMMIT');
    return 204;
  } catch (error) {
    db.exec('ROLLBACK');
    console.error(`a batch is not taken: ${error.message}`);
    return error instanceof WebhookVerificationError ? 401 : 500;
  }
}
let last = Promise.resolve();
const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  last = last.then(() => transact(body, request.headers));
  response.writeHead(await last).end();
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
