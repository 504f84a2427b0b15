// Runs one program to its end. Each gets a process group of its own, so that a time limit or a Ctrl-C ends it with all that it started.
import { spawn } from 'node:child_process';
import { SetupProblem } from './problem.mjs';
import { watch } from './watchdog.mjs';

const running = new Set();
let stopping = false;
const KILL_AFTER_MS = 5_000;

const signalGroup = (pid, signal) => {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH' && error.code !== 'EPERM') throw error;
  }
};

/**
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number, onLine?: (line: string) => void, input?: string, tee?: NodeJS.WritableStream }} options `tee`: what the program writes also goes there
 * @returns {Promise<{ code: number, stdout: string, stderr: string, timedOut: boolean }>} code 127 when there is no such program
 */
export function run(command, args, { cwd, env = process.env, timeoutMs, onLine, input, tee } = {}) {
  return new Promise((resolve, reject) => {
    if (stopping) return reject(new SetupProblem('stopped'));
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    let timedOut = false;
    const end = () => {
      signalGroup(child.pid, 'SIGTERM');
      setTimeout(() => signalGroup(child.pid, 'SIGKILL'), KILL_AFTER_MS).unref();
    };
    const timer =
      timeoutMs &&
      setTimeout(() => {
        timedOut = true;
        end();
      }, timeoutMs);
    if (child.pid) {
      const forget = watch(-child.pid);
      const entry = { end, done: new Promise((done) => child.once('close', done)) };
      running.add(entry);
      child.once('close', () => {
        running.delete(entry);
        forget();
      });
    }
    for (const name of ['stdout', 'stderr'])
      child[name].setEncoding('utf8').on('data', (text) => {
        output[name] += text;
        tee?.write(text);
        const line = text.trimEnd().split('\n').at(-1)?.trim();
        if (line && onLine) onLine(line);
      });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', (error) => {
      clearTimeout(timer);
      if (error.code === 'ENOENT' || error.code === 'EACCES') resolve({ code: 127, ...output, timedOut });
      else reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      if (stopping) reject(new SetupProblem('stopped'));
      else resolve({ code: code ?? 1, ...output, timedOut });
    });
  });
}

/** Like `run`, but anything else than success is a SetupProblem that shows the program's last lines. */
export async function mustRun(command, args, { todo = [], what = command, lines = 15, ...options } = {}) {
  const result = await run(command, args, options);
  if (result.code === 0) return result;
  const said = `${result.stdout}\n${result.stderr}`
    .trim()
    .split('\n')
    .slice(-lines)
    .map((line) => `  | ${line}`);
  const why = result.timedOut ? `took longer than ${Math.round(options.timeoutMs / 1000)} s` : `ended with code ${result.code}`;
  throw new SetupProblem(`${what} ${why}`, [...said, ...todo]);
}

/** Ends every program that still runs, and lets none start any more. Resolves when all are gone. */
export async function stopRunning() {
  stopping = true;
  await Promise.all(
    [...running].map(({ end, done }) => {
      end();
      return done;
    }),
  );
}
