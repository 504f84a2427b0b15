// esbuild bundles workspace code (npm dependencies stay external); swc turns TypeScript into JavaScript first, so that decorator metadata survives.
import { readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { transform } from '@swc/core';
import { build, context } from 'esbuild';

const root = join(import.meta.dirname, '..');
const { $schema: _, ...swcrc } = JSON.parse(await readFile(`${root}/.swcrc`, 'utf8'));

const swc = {
  name: 'swc',
  setup(b) {
    b.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, 'utf8'), { ...swcrc, swcrc: false, configFile: false, filename: path });
      return { contents: code, loader: 'js' };
    });
  },
};

/** No file of a library does anything by being imported, so what a program does not use stays out: the command line starts without Nest. */
const libraries = {
  name: 'libraries',
  setup(b) {
    b.onResolve({ filter: /^(@claviger\/|\.)/ }, async ({ path, pluginData, ...from }) => {
      if (pluginData === libraries) return undefined;
      const found = await b.resolve(path, { ...from, pluginData: libraries });
      return found.path.startsWith(join(root, 'libs')) ? { ...found, pluginData: undefined, sideEffects: false } : found;
    });
  },
};

/** Options that turn `<entry>` (a project folder with src/main.ts, or one .ts file) into `dist/<entry>…`. */
export const options = (entry) => ({
  absWorkingDir: root,
  entryPoints: [entry.endsWith('.ts') ? entry : `${entry}/src/main.ts`],
  outfile: entry.endsWith('.ts') ? `dist/${entry.replace(/\.ts$/, '.js')}` : `dist/${entry}/main.js`,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  packages: 'external',
  sourcemap: true,
  tsconfig: 'tsconfig.base.json',
  logLevel: 'warning',
  plugins: [libraries, swc],
});
export { context };

if (import.meta.main)
  for (const entry of process.argv.slice(2)) {
    const begun = new Date();
    await build(options(entry));
    // As old as what it was made from: a source that is written meanwhile is newer.
    await utimes(join(root, options(entry).outfile), begun, begun);
  }
