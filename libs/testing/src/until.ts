import type { EventEmitter } from 'node:events';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

export interface UntilOptions {
  /** Completes "waited 10000 ms for …". */
  readonly what: string;
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Asks `condition` again and again until it gives something truthy, which is the result. A throw counts as "not yet".
 * @throws after `timeoutMs`, with the condition's last throw as the cause
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = DEFAULT_TIMEOUT_MS, everyMs = 20 }: UntilOptions,
): Promise<Exclude<T, null | undefined | false | 0 | ''>> {
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  do {
    try {
      const result = await condition();
      if (result) return result as Exclude<T, null | undefined | false | 0 | ''>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await delay(everyMs);
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause });
}

/** The arguments of the next `event`. @throws after `timeoutMs`, and when the emitter emits 'error' first */
export async function untilEvent(
  emitter: EventEmitter,
  event: string,
  { what, timeoutMs = DEFAULT_TIMEOUT_MS }: UntilOptions,
): Promise<unknown[]> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return await once(emitter, event, { signal });
  } catch (cause) {
    if (signal.aborted) throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause });
    throw cause;
  }
}
