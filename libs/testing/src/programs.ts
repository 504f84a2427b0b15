import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './children';
import { workspaceRoot } from './workspace';

/** Where the sources of programs lie, and what decides how they are built. */
const builtFrom = ['apps', 'libs', 'deploy', 'test', 'docs/examples', 'tools/build.mjs', 'tsconfig.base.json', '.swcrc'];

/**
 * Builds what is older than the newest source: entries of tools/build.mjs, each a project folder with src/main.ts or one .ts file.
 * @returns their files, absolute
 */
export async function builtPrograms(...entries: readonly string[]): Promise<string[]> {
  const root = workspaceRoot();
  const outputs = entries.map((entry) => join(root, 'dist', entry.endsWith('.ts') ? entry.replace(/\.ts$/, '.js') : `${entry}/main.js`));
  const newest = Math.max(...builtFrom.map((path) => newestIn(join(root, path))));
  const old = entries.filter((_, n) => modifiedAt(outputs[n] as string) <= newest);
  if (old.length > 0) await runCommand(process.execPath, ['tools/build.mjs', ...old], { cwd: root });
  return outputs;
}

/** One of them. */
export const builtProgram = async (entry: string): Promise<string> => (await builtPrograms(entry))[0] as string;

/** Milliseconds since 1970-01-01 UTC; 0 for what is not there. */
const modifiedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/**
 * When something in it was changed last, ms since 1970-01-01 UTC. By ctime, too: what is copied over it with the times that it had elsewhere (`cp -p`, `rsync -a`)
 * has a new one. Folders count as well: theirs is the time at which a file was added, renamed or taken away.
 */
export function newestIn(path: string): number {
  const here = statSync(path, { throwIfNoEntry: false });
  const changedMs = here ? Math.max(here.mtimeMs, here.ctimeMs) : 0;
  if (!here?.isDirectory()) return changedMs;
  const inside = readdirSync(path, { withFileTypes: true }).filter(({ name }) => name !== 'node_modules' && name !== 'dist');
  return inside.reduce((newest, { name }) => Math.max(newest, newestIn(join(path, name))), changedMs);
}
