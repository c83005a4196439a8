/**
 * One lint for all JavaScript here: nothing unused, nothing undefined, no two files that need each
 * other, and on the demo page no view that reaches the broker by itself. `npm run lint`.
 */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import js from '@eslint/js';
import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import globals from 'globals';

const PAGE = fileURLToPath(new URL('web-demo/', import.meta.url));
const SERVED = join(PAGE, 'client/');
const LIBRARY = fileURLToPath(new URL('clients/javascript/src/', import.meta.url));

/** The broker serves the client library below the pages: `client/` beside the demo page is the library's `src/`. */
const asServed = {
  interfaceVersion: 3,
  name: 'as-served',
  /** @param {string} source @param {string} file */
  resolve(source, file) {
    const served = join(dirname(file), source);
    if (!source.startsWith('.') || !served.startsWith(SERVED)) return { found: false };
    const path = join(LIBRARY, served.slice(SERVED.length));
    return existsSync(path) ? { found: true, path } : { found: false };
  },
};

export default [
  { ignores: ['**/node_modules/', '**/target/', 'clients/javascript/{types,cjs,dist}/', 'bench/runs/', 'tests/next/.app-*/'] },
  js.configs.recommended,
  {
    plugins: { 'import-x': importX },
    languageOptions: { ecmaVersion: 2025, sourceType: 'module' },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    settings: { 'import-x/resolver-next': [asServed, createNodeResolver()] },
    rules: {
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-self-import': 'error',
      'import-x/no-duplicates': 'error',
      'import-x/first': 'error',
      'import-x/named': 'error',
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': ['error', { ignoreReadBeforeAssign: true }],
      'no-useless-rename': 'error',
      'object-shorthand': 'error',
      'no-unused-vars': ['error', { args: 'all', argsIgnorePattern: '^_', caughtErrors: 'all', ignoreRestSiblings: true }],
      // The comment beside an empty catch says who tells of the error instead.
      'no-empty': ['error', { allowEmptyCatch: true }],
      'no-misleading-character-class': ['error', { allowEscape: true }],
    },
  },
  {
    files: ['clients/javascript/src/**'],
    languageOptions: { globals: globals['shared-node-browser'] },
    rules: { 'import-x/no-unresolved': ['error', { ignore: ['^(react|vue)$'] }] },
  },
  {
    // Of apps: pages and their back ends.
    files: ['clients/javascript/cookbook/**'],
    languageOptions: { globals: { ...globals.browser, process: 'readonly', Buffer: 'readonly' }, parserOptions: { ecmaFeatures: { jsx: true } } },
  },
  {
    // Its components count as unused to this lint, which knows no JSX; bundling them tells what is not there.
    files: ['clients/javascript/cookbook/**/*.jsx'],
    rules: { 'no-unused-vars': 'off' },
  },
  {
    files: ['web-demo/**', 'examples/*/page.js'],
    languageOptions: { globals: globals.browser },
    rules: { 'import-x/no-unresolved': 'error' },
  },
  {
    // Views show what they are handed: only the other files of the page reach the broker.
    files: ['web-demo/view-*.js', 'web-demo/dom.js', 'web-demo/meter.js', 'web-demo/words.js'],
    rules: {
      'no-restricted-imports': ['error', { patterns: ['./client/*', './guinea-pig.js', './viewers.js', './breakable.js', './app.js'] }],
      'no-restricted-globals': ['error', 'fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest'],
    },
  },
  {
    // Of the operator's page one file asks the broker, for whoever is handed it.
    files: ['web-demo/admin/*.js'],
    ignores: ['web-demo/admin/api.js'],
    rules: { 'no-restricted-globals': ['error', 'fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest'] },
  },
  {
    files: ['*.js', 'clients/javascript/{test,scripts}/**', 'clients/scenarios/**', 'tests/{browser,chaos,clocks,mirror,nodes,vendors}/**', 'bench/**', 'scripts/**', 'examples/**/*.mjs'],
    languageOptions: { globals: globals.node },
  },
  {
    // Parts of these run inside a page.
    files: ['tests/{browser,vendors}/**'],
    languageOptions: { globals: globals.browser },
  },
];
