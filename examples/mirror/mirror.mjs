// Keeps a table in SQLite equal to the broker, one node or several, by webhooks, through restarts of either side.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import sqlite from 'node-sqlite3-wasm';

const { SECRET = '', BROKER, API_KEY, PORT = '9090', FILE = 'mirror.db' } = env;
rmSync(`${FILE}.lock`, { recursive: true, force: true }); // Left behind by one that was killed.
const db = new sqlite.Database(FILE);
db.exec('CREATE TABLE IF NOT EXISTS members (channel, user, attributes, PRIMARY KEY (channel, user))');
db.exec('CREATE TABLE IF NOT EXISTS tellers (channel PRIMARY KEY, node)');
const put = (channel, user, attributes) => db.run('REPLACE INTO members VALUES (?, ?, ?)', [channel, user, JSON.stringify(attributes)]);
const remove = (channel, user) => db.run('DELETE FROM members WHERE channel = ? AND user = ?', [channel, user]);
const empty = (channel) => db.run('DELETE FROM members WHERE channel = ?', [channel]);
const knows = (channel, user) => db.get('SELECT 1 FROM members WHERE channel = ? AND user = ?', [channel, user]);

function isFromBroker(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': given = '' } = headers;
  const key = Buffer.from(SECRET.replace('whsec_', ''), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest();
  const fits = (bytes) => bytes.length === mac.length && timingSafeEqual(bytes, mac);
  const signed = given.split(' ').some((one) => fits(Buffer.from(one.replace('v1,', ''), 'base64')));
  return signed && Math.abs(Date.now() / 1000 - Number(time)) < 300;
}

// What one of several nodes tells, the list of another has a moment later: waited for once in each batch.
let wait = 0;
async function* list(path, field) {
  await sleep(wait);
  wait = 0;
  for (let after = ''; after !== undefined; ) {
    const headers = API_KEY ? { authorization: `Bearer ${API_KEY}` } : {};
    const answer = await fetch(`${BROKER}/v1${path}?limit=1000${after}`, { headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    const page = await answer.json();
    if (page.partial) throw new Error(`${path}: not everything is known there yet`);
    yield* page[field];
    after = page.next === undefined ? undefined : `&after=${encodeURIComponent(page.next)}`;
  }
}

async function read(channel) {
  empty(channel);
  for await (const { user, attributes } of list(`/channels/${encodeURIComponent(channel)}/members`, 'members')) put(channel, user, attributes);
}

// Each of several nodes names itself. Of what another one told last a list is read, since this may come late.
const tellerOf = (channel) => db.get('SELECT node FROM tellers WHERE channel = ?', [channel])?.node;
async function takeAll({ node, events }) {
  wait = node ? 2000 : 0;
  const channels = new Set(node ? events.map(({ channel }) => channel).filter(Boolean) : []);
  const moved = [...channels].filter((channel) => (tellerOf(channel) ?? node) !== node);
  for (const channel of channels) db.run('REPLACE INTO tellers VALUES (?, ?)', [channel, node]);
  for (const channel of moved) await read(channel);
  for (const item of events) if (!moved.includes(item.channel)) await take(item, node);
}

async function take({ type, channel, events, reason }, node) {
  // The broker, if it is one node, knows of nobody but those whom it tells from here on.
  if (type === 'started' && !node) db.run('DELETE FROM members');
  // Something is lacking, and a list has what it came to.
  if (type === 'gap' && channel !== undefined) await read(channel);
  if (type === 'gap' && channel === undefined) {
    const there = new Set();
    for await (const one of list('/channels', 'channels')) there.add(one.channel);
    for (const one of db.all('SELECT DISTINCT channel FROM members')) if (!there.has(one.channel)) empty(one.channel);
    for (const one of reason === 'moved' ? [] : there) await read(one);
  }
  if (type === 'occupied') empty(channel);
  for (const { event, user, attributes } of type === 'presence' ? events : []) {
    if (event === 'join' || (event === 'updateAttributes' && knows(channel, user))) put(channel, user, attributes);
    if (event === 'leave' || event === 'timeout') remove(channel, user);
  }
}

// One batch after the other, each whole or not at all: what is not taken comes again.
let last = Promise.resolve();
const transact = async (body) => {
  db.exec('BEGIN');
  try {
    await takeAll(JSON.parse(body));
    db.exec('COMMIT');
    return 204;
  } catch (error) {
    db.exec('ROLLBACK');
    console.error(`a batch is not taken: ${error.message}`);
    return 500;
  }
};
const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  if (!isFromBroker(request.headers, body)) return response.writeHead(401).end();
  last = last.then(() => transact(body));
  response.writeHead(await last).end();
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
