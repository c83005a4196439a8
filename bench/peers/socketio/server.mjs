// A presence server on socket.io's rooms: WebSocket transport only, no compression, and the HTTP
// request let go after the handshake, as its documentation advises for memory.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const members = new Map();
const http = createServer();
const io = new Server(http, {
  transports: ['websocket'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
});

io.engine.on('connection', (raw) => {
  raw.request = null;
});

function tell(channel, event) {
  io.to(channel).emit('presence', { ...event, at: Date.now() });
}

io.on('connection', (socket) => {
  const { user } = socket.handshake.auth;
  const joined = new Set();
  socket.on('join', (channel) => {
    joined.add(channel);
    if (!members.has(channel)) members.set(channel, new Map());
    members.get(channel).set(user, {});
    tell(channel, { event: 'join', user, attributes: {} });
  });
  socket.on('set', (channel, attributes) => {
    members.get(channel)?.set(user, attributes);
    tell(channel, { event: 'updateAttributes', user, attributes });
  });
  socket.on('subscribe', (channel) => {
    const all = [...(members.get(channel) ?? [])];
    socket.emit('state', channel, all.map(([user, attributes]) => ({ user, attributes })));
    socket.join(channel);
  });
  socket.on('heartbeat', () => {});
  socket.on('disconnect', () => {
    for (const channel of joined) {
      members.get(channel)?.delete(user);
      if (!members.get(channel)?.size) members.delete(channel);
      tell(channel, { event: 'leave', user });
    }
  });
});

http.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
