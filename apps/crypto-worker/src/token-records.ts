import { randomUUID } from 'node:crypto';
import type { TokenRecord } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

export type TokenEvent = Pick<TokenRecord, 'event' | 'token' | 'since' | 'detail'>;

/** So many are kept for later: a token that fails signs no records either. */
const owedMax = 32;

/** Puts into the ledger that a token fails and that it is well again, in this order, also when the first could be written only after the second. */
export class TokenRecords {
  private readonly owed: { id: string; entry: Record<string, unknown> }[] = [];
  private writing = false;

  constructor(
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly logger: Pick<LoggerService, 'warn'>,
    /** The worker that saw it. */
    private readonly holder: string,
  ) {}

  add(event: TokenEvent): void {
    if (this.owed.length === owedMax) this.owed.shift();
    // A record that was given up may be there after all: it then is there under one id.
    this.owed.push({ id: randomUUID(), entry: { kind: 'token', ...event, holder: this.holder } });
    if (!this.writing) void this.write();
  }

  private async write(): Promise<void> {
    this.writing = true;
    try {
      for (let next = this.owed[0]; next; next = this.owed[0]) {
        await this.trail.append(next.entry, next.id);
        if (this.owed[0] === next) this.owed.shift();
      }
    } catch (error) {
      this.logger.warn(`what happened to the token is not in the ledger yet; tried again at the next change: ${String(error)}`);
    } finally {
      this.writing = false;
    }
  }
}
