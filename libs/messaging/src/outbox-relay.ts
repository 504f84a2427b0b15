import type { LoggerService } from '@nestjs/common';

/** One outgoing message that was stored in the same document as the change that caused it. */
export interface OutboxItem<E = unknown> {
  aggregateId: string;
  entryId: string;
  entry: E;
}

export interface OutboxPage<E = unknown> {
  /** In order within an aggregate. */
  items: OutboxItem<E>[];
  /** The next page has aggregates with ids after this one; undefined when this was the last. */
  next?: string | undefined;
}

export interface OutboxSource<E = unknown> {
  /** Entries that are still in their documents, of at most `limit` aggregates with ids after `after`. */
  pending(limit: number, after?: string): Promise<OutboxPage<E>>;
  remove(aggregateId: string, entryIds: string[]): Promise<void>;
}

/** So many aggregates in a row cannot all be broken: the broker or the store is away. */
const failuresInARow = 5;
const pageSize = 500;
const handOf = ({ aggregateId, entryId }: OutboxItem) => `${aggregateId} ${entryId}`;

/**
 * Transactional outbox: delivers what a committed change left in its document, then removes it. At least once; `deliver` must be
 * idempotent (`Nats-Msg-Id` for events, compare-and-set for views). A crash after the commit loses nothing: the sweep finds the rest.
 */
export class OutboxRelay<E> {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private readonly delivering = new Set<Promise<void>>();
  /** Entries that `deliverNow` is delivering: a sweep leaves them alone. */
  private readonly inHand = new Set<string>();
  /** Aggregates whose entries cannot be delivered. Told when it begins and when it ends. */
  private readonly troubles = new Set<string>();
  private storeIsAway = false;
  /** Where the next sweep goes on: however many cannot be delivered, the others have their turn. */
  private after: string | undefined;

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

  /** All of one aggregate. */
  private async deliverAll(items: OutboxItem<E>[]): Promise<void> {
    const [first] = items;
    if (!first) return;
    const { aggregateId } = first;
    const ids = items.map(handOf);
    for (const id of ids) this.inHand.add(id);
    try {
      for (const item of items) await this.deliver(item);
      await this.source.remove(
        aggregateId,
        items.map((i) => i.entryId),
      );
    } finally {
      for (const id of ids) this.inHand.delete(id);
    }
  }

  /** One page. An aggregate whose entry cannot be delivered keeps its later ones waiting, and nobody else's. */
  private async sweepOnce(): Promise<void> {
    const { after } = this;
    let page: OutboxPage<E>;
    try {
      page = await this.source.pending(pageSize, after);
    } catch (error) {
      if (!this.storeIsAway) this.tell('the store', error);
      this.storeIsAway = true;
      return;
    }
    if (this.storeIsAway) this.tellEnd('the store');
    this.storeIsAway = false;
    this.after = page.next;
    const held = new Set<string>();
    const left = new Set<string>();
    let inARow = 0;
    // Those known to be in trouble come last: they tell nothing about whether the others can be delivered.
    const known = new Set(this.troubles);
    const [well, bad] = [page.items.filter((i) => !known.has(i.aggregateId)), page.items.filter((i) => known.has(i.aggregateId))];
    for (const item of [...well, ...bad]) {
      if (held.has(item.aggregateId)) continue;
      if (this.inHand.has(handOf(item))) {
        left.add(item.aggregateId);
        continue;
      }
      try {
        await this.deliver(item);
        await this.source.remove(item.aggregateId, [item.entryId]);
        inARow = 0;
      } catch (error) {
        held.add(item.aggregateId);
        if (!this.troubles.has(item.aggregateId)) this.tell(item.aggregateId, error);
        this.troubles.add(item.aggregateId);
        if (++inARow === failuresInARow) return;
      }
    }
    // A page that came to its end has tried them all: what was not held is delivered, by us or by another process. Of other pages it says nothing.
    const onPage = (id: string) => (after === undefined || id > after) && (page.next === undefined || id <= page.next);
    for (const id of this.troubles) if (!held.has(id) && !left.has(id) && onPage(id) && this.troubles.delete(id)) this.tellEnd(id);
  }

  private tell(trouble: string, error: unknown): void {
    this.logger.warn(`${this.name} of ${trouble}: will be tried again until it can be delivered: ${String(error)}`);
  }

  private tellEnd(trouble: string): void {
    this.logger.log(`${this.name} of ${trouble}: nothing is held up any more`);
  }
}
