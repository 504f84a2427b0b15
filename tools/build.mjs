// esbuild bundles workspace code (npm dependencies stay external); swc turns TypeScript into JavaScript first, so that decorator metadata survives.
import { readFile } from 'node:fs/promises';
import { transform } from '@swc/core';
import { build, context } from 'esbuild';

const root = `${import.meta.dirname}/..`;
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
  plugins: [swc],
});
export { context };

if (import.meta.main) for (const entry of process.argv.slice(2)) await build(options(entry));
