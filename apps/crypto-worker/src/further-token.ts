import { ProblemError } from '@claviger/contracts';
import { HsmError, type HsmErrorCode, probeAsync, type Token } from '@claviger/hsm';
import type { Check } from '@claviger/operability';
import type { LoggerService } from '@nestjs/common';
import type { TokenEvent } from './token-breaker';

export interface FurtherTokenParts {
  label: string;
  /** Opens and tests it. */
  open: () => Promise<Token>;
  /** Between two probes, and before the first attempts to open one that is away. */
  probeEveryMs: number;
  /** Hears of each time when its keys begin to be refused, and when they no longer are. */
  report: (event: TokenEvent) => void;
  logger: Pick<LoggerService, 'log' | 'error'>;
}

const longestPauseMs = 60_000;
/** A network HSM that is away is not listed, as a token that never was. */
const isAway = (error: unknown) => error instanceof HsmError && (error.retryable || error.code === 'HSM_TOKEN_NOT_FOUND');
const says = (error: unknown, code: HsmErrorCode) => error instanceof HsmError && error.code === code;

/**
 * A token beside the first. Until it is opened, and while it fails a probe, its own keys are refused without asking it, and no others. One that is away
 * is opened once it is there; one that refuses its PIN, or fails its self test, is never tried again.
 */
export class FurtherToken {
  /** How often its keys began to be refused. */
  openings = 0;
  private token: Token | undefined;
  private trouble: unknown;
  private since = '';
  private attempts = 0;
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(private readonly parts: FurtherTokenParts) {}

  get label(): string {
    return this.parts.label;
  }

  /** Whether its keys are refused. */
  get refuses(): boolean {
    return this.trouble !== undefined;
  }

  /** Calls that were given up and have not ended. */
  get hanging(): number {
    return this.token?.hanging ?? 0;
  }

  /** Opens it, or goes on without it while it is away. @throws what it fails with for good: then the worker does not start */
  async start(): Promise<void> {
    await this.turn();
    if (this.token || isAway(this.trouble) || says(this.trouble, 'HSM_PIN_UNCERTAIN')) return;
    this.close();
    throw this.trouble;
  }

  /** The token, to be used at once. @throws ProblemError ERR_HSM_UNAVAILABLE while its keys are refused */
  reached(): Token {
    if (this.token && !this.refuses) return this.token;
    const why = this.token ? 'fails, and nothing is asked of it until it is well' : 'could not be opened by this worker';
    throw new ProblemError('ERR_HSM_UNAVAILABLE', `Token ${this.label} ${why}.`);
  }

  /** For the health endpoint: what the last attempt said, and what to do. The keys of all other tokens are used meanwhile, so the worker stays ready. */
  get check(): Check {
    const said = () => (this.refuses ? this.refusal() : `token ${this.label} (${this.token?.family}) is well`);
    return { name: `token ${this.label}`, kind: 'part', check: () => ({ ok: !this.refuses, detail: said() }) };
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.token?.close();
  }

  private async turn(): Promise<void> {
    try {
      if (this.token) await this.probe(this.token);
      else await this.open();
      this.settle(undefined);
    } catch (error) {
      // Busy says nothing about its health.
      if (!(this.token && says(error, 'HSM_CAPACITY'))) this.settle(error);
    }
    if (this.closed || !(this.token || isAway(this.trouble))) return;
    const { probeEveryMs } = this.parts;
    const pauseMs = this.token ? probeEveryMs : Math.min(longestPauseMs, probeEveryMs * 2 ** this.attempts++);
    this.timer = setTimeout(() => void this.turn(), pauseMs);
  }

  private async open(): Promise<void> {
    const token = await this.parts.open();
    this.token = token;
    if (this.closed) token.close();
  }

  private async probe(token: Token): Promise<void> {
    try {
      await probeAsync(token);
    } catch (error) {
      if (!says(error, 'HSM_SESSION_LOST')) throw error;
      // They are rebuilt.
      await probeAsync(token);
    }
  }

  private settle(trouble: unknown): void {
    if (this.closed) return;
    const [refused, before] = [this.refuses, this.trouble];
    this.trouble = trouble;
    const { label: token, parts } = this;
    if (this.refuses && !refused) {
      this.openings++;
      this.since = new Date().toISOString();
      parts.report({ event: 'failing', token, since: this.since, detail: text(trouble) });
    }
    // Also when it turns out that it will not come back by itself.
    if (this.refuses && (!refused || (isAway(before) && !isAway(trouble)))) parts.logger.error(this.refusal());
    if (!this.refuses && refused) {
      parts.logger.log(`token ${token} passes its probe; its keys are used again`);
      parts.report({ event: 'well', token, since: this.since, detail: 'it passed its probe' });
    }
  }

  private refusal(): string {
    const last = `Last: ${text(this.trouble)}`;
    const { label, parts } = this;
    if (this.token)
      return `token ${label} fails, so its keys are refused; it is probed every ${parts.probeEveryMs / 1_000} s, and they are used again once it passes. ${last}`;
    const then = isAway(this.trouble)
      ? `it is tried again by itself, at most ${longestPauseMs / 1_000} s apart`
      : 'it is not tried again: mend it, then restart this worker';
    return `token ${label} of FURTHER_TOKENS_FILE could not be opened, so its keys are refused; ${then}. ${last}`;
  }
}

/** An HsmError names the token and what to do next. */
const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));
