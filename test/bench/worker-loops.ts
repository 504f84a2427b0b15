import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { builtProgram, until } from '@claviger/testing';
import type { LoopDelay } from './loop-delay';

/** For the environment of workers whose event loops are to be watched. */
export async function watchedLoops(folder: string, nodeOptions = ''): Promise<Record<string, string>> {
  const program = pathToFileURL(await builtProgram('test/bench/loop-delay.ts')).href;
  return { NODE_OPTIONS: `${nodeOptions} --import=${program}`, LOOP_DELAY_FOLDER: folder };
}

/** Begins to watch; the function that it gives ends it and has the worst of each number over all processes. */
export function watchLoops(folder: string, pids: readonly number[]): () => Promise<LoopDelay> {
  for (const pid of pids) signal(pid);
  return async () => {
    for (const pid of pids) signal(pid);
    const read = (pid: number) =>
      until(() => JSON.parse(readFileSync(join(folder, `${pid}.json`), 'utf8')) as LoopDelay, {
        what: `the event-loop delay of worker process ${pid}`,
      });
    const delays = await Promise.all(pids.map(read));
    return { p50Ms: Math.max(...delays.map(({ p50Ms }) => p50Ms)), p99Ms: Math.max(...delays.map(({ p99Ms }) => p99Ms)) };
  };
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGUSR2');
  } catch (cause) {
    throw new Error(`worker process ${pid} ended while it was measured`, { cause });
  }
}
