// Fails when an import crosses a boundary of tools/boundaries/table.mjs. `--root DIR` checks another tree, by its sources alone.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { violations } from './boundaries/check.mjs';
import { readImports } from './boundaries/imports.mjs';

const workspace = join(import.meta.dirname, '..');
const { values } = parseArgs({ options: { root: { type: 'string' } } });

/** nx also sees what no import shows, such as a dependency in a package.json. */
function projectEdges() {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-graph-'));
  try {
    const nx = join(workspace, 'node_modules/nx/dist/bin/nx.js');
    const env = { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false' };
    execFileSync(process.execPath, [nx, 'graph', `--file=${folder}/graph.json`], {
      cwd: workspace,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const { graph } = JSON.parse(readFileSync(`${folder}/graph.json`, 'utf8'));
    return Object.values(graph.dependencies).flat();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const imports = readImports(values.root ?? workspace);
const lines = violations(imports, values.root ? [] : projectEdges());
for (const line of lines) console.error(`boundary: ${line}`);
console.log(lines.length === 0 ? `boundaries hold (${imports.size} files)` : `boundaries: ${lines.length} violations`);
process.exitCode = lines.length === 0 ? 0 : 1;
