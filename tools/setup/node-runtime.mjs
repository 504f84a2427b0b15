// Step: the Node that runs Claviger. The lockfile brings Node 24 for the platforms that have the package.
import { existsSync } from 'node:fs';
import { atLeast, onPath, versionIn } from './on-path.mjs';
import { packagedNode } from './paths.mjs';
import { SetupProblem } from './problem.mjs';
import { run } from './run-command.mjs';

const MINIMUM = [24, 0];

export async function nodeRuntime() {
  for (const path of [packagedNode, onPath('node'), process.execPath]) {
    if (!path || !existsSync(path)) continue;
    const { code, stdout } = await run(path, ['--version'], { timeoutMs: 10_000 });
    if (code === 0 && atLeast(versionIn(stdout), MINIMUM)) return { path, found: `Node ${stdout.trim()}` };
  }
  throw new SetupProblem(`no Node 24 for ${process.platform}-${process.arch}`, [
    'The lockfile brings Node 24 for linux-x64. Elsewhere install Node 24 or newer yourself (for example `brew install node@24`), put it on PATH,',
    'and run the same command again.',
  ]);
}
