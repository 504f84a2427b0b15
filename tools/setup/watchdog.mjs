import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './paths.mjs';

let watchdog;

/** Has `pid` (negative: a process group) ended when this process is gone. Call what it returns once the pid has ended, since numbers are used again. */
export function watch(pid) {
  if (!watchdog) {
    watchdog = spawn('/bin/sh', [join(root, 'tools/setup/watchdog.sh')], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    watchdog.stdin.on('error', () => {});
    watchdog.unref();
    watchdog.stdin.unref?.();
  }
  watchdog.stdin.write(`watch ${pid}\n`);
  return () => watchdog.stdin.write(`forget ${pid}\n`);
}
