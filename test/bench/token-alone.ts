import { join } from 'node:path';
import { runCommand, workspaceRoot } from '@claviger/testing';
import { options } from './options';
import type { TokenRates } from './token-load';

/** Scenario `token`: what the token alone gives in so many processes, by the worker's own library and nothing around it. */
export async function tokenAlone() {
  const cwd = workspaceRoot();
  await runCommand(process.execPath, ['tools/build.mjs', 'test/bench/token-load.ts'], { cwd });
  const runs = await Promise.all(
    Array.from({ length: options.processes }, async () => {
      const { stdout } = await runCommand(process.execPath, [join(cwd, 'dist/test/bench/token-load.js'), String(options.seconds)], { cwd });
      return JSON.parse(stdout) as TokenRates;
    }),
  );
  const result = Object.fromEntries(
    Object.keys(runs[0] as TokenRates).map((name) => [name, Math.round(runs.reduce((sum, rates) => sum + (rates[name] ?? 0), 0))]),
  );
  console.log(`token: calls a second, ${options.processes} process(es), 1 KiB messages, ${options.seconds} s each`);
  for (const [name, rate] of Object.entries(result)) console.log(`  ${name.padEnd(34)} ${String(rate).padStart(8)}`);
  return { result: { processes: options.processes, callsPerSecond: result }, ok: true };
}
