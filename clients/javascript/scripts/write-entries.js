/** Writes what entries.js says into package.json: `npm run entries`. */

import { readFileSync, writeFileSync } from 'node:fs';
import { withEntries } from './entries.js';

const file = new URL('../package.json', import.meta.url);
const text = JSON.stringify(withEntries(JSON.parse(readFileSync(file, 'utf8'))), null, 2);
writeFileSync(file, `${text}\n`);
