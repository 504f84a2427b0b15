// Step: bundles of the apps (nx keeps what has not changed) and of the program that this command ends in.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { taskEnvironment } from './hand-over.mjs';
import { root } from './paths.mjs';
import { mustRun } from './run-command.mjs';

export async function build(say, { node, builds }) {
  const env = taskEnvironment(node);
  const run = (args, what) => mustRun(node, args, { cwd: root, env, what, timeoutMs: 600_000, lines: 60 });
  say('building the apps');
  await run(['node_modules/nx/dist/bin/nx.js', 'run-many', '-t', 'build', '--outputStyle=static'], 'the build of the apps');
  const present = builds.filter((entry) => existsSync(join(root, entry)));
  if (present.length > 0) await run(['tools/build.mjs', ...present], `the build of ${present.join(', ')}`);
  return { found: 'built' };
}
