import { ProblemError, type TokenRecord } from '@claviger/contracts';
import { HsmError, type HsmErrorCode } from '@claviger/hsm';
import type { LoggerService } from '@nestjs/common';
import { afterFailure, afterPause, afterProbe, type Breaker, type BreakerLimits, closed, type FailureKind, refuses } from './breaker';

const kinds: Partial<Record<HsmErrorCode, FailureKind>> = {
  HSM_UNAVAILABLE: 'token',
  HSM_SESSION_LOST: 'token',
  HSM_PIN_INCORRECT: 'token',
  HSM_PIN_LOCKED: 'token',
  HSM_CAPACITY: 'call',
  HSM_OPERATION_FAILED: 'call',
  HSM_WRAPPED_KEY_INVALID: 'call',
};

/** What the ledger is told. */
export type TokenEvent = Pick<TokenRecord, 'event' | 'token' | 'since' | 'detail'>;

export interface TokenBreakerParts {
  /** Label of the token. */
  token: string;
  /** Throws unless the token is well. */
  probe: () => void;
  limits: BreakerLimits;
  /** Hears when requests begin to be refused, and when they no longer are. */
  report: (event: TokenEvent) => void;
  logger: Pick<LoggerService, 'log' | 'error'>;
  /** Milliseconds, of any origin. */
  now?: () => number;
}

/** Hears of failures of the token, refuses requests while it fails, and probes it until it is well again. */
export class TokenBreaker {
  /** All that a request costs while it is closed. */
  refuses = false;
  /** How often it has opened. */
  openings = 0;
  private breaker: Breaker = closed;
  private last: unknown;
  private since = '';
  private timer: NodeJS.Timeout | undefined;
  private readonly now: () => number;

  constructor(private readonly parts: TokenBreakerParts) {
    this.now = parts.now ?? (() => performance.now());
  }

  get label(): string {
    return this.parts.token;
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE */
  assertClosed(): void {
    if (!this.refuses) return;
    const { token } = this.parts;
    throw new ProblemError('ERR_HSM_UNAVAILABLE', `Token ${token} failed repeatedly, and this worker asks nothing of it until it is well.`);
  }

  /** What a request failed with. Errors that say nothing about the token's health are none of its business. */
  observe(error: unknown): void {
    const kind = error instanceof HsmError ? kinds[error.code] : undefined;
    if (kind === undefined || this.refuses) return;
    // A further token that fails is no reason to refuse the keys of this one.
    if (error instanceof HsmError && error.token !== undefined && error.token !== this.parts.token) return;
    this.last = error;
    this.turn(afterFailure(this.breaker, kind, this.now(), this.parts.limits));
  }

  /** For the health endpoint. */
  check(): { ok: boolean; detail: string } {
    const { token, limits } = this.parts;
    if (!this.refuses) return { ok: true, detail: `requests reach token ${token}` };
    const probes = `it is probed every ${limits.probeEveryMs / 1_000} s, and requests go on by themselves once it passes`;
    return { ok: false, detail: `token ${token} fails, so requests are refused; ${probes}. Last: ${text(this.last)}` };
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private turn(next: Breaker): void {
    this.breaker = next;
    if (next.state === 'half-open') return this.probe();
    const refused = this.refuses;
    this.refuses = refuses(next);
    const { token, logger, limits, report } = this.parts;
    if (this.refuses && !refused) {
      this.openings++;
      this.since = new Date().toISOString();
      report({ event: 'failing', token, since: this.since, detail: text(this.last) });
      logger.error(
        `token ${token} fails, so requests are refused until it passes a probe (every ${limits.probeEveryMs} ms): ${text(this.last)}`,
      );
    }
    if (!this.refuses && refused) {
      logger.log(`token ${token} passes its probe; requests reach it again`);
      report({ event: 'well', token, since: this.since, detail: 'it passed its probe' });
    }
    if (next.state !== 'open') return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.turn(afterPause(this.breaker, this.now())), Math.ceil(next.probeAtMs - this.now()) + 1);
  }

  private probe(): void {
    let passed = false;
    try {
      this.parts.probe();
      passed = true;
    } catch (error) {
      this.last = error;
    }
    this.turn(afterProbe(this.breaker, passed, this.now(), this.parts.limits));
  }
}

/** An HsmError names the token and what to do next. */
const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));
