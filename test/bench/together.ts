import { type ChildProcess, fork } from 'node:child_process';
import { builtProgram, workspaceRoot } from '@claviger/testing';

/** From a process: that it has everything that it needs, then what it measured. To it: when to begin. */
export type FromProcess<T> = { ready: true } | { measured: T };
export interface Go {
  /** Milliseconds since 1970-01-01 UTC. */
  startMs: number;
}

export interface Measuring {
  processes: number;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** What the measurement itself takes, after the start. */
  lastsMs: number;
}

/** Long enough for the order to reach every process before the time that it names. */
const leadMs = 500;
const readyMs = 120_000;
const endMs = 60_000;

/**
 * `test/bench/<program>.ts` in several processes that measure over the same interval: none begins before all are ready, so that no process has the
 * machine to itself while another still opens its token. @throws when one of them fails or is late, with what it wrote
 */
export async function together<T>(program: string, { processes, args, env = process.env, lastsMs }: Measuring): Promise<T[]> {
  const cwd = workspaceRoot();
  const file = await builtProgram(`test/bench/${program}.ts`);
  const start = () => fork(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const children = Array.from({ length: processes }, start);
  try {
    await Promise.all(children.map((child) => messageOf<FromProcess<T>>(child, `${program} to be ready`, readyMs)));
    const startMs = Date.now() + leadMs;
    const results = children.map((child) => messageOf<FromProcess<T>>(child, `${program} to have measured`, leadMs + lastsMs + endMs));
    for (const child of children) child.send({ startMs } satisfies Go);
    return (await Promise.all(results)).map((result) => (result as { measured: T }).measured);
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

function messageOf<M>(child: ChildProcess, what: string, timeoutMs: number): Promise<M> {
  let text = '';
  const keep = (chunk: Buffer) => {
    text = (text + chunk).slice(-4_000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return new Promise<M>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for ${what}:\n${text}`)), timeoutMs);
    child.once('message', (message) => resolve(message as M));
    // After its streams have ended, so that what it wrote is there.
    child.once('close', (code, signal) => reject(new Error(`waited for ${what}; it ended with ${code ?? signal}:\n${text}`)));
    child.once('error', reject);
    void child.once('close', () => clearTimeout(timer)).once('message', () => clearTimeout(timer));
  });
}
