/** The package in the hands of the tools that people have: each test is a project that has installed it. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { ENTRIES } from '../../scripts/entries.js';
import { modules, peers, project, run } from './install.js';

const require = createRequire(import.meta.url);
const names = Object.keys(ENTRIES).map((name) => (name === 'index' ? 'herenow' : `herenow/${name}`));

/** A program that says whether its parts share one core, however they ask for it. */
const ONE_CORE = {
  'main.mjs': `
    import { HerenowError, connect } from 'herenow';
    import { getPresenceUserChannels } from 'herenow/livelike';
    import other from './other.cjs';
    const refused = await getPresenceUserChannels({ userProfileId: 'ada' }).catch((error) => error);
    console.log(typeof connect, refused instanceof HerenowError, other.HerenowError === HerenowError);
  `,
  'other.cjs': `module.exports = { HerenowError: require('herenow').HerenowError };`,
};
const SHARED = 'function true true\n';

/** @param {() => string} tarball */
export function toolTests(tarball) {
  /** @param {string} name @param {Record<string, string>} files @param {(folder: string) => Promise<void>} check @param {string[]} [others] */
  const within = (name, files, check, others) => test(name, async () => {
    const { folder, remove } = await project(tarball(), files, others);
    try {
      await check(folder);
    } finally {
      await remove();
    }
  });

  const cjs = `
    const { HerenowError, connect } = require('herenow');
    const { getPresenceUserChannels } = require('herenow/livelike');
    const { useChannel } = require('herenow/react');
    getPresenceUserChannels({ userProfileId: 'ada' }).catch((error) => {
      console.log(typeof connect, error instanceof HerenowError, typeof useChannel);
    });
  `;
  for (const flag of ['--experimental-require-module', '--no-experimental-require-module']) {
    within(`Node.js: a CommonJS program: ${flag}`, { 'main.cjs': cjs }, async (folder) => {
      const { stdout, stderr } = await run(process.execPath, [flag, 'main.cjs'], { cwd: folder });
      assert.equal(stdout, 'function true function\n');
      if (flag.startsWith('--no')) assert.equal(stderr, '');
    }, ['react']);
  }

  within('Node.js: a program of both kinds has one core', ONE_CORE, async (folder) => {
    const { stdout } = await run(process.execPath, ['main.mjs'], { cwd: folder });
    assert.equal(stdout, SHARED);
  });

  within('Node.js: every entry says to both kinds what it exports', {
    'names.mjs': `
      const kinds = {};
      for (const name of ${JSON.stringify(names)}) kinds[name] = Object.keys(await import(name)).sort();
      console.log(JSON.stringify(kinds));
    `,
    'names.cjs': `
      const kinds = {};
      for (const name of ${JSON.stringify(names)}) kinds[name] = Object.keys(require(name)).sort();
      console.log(JSON.stringify(kinds));
    `,
  }, async (folder) => {
    const said = async (file) => JSON.parse((await run(process.execPath, ['--no-experimental-require-module', file], { cwd: folder })).stdout);
    assert.deepEqual(await said('names.cjs'), await said('names.mjs'));
  }, peers());

  within('Jest 29 with defaults', {
    'core.test.js': `
      const { HerenowError } = require('herenow');
      const { useChannel } = require('herenow/react');
      const { getPresenceUserChannels } = require('herenow/livelike');
      test('the entries share one core', async () => {
        await expect(getPresenceUserChannels({ userProfileId: 'ada' })).rejects.toBeInstanceOf(HerenowError);
        expect(typeof useChannel).toBe('function');
      });
    `,
    'mocked.test.js': `
      jest.mock('herenow');
      test('it can be mocked', () => {
        expect(require('herenow').connect('/')).toBeUndefined();
      });
    `,
    // What jest-environment-jsdom asks for.
    'page.test.js': `
      /** @jest-environment-options {"customExportConditions": ["browser"]} */
      test('a page finds it too', () => expect(typeof require('herenow').connect).toBe('function'));
    `,
  }, async (folder) => {
    const { version } = require('jest/package.json');
    assert.match(version, /^29\./);
    const { stderr } = await run(process.execPath, [join(modules, 'jest/bin/jest.js')], { cwd: folder });
    assert.match(stderr, /Tests: +3 passed, 3 total/);
  }, ['react']);

  within('Vite builds it, with one core', ONE_CORE, async (folder) => {
    const { build } = await import('vite');
    await build({
      root: folder, logLevel: 'error', configFile: false,
      build: { lib: { entry: join(folder, 'main.mjs'), formats: ['es'], fileName: () => 'out.mjs' }, minify: true },
    });
    assert.equal((await run(process.execPath, [join(folder, 'dist/out.mjs')])).stdout, SHARED);
  });

  within('webpack builds it, with one core', ONE_CORE, async (folder) => {
    const stats = await webpack({
      context: folder, entry: './main.mjs', mode: 'production', target: ['web', 'es2022'],
      output: { path: join(folder, 'dist'), filename: 'out.mjs', module: true, library: { type: 'module' } },
      experiments: { outputModule: true },
    });
    assert.equal(stats.toString({ all: false, errors: true, warnings: true }), '');
    assert.equal((await run(process.execPath, [join(folder, 'dist/out.mjs')])).stdout, SHARED);
  });

  within('a bundler drops what is not used', {
    'main.mjs': `import { HerenowError } from 'herenow'; console.log(new HerenowError('closed', 'x').code);`,
  }, async (folder) => {
    await webpack({ context: folder, entry: './main.mjs', mode: 'production', target: ['web', 'es2022'], output: { path: folder } });
    assert(statSync(join(folder, 'main.js')).size < 1_000);
  });

  within('eslint-plugin-import finds every entry', {
    'main.js': names.map((name, at) => `import * as entry${at} from '${name}'; entry${at};`).join('\n'),
    'wrong.js': `import 'herenow/no-such-entry';`,
  }, async (folder) => {
    const { ESLint } = require('eslint');
    const eslint = new ESLint({
      cwd: folder, overrideConfigFile: true,
      overrideConfig: {
        plugins: { import: require('eslint-plugin-import') },
        rules: { 'import/no-unresolved': 'error', 'import/named': 'error', 'import/namespace': 'error', 'import/default': 'error' },
      },
    });
    const [main, wrong] = await eslint.lintFiles(['main.js', 'wrong.js']);
    assert.deepEqual(main.messages, []);
    assert.equal(wrong.messages.length, 1, 'it looks');
  });

  for (const unstable_enablePackageExports of [false, true]) {
    within(`Metro finds every entry, ${unstable_enablePackageExports ? 'by exports' : 'as before 0.82, by main'}`, {}, async (folder) => {
      for (const name of names) {
        const { filePath } = metro(folder, name, { unstable_enablePackageExports });
        const entry = name === 'herenow' ? 'index' : name.slice('herenow/'.length);
        assert.equal(relative(folder, filePath), `node_modules/herenow/cjs/${entry}.js`);
      }
    });
  }

  test('publint has nothing to say', async () => {
    const { stdout } = await run(process.execPath, [join(modules, 'publint/src/cli.js'), 'run', tarball(), '--strict']);
    assert.match(stdout, /All good!/);
  });

  test('arethetypeswrong: they are not', async () => {
    const cli = join(modules, '.bin/attw');
    const { stdout } = await run(cli, [tarball(), '--format', 'json']).catch(({ stdout, stderr }) => assert.fail(`${stdout}${stderr}`));
    const { analysis, problems } = JSON.parse(stdout);
    assert.deepEqual(Object.keys(problems ?? {}), []);
    for (const name of Object.keys(ENTRIES)) assert(analysis.entrypoints[name === 'index' ? '.' : `./${name}`], name);
  });
}

/** @param {object} config */
function webpack(config) {
  return new Promise((resolve, reject) => {
    require('webpack')(config, (error, stats) => (error ? reject(error) : resolve(stats)));
  });
}

/** Resolves as Metro does. @param {string} folder @param {string} name @param {object} more */
function metro(folder, name, more) {
  const json = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null);
  const getPackageForModule = (path) => {
    const rootPath = /^.*\/node_modules\/herenow/.exec(path)?.[0];
    return rootPath ? { rootPath, packageJson: json(join(rootPath, 'package.json')) } : null;
  };
  return require('metro-resolver').resolve({
    allowHaste: false,
    assetExts: new Set(),
    doesFileExist: (path) => existsSync(path) && statSync(path).isFile(),
    extraNodeModules: null,
    getPackage: json,
    getPackageForModule,
    mainFields: ['react-native', 'browser', 'main'],
    nodeModulesPaths: [],
    originModulePath: join(folder, 'index.js'),
    preferNativePlatform: true,
    redirectModulePath: (path) => path,
    sourceExts: ['js', 'jsx', 'json', 'ts', 'tsx'],
    unstable_conditionNames: ['require', 'react-native'],
    unstable_conditionsByPlatform: {},
    ...more,
  }, name, 'ios');
}
