import type { KV, KvEntry } from '@nats-io/kv';

/** `_data` is the consumer behind the iterator. */
type Watch = AsyncIterable<KvEntry> & { stop(): void; _data?: { delete?(): Promise<unknown> } };

/** A watch over a whole bucket, which can be opened anew. */
export class BucketWatch {
  /** When the one that is open was asked for, on the clock of `now`. */
  openedAt = Number.NEGATIVE_INFINITY;
  private current: Watch | undefined;
  private opening = false;
  private stopped = false;

  constructor(
    private readonly onEntry: (entry: KvEntry) => void,
    private readonly onTrouble: (what: string) => void,
    private readonly now: () => number,
  ) {}

  async open(kv: KV): Promise<void> {
    if (this.opening) return;
    this.opening = true;
    this.openedAt = this.now();
    try {
      const watch: Watch = await kv.watch({ key: '>' });
      end(this.current);
      if (this.stopped) return end(watch);
      this.current = watch;
      // A watch that ends is a silent one: it is opened anew.
      void this.follow(watch).catch((error) => this.onTrouble(`its watch ended: ${String(error)}`));
    } finally {
      this.opening = false;
    }
  }

  stop(): void {
    this.stopped = true;
    end(this.current);
  }

  private async follow(watch: Watch): Promise<void> {
    for await (const entry of watch)
      try {
        // What a watch that was replaced still holds comes too late to say anything.
        if (watch !== this.current) return;
        this.onEntry(entry);
      } catch (error) {
        this.onTrouble(`${entry.key}: ${String(error)}`);
      }
  }
}

/** Its consumer goes at once: the broker alone would keep one that was recreated on a reconnect for five minutes. */
function end(watch: Watch | undefined): void {
  watch?.stop();
  watch?._data?.delete?.().catch(() => undefined);
}
