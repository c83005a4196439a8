#!/usr/bin/env node
/**
 * Plays all scenarios with one client, and tells what is wrong.
 *
 *     node clients/scenarios/run.mjs [--only NAME]… [--] ADAPTER [ARGUMENT]…
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { play } from './play.mjs';

/** @type {import('./play.mjs').Scenario[]} */
export const scenarios = JSON.parse(readFileSync(new URL('scenarios.json', import.meta.url), 'utf8'));

/** Some wait for seconds to pass: so many are played at once. */
const AT_ONCE = 6;

/**
 * @param {string[]} command @param {string[]} [only] their names
 * @param {(name: string, wrong: string | null) => void} [tell]
 * @returns {Promise<Map<string, string>>} what is wrong, by the name of the scenario
 */
export async function playAll(command, only = [], tell = () => {}) {
  const unknown = only.find((name) => !scenarios.some((each) => each.name === name));
  if (unknown) throw new Error(`there is no scenario "${unknown}"`);
  const waiting = scenarios.filter(({ name }) => !only.length || only.includes(name));
  const faults = new Map();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let scenario = waiting.shift(); scenario; scenario = waiting.shift()) {
      const wrong = await play(command, scenario);
      tell(scenario.name, wrong);
      if (wrong) faults.set(scenario.name, wrong);
    }
  }));
  return faults;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2);
  const only = [];
  while (args[0] === '--only') only.push(args.splice(0, 2)[1]);
  if (args[0] === '--') args.shift();
  if (!args.length) throw new Error('which adapter? See README.md beside this');
  const faults = await playAll(args, only, (name, wrong) => console.log(wrong ? `FAILED ${name}\n  ${wrong}` : `ok     ${name}`));
  console.log(`${faults.size} of ${only.length || scenarios.length} failed`);
  process.exitCode = faults.size ? 1 : 0;
}
