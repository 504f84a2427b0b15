import { execFileSync } from 'node:child_process';
import { runCommand } from './children';
import { isAlive } from './is-alive';

/** The `docker` program, to its end. @returns what it printed, trimmed */
export async function docker(args: readonly string[]): Promise<string> {
  return (await runCommand('docker', args, { timeoutMs: 300_000 })).stdout.trim();
}

/**
 * Does a Docker engine answer? Synchronous, so that a spec can choose between `test` and `test.skip` while it is read.
 * @throws instead of false when CLAVIGER_REQUIRE_DOCKER=1: there, a skipped test would hide something
 */
export function dockerAvailable(): boolean {
  try {
    execFileSync('docker', ['version', '--format', '{{.Server.Version}}'], { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch (cause) {
    if (process.env.CLAVIGER_REQUIRE_DOCKER === '1') throw new Error('CLAVIGER_REQUIRE_DOCKER=1, but no Docker engine answers', { cause });
    return false;
  }
}

const OWNER = 'claviger.owner';

/** Marks a container as ours: `removeOrphans` of any later process removes it once we are gone. */
export const ownerLabel = () => ({ [OWNER]: `${process.pid}` });

/** Removes containers whose owner was killed before it could. */
export async function removeOrphans(): Promise<void> {
  const lines = (await docker(['ps', '-a', '--filter', `label=${OWNER}`, '--format', `{{.ID}} {{.Label "${OWNER}"}}`])).split('\n');
  for (const [id, owner] of lines.map((line) => line.split(' '))) if (id && !isAlive(Number(owner))) await docker(['rm', '-f', '-v', id]);
}
