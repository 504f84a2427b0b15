import { limits, type Operation } from '@claviger/contracts';

/** Longest wait of a service for the durable record (`auditWaitMs`) and a margin: earlier, an answer may still be on its way. */
const patienceMs = limits.auditWaitMs + 500;
const firstPauseMs = 20;
const longestPauseMs = 1_000;
/** An attempt with less time than this likely ends at the deadline, and would turn "nobody received it" into "the outcome is unknown". */
export const leastAttemptMs = 500;

/** How long one attempt waits. A call that may be repeated leaves time for another worker when the first one died with the request. */
export function attemptTimeoutMs(retry: Operation['retry'], timeoutMs: number, remainingMs: number): number {
  return Math.max(1, retry === 'safe' ? Math.min(remainingMs, Math.max(patienceMs, timeoutMs / 3)) : remainingMs);
}

export interface FailedAttempt {
  retry: Operation['retry'];
  /** The problem says that the same request may succeed later; no answer in time counts as that. */
  retryable: boolean;
  /** The problem says that it does not succeed earlier. */
  retryAfterMs?: number | undefined;
  /** Certain that nobody has received the request. */
  undelivered: boolean;
  /** 0 for the first. */
  attempt: number;
  remainingMs: number;
  /** Uniform in [0, 1). */
  random: number;
}

/** Milliseconds until the next attempt, or undefined to give up. Repeats only what is safe to repeat or was received by nobody. */
export function retryPauseMs({
  retry,
  retryable,
  retryAfterMs = 0,
  undelivered,
  attempt,
  remainingMs,
  random,
}: FailedAttempt): number | undefined {
  if (!undelivered && !(retry === 'safe' && retryable)) return undefined;
  const pauseMs = retryAfterMs + jitteredBackoffMs(attempt, firstPauseMs, longestPauseMs, random);
  const neededMs = retry === 'safe' ? pauseMs : pauseMs + leastAttemptMs;
  return neededMs < remainingMs ? pauseMs : undefined;
}

/** Exponential back-off, spread over the upper half, so that many clients that failed together do not return together. */
export function jitteredBackoffMs(attempt: number, firstMs: number, longestMs: number, random: number): number {
  return Math.min(longestMs, firstMs * 2 ** attempt) * (0.5 + random / 2);
}
