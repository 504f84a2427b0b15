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

/** So many aggregates in a row cannot all be broken: the broker or the store is away. */
const failuresInARow = 5;

/**
 * Transactional outbox: delivers what a committed change left in its document, then removes it. At least once; `deliver` must be
 * idempotent (`Nats-Msg-Id` for events, compare-and-set for views). A crash after the commit loses nothing: the sweep finds the rest.
 */
export class OutboxRelay<E> {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private readonly delivering = new Set<Promise<void>>();
  /** What sweeps are in trouble with: documents whose entries cannot be delivered, and the store itself. Told when it begins and when it ends. */
  private readonly troubles = new Set<string>();

  constructor(
    private readonly source: OutboxSource<E>,
    private readonly deliver: (item: OutboxItem<E>) => Promise<void>,
    private readonly logger: LoggerService,
    /** For the log. */
    private readonly name = 'outbox',
  ) {}

  start(everyMs = 1_000): void {
    this.timer = setInterval(() => void this.sweep(), everyMs);
  }

  /** Waits for what is being delivered; the rest is found by the next process. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.allSettled([...this.delivering, this.sweeping]);
  }

  /** Delivers the entries of a change that was just committed, without waiting for the sweep. */
  async deliverNow(items: OutboxItem<E>[]): Promise<void> {
    const delivery = this.deliverAll(items);
    this.delivering.add(delivery);
    try {
      await delivery;
    } finally {
      this.delivering.delete(delivery);
    }
  }

  sweep(): Promise<void> {
    this.sweeping ??= this.sweepOnce().finally(() => (this.sweeping = undefined));
    return this.sweeping;
  }

  private async deliverAll(items: OutboxItem<E>[]): Promise<void> {
    for (const item of items) await this.deliver(item);
    const [first] = items;
    if (first)
      await this.source.remove(
        first.aggregateId,
        items.map((i) => i.entryId),
      );
  }

  /** An aggregate whose entry cannot be delivered keeps its later ones waiting, and nobody else's. */
  private async sweepOnce(): Promise<void> {
    let items: OutboxItem<E>[];
    try {
      items = await this.source.pending(500);
    } catch (error) {
      return this.begins(theStore, error);
    }
    this.ends(theStore);
    const held = new Set<string>();
    let inARow = 0;
    for (const item of items) {
      if (held.has(item.aggregateId)) continue;
      try {
        await this.deliver(item);
        await this.source.remove(item.aggregateId, [item.entryId]);
        inARow = 0;
      } catch (error) {
        held.add(item.aggregateId);
        this.begins(item.aggregateId, error);
        if (++inARow === failuresInARow) return;
      }
    }
    // A sweep that came to its end has tried them all: what was not held is delivered, by us or by another process.
    for (const trouble of this.troubles) if (!held.has(trouble)) this.ends(trouble);
  }

  private begins(trouble: string, error: unknown): void {
    if (this.troubles.has(trouble)) return;
    this.troubles.add(trouble);
    this.logger.warn(`${this.name} of ${trouble}: will be tried again until it can be delivered: ${String(error)}`);
  }

  private ends(trouble: string): void {
    if (this.troubles.delete(trouble)) this.logger.log(`${this.name} of ${trouble}: nothing is held up any more`);
  }
}

const theStore = 'the store';
