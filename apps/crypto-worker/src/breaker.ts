/** `token`: nothing that a caller sends makes the token fail like this. `call`: the token refused one call, which may have been the caller's doing. */
export type FailureKind = 'token' | 'call';

export interface BreakerLimits {
  /** So many failures within the window are too many. */
  failures: number;
  windowMs: number;
  /** Between two probes of a token that is not trusted; and how long one that has passed is, against failures that a caller may cause. */
  probeEveryMs: number;
}

/**
 * Whether a token is asked at all. Closed: requests reach it. Half-open: a probe is asked for, and its outcome decides; requests go on as they did
 * before (`sinceMs`: they are refused since then). Open: requests are refused, and the next probe is due at `probeAtMs`.
 */
export type Breaker =
  | { state: 'closed'; failures: readonly { atMs: number; kind: FailureKind }[]; trustedUntilMs: number }
  | { state: 'half-open'; sinceMs?: number }
  | { state: 'open'; sinceMs: number; probeAtMs: number };

export const closed: Breaker = { state: 'closed', failures: [], trustedUntilMs: Number.NEGATIVE_INFINITY };

export const refuses = (breaker: Breaker): boolean =>
  breaker.state === 'open' || (breaker.state === 'half-open' && breaker.sinceMs !== undefined);

/**
 * Too many failures of the token itself open it. If a caller may have caused one of them, a probe decides: nobody closes a healthy token to others by
 * what they send, and one that passed its probe is not probed again at their pace.
 */
export function afterFailure(breaker: Breaker, kind: FailureKind, nowMs: number, limits: BreakerLimits): Breaker {
  if (breaker.state !== 'closed') return breaker;
  const recent = breaker.failures.filter(({ atMs }) => nowMs - atMs < limits.windowMs);
  const failures = [...recent, { atMs: nowMs, kind }].slice(-limits.failures);
  if (failures.length < limits.failures) return { ...breaker, failures };
  if (failures.every((failure) => failure.kind === 'token'))
    return { state: 'open', sinceMs: nowMs, probeAtMs: nowMs + limits.probeEveryMs };
  return nowMs < breaker.trustedUntilMs ? { ...breaker, failures } : { state: 'half-open' };
}

/** Asks for the probe that is due. */
export const afterPause = (breaker: Breaker, nowMs: number): Breaker =>
  breaker.state === 'open' && nowMs >= breaker.probeAtMs ? { state: 'half-open', sinceMs: breaker.sinceMs } : breaker;

/** Only a probe that was asked for counts. */
export function afterProbe(breaker: Breaker, passed: boolean, nowMs: number, limits: BreakerLimits): Breaker {
  if (breaker.state !== 'half-open') return breaker;
  if (passed) return { state: 'closed', failures: [], trustedUntilMs: nowMs + limits.probeEveryMs };
  return { state: 'open', sinceMs: breaker.sinceMs ?? nowMs, probeAtMs: nowMs + limits.probeEveryMs };
}
