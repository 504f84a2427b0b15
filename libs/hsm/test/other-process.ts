import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

const here = import.meta.dirname;

/** Runs `test/scenarios/<name>.ts` in a process of its own; `input` goes to its stdin, the JSON on its stdout comes back. */
export async function runInOtherProcess(name: string, input: object, env: NodeJS.ProcessEnv = {}): Promise<Record<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-scenario-'));
  try {
    symlinkSync(join(here, '../../../node_modules'), join(folder, 'node_modules'));
    const outfile = join(folder, 'scenario.mjs');
    await build({
      entryPoints: [join(here, `scenarios/${name}.ts`)],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
    });
    return JSON.parse(await run(outfile, JSON.stringify(input), { ...process.env, ...env }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(file: string, stdin: string, env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(stdout) : reject(new Error(`the scenario ended with ${code}`))));
    child.stdin.end(stdin);
  });
}
