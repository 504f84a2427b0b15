import type { AuditTrail } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { Fold } from './fold';

export interface FoldedRecordsParts<E extends object> {
  fold: Fold<E>;
  /** The record of so many alike. */
  record: (event: E, count: number) => Record<string, unknown>;
  trail: Pick<AuditTrail, 'append' | 'commit'>;
  logger: LoggerService;
  /** What is recorded, for the log. */
  what: string;
  /** While there is always something to write, the pause doubles up to this; by default it stays as it is. */
  slowestMs?: number;
}

/** Records of what others cause, and could cause without end: alike ones are written as one, at intervals. */
export class FoldedRecords<E extends object> {
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly parts: FoldedRecordsParts<E>) {}

  start(everyMs = 1_000): void {
    this.schedule(everyMs, everyMs);
  }

  /** True when it is the first of its kind since the last ones were written. */
  add(event: E): boolean {
    return this.parts.fold.add(event);
  }

  /** Writes what there is; resolves when it is durable. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    await Promise.all(this.flush());
  }

  private schedule(waitMs: number, everyMs: number): void {
    this.timer = setTimeout(() => {
      // While nothing can be made durable they are counted on: records that wait for it would pile up.
      const busy = this.parts.trail.commit.available && this.flush().length > 0;
      this.schedule(busy ? Math.min(waitMs * 2, Math.max(everyMs, this.parts.slowestMs ?? everyMs)) : everyMs, everyMs);
    }, waitMs);
  }

  private flush(): Promise<unknown>[] {
    const { fold, record, trail, logger, what } = this.parts;
    const late = (error: unknown) => logger.error(`${what} were not recorded in time: ${String(error)}`);
    return fold.take().map(({ event, count }) => trail.append(record(event, count)).catch(late));
  }
}
