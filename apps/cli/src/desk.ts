import type { EventEmitter } from 'node:events';
import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { CommandError, exitCodes } from './exit-codes';

/** Where custodians sit down one after the other: a dialogue on a terminal, of which nothing stays visible. */
export interface Desk {
  say(...lines: string[]): void;
  /** @throws CommandError when the terminal is closed or the dialogue interrupted */
  ask(question: string): Promise<string>;
  /** Screen and what was scrolled off it. */
  clear(): void;
  /** What is on the screen is erased with it. */
  close(): void;
}

/** Erase the display, erase what was scrolled off, go to the first line (ECMA-48 ED and CUP; `3` is that of xterm). */
const erase = '\x1b[2J\x1b[3J\x1b[H';

export function openDesk(input: Readable, output: Writable): Desk {
  const lines = createInterface({ input, output, terminal: false });
  const closed = new AbortController();
  // However it ends (done, Ctrl-D, a terminal that is gone), a share that is shown or was typed does not outlive it.
  lines.once('close', () => {
    output.write(erase);
    closed.abort();
  });
  const interrupted = () =>
    new CommandError('badInput', 'The dialogue ended before it was done', 'Begin again: nothing of it is in force.');
  return {
    say: (...all) => {
      for (const line of all) output.write(`${line}\n`);
    },
    ask: async (question) => {
      if (closed.signal.aborted) throw interrupted();
      try {
        return (await lines.question(question, { signal: closed.signal })).trim();
      } catch {
        throw interrupted();
      }
    },
    clear: () => output.write(erase),
    close: () => lines.close(),
  };
}

/** Of this process. @throws CommandError where there is no terminal on both sides: a share must be seen by eyes only */
export function openTerminal(instead: string): Desk {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new CommandError('usage', 'There is no terminal here to hold the dialogue on', instead);
  return endedBySignals(openDesk(process.stdin, process.stderr), process, () => process.exit(exitCodes.badInput));
}

/** Whoever breaks off leaves no share on the screen. */
export function endedBySignals(desk: Desk, signals: Pick<EventEmitter, 'once' | 'off'>, exit: () => void): Desk {
  const breakOff = () => {
    close();
    exit();
  };
  const close = () => {
    for (const signal of breaks) signals.off(signal, breakOff);
    desk.close();
  };
  for (const signal of breaks) signals.once(signal, breakOff);
  return { ...desk, close };
}

/** Ctrl-C, a polite kill, and a terminal that was closed. */
const breaks = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
