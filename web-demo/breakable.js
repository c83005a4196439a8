/**
 * A WebSocket that can be broken on purpose.
 *
 * A page has no way to lose its connection: whatever it closes, it closes politely. So a loss here is
 * a Close with 4200, which tells the broker that this was none; and towards the client it looks as a
 * lost connection does. A frozen page is one whose messages stay where they are.
 */

const BACK_SOON = 4200;
const LOST = 1006;
const HEARTBEAT_ANSWER = '{"type":"ok","id":"hb"}';

/** The switch, and the constructor of the sockets that it breaks. */
export function breakable() {
  /** @type {Set<BreakableSocket>} */
  const sockets = new Set();
  const state = { offline: false, frozen: false };

  class BreakableSocket {
    /** @type {((event: {data: string}) => void) | null} */
    onmessage = null;
    /** @type {((event: {code: number, reason: string}) => void) | null} */
    onclose = null;
    /** @type {WebSocket | null} */
    #real = null;
    /** @type {string[]} */
    #held = [];

    /** @param {string} url @param {string[]} protocols */
    constructor(url, protocols) {
      if (state.offline) {
        setTimeout(() => this.onclose?.({ code: LOST, reason: 'offline' }));
        return;
      }
      sockets.add(this);
      this.#real = new WebSocket(url, protocols);
      this.#real.onmessage = ({ data }) => this.onmessage?.({ data });
      this.#real.onclose = ({ code, reason }) => this.#closed(code, reason);
    }

    /** @param {string} text */
    send(text) {
      if (!state.frozen) {
        this.#real?.send(text);
        return;
      }
      this.#held.push(text);
      // The page does not notice that it is frozen, and neither shall its client.
      if (text.includes('"heartbeat"')) setTimeout(() => this.onmessage?.({ data: HEARTBEAT_ANSWER }));
    }

    thaw() {
      for (const text of this.#held.splice(0)) this.#real?.send(text);
    }

    cut() {
      this.#real?.close(BACK_SOON);
      this.#closed(LOST, 'offline');
    }

    /** @param {number} [code] */
    close(code) {
      sockets.delete(this);
      this.#real?.close(code);
    }

    /** @param {number} code @param {string} reason */
    #closed(code, reason) {
      if (!sockets.delete(this)) return;
      this.onclose?.({ code, reason });
    }
  }

  return {
    WebSocket: BreakableSocket,
    goOffline() {
      state.offline = true;
      for (const socket of [...sockets]) socket.cut();
    },
    goOnline() {
      state.offline = false;
    },
    freeze() {
      state.frozen = true;
    },
    thaw() {
      state.frozen = false;
      for (const socket of sockets) socket.thaw();
    },
  };
}
