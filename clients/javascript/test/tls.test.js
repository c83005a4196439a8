/** The client library over `wss:`, to a broker that speaks TLS itself. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { certificate } from './certificate.js';
import { client, settled, startBroker, state, until, WebSocket } from './broker.js';

test('channels, requests and attributes over wss, and a certificate that is replaced', async (t) => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'herenow-wss-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const { key, cert } = certificate(directory);
  const broker = await startBroker({ flags: ['--tls-cert-file', cert, '--tls-key-file', key] });
  t.after(() => broker.stop());
  assert.match(broker.url, /^wss:/);
  /** Trusts the certificate of the moment at which it is made. */
  const trusting = () => {
    const ca = readFileSync(cert);
    return class extends WebSocket {
      /** @param {string} url @param {string[]} [protocols] */
      constructor(url, protocols) { super(url, protocols, { ca }); }
    };
  };
  /** @param {string} user */
  const connected = (user) => {
    const here = client(`${broker.url}?user=${user}`, { WebSocket: trusting() });
    t.after(() => here.close());
    return here;
  };
  const [ada, bob] = [connected('ada'), connected('bob')];
  const room = ada.channel('a/b');
  await room.subscribe();
  let lost = 0;
  ada.on('state', ({ phase }) => { lost += Number(phase === 'waiting'); });
  const theirs = bob.channel('a/b');
  await theirs.join({ mood: 'happy', text: 'ü'.repeat(1_000) });
  await settled(room);
  assert.deepEqual(state(room.members), [['bob', { mood: 'happy', text: 'ü'.repeat(1_000) }]]);

  const old = trusting();
  certificate(directory);
  process.kill(broker.pid, 'SIGHUP');
  const { url } = broker;
  /** Whether a client that trusts only what `Socket` does gets in. @param {typeof WebSocket} Socket */
  const getsIn = (Socket) => new Promise((resolve) => {
    const socket = new Socket(`${url}?user=eve`);
    socket.on('open', () => { socket.terminate(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
  await until('the new certificate is shown', () => getsIn(trusting()));
  assert.equal(await getsIn(old), false, 'the old one is shown no more');
  await theirs.setAttributes({ mood: 'proud' });
  await until('who was connected is told', () => room.members[0]?.attributes.mood === 'proud');
  assert.equal(lost, 0);
  const carol = connected('carol');
  await carol.channel('a/b').join();
  await until('who comes now is told of', () => room.members.length === 2);
});
