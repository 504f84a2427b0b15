import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { workspaceRoot } from './workspace';

let watchdog: ChildProcess | undefined;

function start(): ChildProcess {
  const script = join(workspaceRoot(), 'tools/setup/watchdog.sh');
  const started = spawn('/bin/sh', [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  started.stdin?.on('error', () => {}); // gone already: then nobody is left to tell
  started.unref();
  (started.stdin as Socket).unref();
  return started;
}

/**
 * Has the process `pid` ended (SIGTERM, 5 s later SIGKILL) once this process is gone, however it goes: a pipe closes, and a shell at its other end acts.
 * @returns call it once `pid` has ended, since the system uses numbers again
 */
export function endWithUs(pid: number): () => void {
  watchdog ??= start();
  const { stdin } = watchdog;
  stdin?.write(`watch ${pid}\n`);
  return () => {
    stdin?.write(`forget ${pid}\n`);
  };
}
