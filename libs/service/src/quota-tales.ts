import type { Counted } from '@claviger/authz';
import type { QuotaRecord } from '@claviger/contracts';
import type { AuditTrail, Counters } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import type { Count } from './counted-uses';

export interface QuotaTalesParts {
  counters: Pick<Counters, 'add'>;
  trail: Pick<AuditTrail, 'append'>;
  /** Who tells it. */
  holder: string;
  logger: LoggerService;
}
type Tale = Omit<QuotaRecord, 'kind' | 'id' | 'time' | 'service' | 'trace' | 'holder'>;

/** Windows that were told of here. */
const toldMax = 10_000;

/** Tells, in the ledger, that a quota refuses: once for each window, whichever process refuses first. Every refused request has its own record beside it. */
export class QuotaTales {
  private readonly told = new LRUCache<string, true>({ max: toldMax });
  /** By quota, since this process started. */
  readonly refusals = new Map<string, { usedUp: number; unknown: number }>();

  constructor(private readonly parts: QuotaTalesParts) {}

  refused({
    counted: { quota, subject },
    count,
    caller,
    why,
    since,
  }: {
    counted: Counted;
    count: Count;
    caller: string;
    why: 'used-up' | 'unknown';
    since: number;
  }): void {
    const refusals = this.refusals.get(quota.id) ?? { usedUp: 0, unknown: 0 };
    this.refusals.set(quota.id, refusals);
    if (why === 'unknown') {
      refusals.unknown++;
      return;
    }
    refusals.usedUp++;
    const name = `${count.key} ${since}`;
    if (this.told.has(name)) return;
    this.told.set(name, true);
    void this.first(`${count.counter(since / (count.windowMs ?? 1))}.exceeded`, {
      ...{ event: 'exceeded', quota: quota.id, limit: quota.limit, window: quota.window, since: new Date(since).toISOString() },
      ...{ principal: caller, ...(subject.keyId ? { keyId: subject.keyId } : {}) },
    });
  }

  /** A counter is lower than what this process saw of it. */
  putBack(count: Count, window: number): void {
    const { id, window: name, principal, keyId } = count.of;
    this.parts.logger.error(`the counter ${count.counter(window)} was put back: nothing more of it is let through here`);
    this.append({
      ...{ event: 'put-back', quota: id, limit: count.limit },
      ...(count.windowMs === undefined ? {} : { window: name, since: new Date(window * count.windowMs).toISOString() }),
      ...(principal ? { principal } : {}),
      ...(keyId ? { keyId } : {}),
    });
  }

  /** Only who finds that nobody was before tells it. */
  private async first(counter: string, tale: Tale): Promise<void> {
    try {
      if ((await this.parts.counters.add(counter, 1)) === 1) this.append(tale);
    } catch (error) {
      this.parts.logger.warn(`that the quota ${tale.quota} is used up is told by its refusals only: ${String(error)}`);
    }
  }

  private append(tale: Tale): void {
    const late = (error: unknown) =>
      this.parts.logger.warn(`what happened to the quota ${tale.quota} is in the ledger later: ${String(error)}`);
    this.parts.trail.append({ kind: 'quota', ...tale, holder: this.parts.holder }).catch(late);
  }
}
