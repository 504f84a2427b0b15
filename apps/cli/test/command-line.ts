import { join } from 'node:path';
import { builtProgram, runCommand, workspaceRoot } from '@claviger/testing';

export interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

/** Bundles the command once, as it is delivered. */
export async function buildCommand(): Promise<void> {
  await builtProgram('apps/cli');
}

/** The command as its own process, with nothing of this one's environment but PATH and what is given. */
export async function claviger(args: string[], env: Record<string, string> = {}): Promise<Run> {
  const main = join(workspaceRoot(), 'dist/apps/cli/main.js');
  const { code, stdout, stderr } = await runCommand(process.execPath, [main, ...args], {
    allowFailure: true,
    env: { PATH: process.env.PATH, ...env },
  });
  return { code: code ?? -1, stdout, stderr };
}
