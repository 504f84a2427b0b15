import { ProblemError } from '@claviger/contracts';
import { HsmError, probeAsync, type Token } from '@claviger/hsm';
import type { Check } from '@claviger/operability';
import type { LoggerService } from '@nestjs/common';
import type { TokenEvent } from './token-breaker';

export interface FurtherTokenParts {
  token: Token;
  /** Between two probes. */
  probeEveryMs: number;
  /** Hears of each time when its keys begin to be refused, and when they no longer are. */
  report: (event: TokenEvent) => void;
  logger: Pick<LoggerService, 'log' | 'error'>;
}

/** A token beside the first, probed again and again. While it fails its own keys are refused without asking it, and no others. */
export class FurtherToken {
  /** How often its keys began to be refused. */
  openings = 0;
  private trouble: Error | undefined;
  private since = '';
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(private readonly parts: FurtherTokenParts) {
    this.probeLater();
  }

  get label(): string {
    return this.parts.token.label;
  }

  /** Whether its keys are refused. */
  get refuses(): boolean {
    return this.trouble !== undefined;
  }

  /** Calls that were given up and have not ended. */
  get hanging(): number {
    return this.parts.token.hanging;
  }

  /** The token, to be used at once. @throws ProblemError ERR_HSM_UNAVAILABLE while it fails */
  reached(): Token {
    if (this.trouble)
      throw new ProblemError('ERR_HSM_UNAVAILABLE', `Token ${this.label} fails, and nothing is asked of it until it is well.`);
    return this.parts.token;
  }

  /** For the health endpoint: what the last probe said. */
  get check(): Check {
    const { label, parts } = this;
    const said = () =>
      this.trouble
        ? `token ${label} fails, so its keys are refused; it is probed every ${parts.probeEveryMs / 1_000} s, and they are used again once it passes. Last: ${this.trouble.message}`
        : `token ${label} (${parts.token.family}) is well`;
    return { name: `token ${label}`, kind: 'ready', check: () => ({ ok: !this.trouble, detail: said() }) };
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.parts.token.close();
  }

  private probeLater(): void {
    if (!this.closed) this.timer = setTimeout(() => void this.probe(), this.parts.probeEveryMs);
  }

  private async probe(): Promise<void> {
    try {
      // Sessions that were lost are rebuilt by then.
      await probeAsync(this.parts.token).catch((error) => {
        if (error instanceof HsmError && error.code === 'HSM_SESSION_LOST') return probeAsync(this.parts.token);
        throw error;
      });
      this.turn(undefined);
    } catch (error) {
      // Busy says nothing about its health.
      if (!(error instanceof HsmError && error.code === 'HSM_CAPACITY')) this.turn(error as Error);
    }
    this.probeLater();
  }

  private turn(trouble: Error | undefined): void {
    if (this.closed) return;
    const refused = this.refuses;
    this.trouble = trouble;
    const { label: token, parts } = this;
    if (trouble && !refused) {
      this.openings++;
      this.since = new Date().toISOString();
      parts.report({ event: 'failing', token, since: this.since, detail: trouble.message });
      parts.logger.error(`token ${token} fails, so its keys are refused until it passes a probe: ${trouble.message}`);
    }
    if (!trouble && refused) {
      parts.logger.log(`token ${token} passes its probe; its keys are used again`);
      parts.report({ event: 'well', token, since: this.since, detail: 'it passed its probe' });
    }
  }
}
