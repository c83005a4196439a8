/** What stands in front of the broker: PubNub's library speaks TLS only. The certificate is the test's own. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

/**
 * A proxy that speaks TLS, passes everything on, and gives up a connection with its other half, as the
 * configurations in docs/vendors.md do.
 * @param {{key: string, cert: string}} files @param {number} port of the broker
 */
export async function startProxy(files, port) {
  /** @type {string[]} */
  const seen = [];
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  const options = { key: readFileSync(files.key), cert: readFileSync(files.cert) };
  const server = https.createServer(options, (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    const headers = { ...request.headers, 'x-forwarded-proto': 'https' };
    const { method, url } = request;
    const onward = http.request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => request.socket.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    port: address.port,
    url: `https://127.0.0.1:${address.port}`,
    /** What was asked, in order. */
    seen,
    /** Cuts all connections that there are. */
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
