// The other end of together.ts, in the process that measures.
import { setTimeout as delay } from 'node:timers/promises';
import type { FromProcess, Go } from './together';

const tell = (message: FromProcess<unknown>) => new Promise<void>((resolve) => process.send?.(message, () => resolve()));

/** Says that this process is ready and waits for the order. @returns when to begin, in milliseconds since 1970-01-01 UTC: the same for all */
export async function whenAllAreReady(): Promise<number> {
  // Without the one who asked there is nobody to measure for.
  process.once('disconnect', () => process.exit(1));
  const go = new Promise<Go>((resolve) => process.once('message', (message) => resolve(message as Go)));
  await tell({ ready: true });
  return (await go).startMs;
}

/** The last thing that the process does. */
export async function told(measured: unknown): Promise<never> {
  await tell({ measured });
  process.exit(0);
}

export const untilTime = (timeMs: number): Promise<void> => delay(Math.max(0, timeMs - Date.now()));
