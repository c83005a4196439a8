// The presence server that people write themselves on `ws`: rooms in a map, one message for each
// change, encoded once for all subscribers. No heartbeats, no resume, no order between state and
// changes beyond what one thread gives.
import { WebSocketServer } from 'ws';

const rooms = new Map();

function room(name) {
  let found = rooms.get(name);
  if (!found) rooms.set(name, (found = { members: new Map(), subscribers: new Set() }));
  return found;
}

function tell(where, event) {
  // A buffer, so that the text is turned into bytes once and not for each subscriber.
  const bytes = Buffer.from(JSON.stringify({ type: 'presence', ...event, at: Date.now() }));
  for (const socket of where.subscribers) socket.send(bytes, { binary: false });
}

function leave(name, user) {
  const where = room(name);
  where.members.delete(user);
  tell(where, { event: 'leave', user });
}

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  backlog: 4096,
  perMessageDeflate: false,
  skipUTF8Validation: true,
});

server.on('connection', (socket, request) => {
  const user = new URL(request.url, 'http://localhost').searchParams.get('user');
  const joined = new Set();
  const subscribed = new Set();
  const actions = {
    join({ channel }) {
      joined.add(channel);
      const where = room(channel);
      where.members.set(user, {});
      tell(where, { event: 'join', user, attributes: {} });
    },
    set({ channel, attributes }) {
      const where = room(channel);
      where.members.set(user, attributes);
      tell(where, { event: 'updateAttributes', user, attributes });
    },
    subscribe({ channel }) {
      subscribed.add(channel);
      const where = room(channel);
      const members = [...where.members].map(([user, attributes]) => ({ user, attributes }));
      socket.send(JSON.stringify({ type: 'state', channel, members }));
      where.subscribers.add(socket);
    },
    heartbeat() {},
  };
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    actions[message.type]?.(message);
  });
  socket.on('close', () => {
    for (const name of subscribed) room(name).subscribers.delete(socket);
    for (const name of joined) leave(name, user);
    for (const name of new Set([...subscribed, ...joined])) {
      const where = room(name);
      if (!where.members.size && !where.subscribers.size) rooms.delete(name);
    }
  });
  socket.on('error', () => {});
  socket.send('{"type":"welcome"}');
});
