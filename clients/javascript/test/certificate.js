/** Certificates for tests that speak TLS. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A certificate for this machine, which is its own authority. @param {string} [directory] a fresh one */
export function certificate(directory = mkdtempSync(path.join(os.tmpdir(), 'herenow-tls-'))) {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(directory, name));
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout', key, '-out', cert,
  ], { stdio: 'ignore' });
  return { key, cert };
}
