/**
 * What can be imported from the package: the name of each entry (`index` is the package itself, `NAME`
 * is `herenow/NAME`, from `src/NAME.js`), and how many bytes it may cost a page, minified and gzipped.
 * Everything else follows from this list: what package.json says of entries (`npm run entries` writes
 * it), the builds, the sizes, and the tests of the package.
 */

export const ENTRIES = {
  index: 9_472,
  livelike: 1_536,
  rooms: 1_536,
  react: 2_048,
  svelte: 1_536,
  // For tests alone: a page never loads it.
  testing: 6_144,
  vue: 1_536,
};

/** The entries beside `herenow` itself. */
export const SUBPATHS = Object.keys(ENTRIES).filter((name) => name !== 'index');

/**
 * The fields of package.json that name entries.
 *
 * - `exports` is what current tools read. Whoever imports gets the ES modules. Whoever requires gets
 *   them too if it can (`module-sync`: Node.js; `module`: bundlers), so that a program has one core, with
 *   one `HerenowError`, however its parts ask for it. The CommonJS build is for the rest (Jest, older
 *   Node.js).
 * - `main`, `types`, `typesVersions` and a folder for each entry, with a package.json of its own, are for
 *   tools that read no `exports`: TypeScript's `node`, Metro and linters.
 * - `unpkg` and `jsdelivr` are for pages that take the one file from those who serve packages.
 */
export function manifest() {
  return {
    main: './cjs/index.js',
    module: './src/index.js',
    types: './cjs/index.d.ts',
    unpkg: './dist/herenow.js',
    jsdelivr: './dist/herenow.js',
    typesVersions: { '*': Object.fromEntries(SUBPATHS.map((name) => [name, [`./cjs/${name}.d.ts`]])) },
    exports: {
      ...Object.fromEntries(Object.keys(ENTRIES).map((name) => [name === 'index' ? '.' : `./${name}`, conditions(name)])),
      './package.json': './package.json',
    },
    files: ['src', 'types', 'cjs', 'dist/herenow.js', ...SUBPATHS, 'LICENSE-*'],
  };
}

/** The package.json in the folder of an entry. @param {string} name */
export function folder(name) {
  return { main: `../cjs/${name}.js`, module: `../src/${name}.js`, types: `../cjs/${name}.d.ts` };
}

/** @param {string} name */
function conditions(name) {
  const modules = { types: `./types/${name}.d.ts`, default: `./src/${name}.js` };
  return {
    import: modules,
    'module-sync': modules,
    module: modules,
    require: { types: `./cjs/${name}.d.ts`, default: `./cjs/${name}.js` },
  };
}

/** All of package.json with these fields as they are to be. @param {object} before */
export function withEntries(before) {
  return { ...before, ...manifest() };
}
