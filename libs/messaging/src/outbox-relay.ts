import type { LoggerService } from '@nestjs/common';

/** One outgoing message that was stored in the same document as the change that caused it. */
export interface OutboxItem<E = unknown> {
  aggregateId: string;
  entryId: string;
  entry: E;
}

export interface OutboxSource<E = unknown> {
  /** Oldest entries that are still in their documents, in order within an aggregate. */
  pending(limit: number): Promise<OutboxItem<E>[]>;
  remove(aggregateId: string, entryIds: string[]): Promise<void>;
}

/**
 * Transactional outbox: delivers what a committed change left in its document, then removes it. At least once; `deliver` must be
 * idempotent (`Nats-Msg-Id` for events, compare-and-set for views). A crash after the commit loses nothing: the sweep finds the rest.
 */
export class OutboxRelay<E> {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;

  constructor(
    private readonly source: OutboxSource<E>,
    private readonly deliver: (item: OutboxItem<E>) => Promise<void>,
    private readonly logger: LoggerService,
  ) {}

  start(everyMs = 1_000): void {
    this.timer = setInterval(() => void this.sweep(), everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping;
  }

  /** Delivers the entries of a change that was just committed, without waiting for the sweep. */
  async deliverNow(items: OutboxItem<E>[]): Promise<void> {
    for (const item of items) await this.deliver(item);
    const first = items[0];
    if (first)
      await this.source.remove(
        first.aggregateId,
        items.map((i) => i.entryId),
      );
  }

  sweep(): Promise<void> {
    this.sweeping ??= this.sweepOnce().finally(() => (this.sweeping = undefined));
    return this.sweeping;
  }

  private async sweepOnce(): Promise<void> {
    try {
      for (const item of await this.source.pending(500)) {
        await this.deliver(item);
        await this.source.remove(item.aggregateId, [item.entryId]);
      }
    } catch (error) {
      this.logger.warn(`outbox: will be tried again: ${String(error)}`);
    }
  }
}
