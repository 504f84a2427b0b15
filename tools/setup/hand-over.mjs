// Runs the task's own program in Node 24 in place of this process, as far as Node allows: same arguments, same exit code, signals passed on.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { cache, root } from './paths.mjs';
import { watch } from './watchdog.mjs';

/** npm passes a Ctrl-C on to us that the terminal has sent us already. */
const SAME_SIGNAL_MS = 1_000;

/** The environment of everything that runs after the set-up. */
export const taskEnvironment = (node) => ({
  ...process.env,
  PATH: [join(root, 'node_modules/.bin'), dirname(node), process.env.PATH].join(delimiter),
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(cache, 'node-compile'),
  NX_DAEMON: 'false',
  NX_TUI: 'false',
});

/**
 * The program gets a session of its own, so a Ctrl-C in the terminal reaches it once, through us, and never its servers before it.
 * We wait for it, however long it takes to stop; should we be killed, the watchdog ends it.
 * @returns {Promise<number>} its exit code, 128 + n after signal n
 */
export function handOver(node, program, args) {
  const child = spawn(node, ['--enable-source-maps', join(root, program), ...args], {
    cwd: root,
    env: taskEnvironment(node),
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const last = {};
  const passOn = (signal) => {
    const now = Date.now();
    if (now - (last[signal] ?? -Infinity) < SAME_SIGNAL_MS) return;
    last[signal] = now;
    child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, passOn);
  const forget = child.pid ? watch(-child.pid) : () => {};
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      forget();
      for (const name of signals) process.off(name, passOn);
      resolve(signal ? 128 + constants.signals[signal] : code);
    });
  });
}
