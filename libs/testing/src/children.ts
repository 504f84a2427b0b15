// Every process that we start is known here, and ends with us.
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { until } from './until';
import { endWithUs } from './watchdog';

export interface ChildOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Appends what the program writes; it is also kept in memory (the last 4 MiB) for `logs()`. */
  readonly logFile?: string;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
  /** In log lines and errors; default the command. */
  readonly name?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly pid: number;
  readonly name: string;
  readonly exited: Promise<Exit>;
  running(): boolean;
  /** Standard output and standard error, interleaved. */
  logs(): string;
  signal(name: NodeJS.Signals): void;
  /** SIGSTOP: the process keeps its connections and answers nothing. */
  pause(): void;
  resume(): void;
  /** @throws when the process ends, or after `timeoutMs` (default 20 s), with its last lines */
  waitForLog(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** SIGTERM, after `graceMs` (default 10 s) SIGKILL; resolves when it is gone. */
  stop(graceMs?: number): Promise<void>;
  kill9(): Promise<void>;
}

const LOG_LIMIT = 4 * 1024 * 1024;
const alive = new Set<Child>();

/** Starts a program in a session of its own, so that a Ctrl-C in the terminal reaches us and not it. @throws when it cannot be started */
export async function startChild(command: string, args: readonly string[], options: ChildOptions = {}): Promise<Child> {
  const { cwd, env = process.env, logFile, input, name = command, uid, gid } = options;
  const started = spawn(command, args, {
    cwd,
    env,
    uid,
    gid,
    detached: true,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const pid = await new Promise<number>((resolve, reject) => {
    started.once('spawn', () => resolve(started.pid as number));
    started.once('error', (cause) => reject(new Error(`${name} did not start: ${cause.message}`, { cause })));
  });
  const forget = endWithUs(pid);
  started.stdin?.on('error', () => {}); // it may end without reading
  started.stdin?.end(input);
  const child = watched(started, pid, name, logFile);
  alive.add(child);
  void child.exited.then(() => {
    forget();
    alive.delete(child);
  });
  return child;
}

function watched(started: ChildProcess, pid: number, name: string, logFile: string | undefined): Child {
  const file = logFile === undefined ? undefined : createWriteStream(logFile, { flags: 'a' });
  let text = '';
  const keep = (chunk: string) => {
    text = (text + chunk).slice(-LOG_LIMIT);
    file?.write(chunk);
  };
  started.stdout?.setEncoding('utf8').on('data', keep);
  started.stderr?.setEncoding('utf8').on('data', keep);
  const exited = new Promise<Exit>((resolve) => {
    started.once('exit', (code, signal) => resolve({ code, signal }));
  });
  started.once('close', () => file?.end());
  const running = () => started.exitCode === null && started.signalCode === null;
  const lastLines = () => text.trimEnd().split('\n').slice(-20).join('\n');

  return {
    pid,
    name,
    exited,
    running,
    logs: () => text,
    signal: (signal) => void started.kill(signal),
    pause: () => void started.kill('SIGSTOP'),
    resume: () => void started.kill('SIGCONT'),
    async waitForLog(pattern, timeoutMs = 20_000) {
      const found = await until(() => text.match(pattern) ?? (running() ? undefined : 'ended'), {
        what: `${name} to log ${pattern}`,
        timeoutMs,
      }).catch((cause) => {
        throw new Error(`${cause.message}; its last lines:\n${lastLines()}`, { cause });
      });
      if (found === 'ended') throw new Error(`${name} ended before it logged ${pattern}; its last lines:\n${lastLines()}`);
      return found;
    },
    async stop(graceMs = 10_000) {
      if (!running()) return;
      started.kill('SIGTERM');
      started.kill('SIGCONT'); // a paused process would keep its SIGTERM pending
      const timer = setTimeout(() => started.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
    },
    async kill9() {
      started.kill('SIGKILL');
      await exited;
    },
  };
}

/** Stops what still runs, the newest first, each before the next: a service before the servers that it was started after. */
export async function stopChildren(graceMs?: number): Promise<void> {
  for (const child of [...alive].reverse()) await child.stop(graceMs);
}

export interface CommandResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. @throws with its output when it fails, unless `allowFailure` */
export async function runCommand(
  command: string,
  args: readonly string[],
  {
    allowFailure = false,
    timeoutMs = 120_000,
    input,
    ...options
  }: { allowFailure?: boolean; timeoutMs?: number; input?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<CommandResult> {
  const child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {}); // it may end without reading
  child.stdin.end(input);
  const result = await new Promise<CommandResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  if (result.code !== 0 && !allowFailure) throw new Error(`${command} ended with ${result.code ?? result.signal}:\n${stdout}${stderr}`);
  return result;
}
