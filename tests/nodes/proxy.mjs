/**
 * A wire to Redis for one node, which can be cut, slow, or deaf in one direction. What a deaf wire
 * holds comes through once it hears again, as what a network loses is sent again.
 */

import { once } from 'node:events';
import net from 'node:net';

/** @typedef {'requests' | 'answers'} Direction of what is said: to Redis, or by it */

/** @param {number} port of Redis */
export async function startProxy(port) {
  /** @type {Set<{near: net.Socket, far: net.Socket}>} */
  const pairs = new Set();
  /** @type {Set<Direction>} */
  const deaf = new Set();
  let delayMs = 0;
  let isCut = false;

  /** @param {net.Socket} from @param {net.Socket} to @param {Direction} direction */
  function pass(from, to, direction) {
    let queue = Promise.resolve();
    from.on('data', (bytes) => {
      if (!delayMs) return void (queue = queue.then(() => { to.write(bytes); }));
      const due = performance.now() + delayMs;
      queue = queue.then(() => new Promise((done) => {
        setTimeout(() => { to.write(bytes); done(undefined); }, Math.max(0, due - performance.now()));
      }));
    });
    from.on('close', () => queue.then(() => to.destroy()));
    from.on('error', () => from.destroy());
    if (deaf.has(direction)) from.pause();
  }

  const server = net.createServer((near) => {
    if (isCut) return void near.resetAndDestroy();
    const far = net.connect(port, '127.0.0.1');
    const pair = { near, far };
    pairs.add(pair);
    near.on('close', () => pairs.delete(pair));
    pass(near, far, 'requests');
    pass(far, near, 'answers');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = /** @type {net.AddressInfo} */ (server.address());

  const each = (/** @type {(pair: {near: net.Socket, far: net.Socket}) => unknown} */ act) => [...pairs].forEach(act);
  return {
    url: `redis://127.0.0.1:${address.port}`,
    /** Ends all connections, and refuses others until it is mended. */
    cut() {
      isCut = true;
      each(({ near, far }) => { near.resetAndDestroy(); far.destroy(); });
    },
    /** Nothing comes through in these directions, and nobody is told. @param {Direction[]} directions */
    deafen(...directions) {
      for (const direction of directions) deaf.add(direction);
      each(({ near, far }) => {
        if (deaf.has('requests')) near.pause();
        if (deaf.has('answers')) far.pause();
      });
    },
    mend() {
      isCut = false;
      deaf.clear();
      each(({ near, far }) => { near.resume(); far.resume(); });
    },
    /** Everything takes so much longer, each way. @param {number} ms */
    delay(ms) { delayMs = ms; },
    async stop() {
      each(({ near, far }) => { near.destroy(); far.destroy(); });
      server.close();
      await once(server, 'close');
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startProxy>>} Proxy */
