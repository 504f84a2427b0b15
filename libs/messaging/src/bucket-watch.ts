import type { KV, KvEntry } from '@nats-io/kv';

/** `_data` is the consumer behind the iterator. */
export type Watch = AsyncIterable<KvEntry> & { stop(): void; _data?: { delete?(): Promise<unknown> } };
/** Its consumer goes at once: the broker alone would keep one that was recreated on a reconnect for five minutes. */
export function endWatch(watch: Watch | undefined): void {
  watch?.stop();
  watch?._data?.delete?.().catch(() => undefined);
}

export interface BucketWatchOptions {
  kv: () => KV;
  /** Each entry, in the order of the bucket. What it throws ends nothing. */
  onEntry: (entry: KvEntry) => void;
  onTrouble: (what: string) => void;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** Follows a bucket. Opened anew it delivers everything once more; what comes late, by an old watch or after it was read past the watch, it leaves out. */
export class BucketWatch {
  private watch: Watch | undefined;
  private opening = false;
  private stopped = false;
  /** The highest sequence that was delivered. */
  delivered = 0;
  /** Sequence of entries that were read past the watch, by key, until that comes to them. */
  private readonly ahead = new Map<string, number>();
  /** When it was last opened. */
  openedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: BucketWatchOptions) {}

  /** From the sequence `from` on, or everything. Throws when the broker does not open it. */
  async open(from?: number): Promise<void> {
    if (this.opening) return;
    this.opening = true;
    this.openedAt = this.options.now();
    try {
      const watch: Watch = await this.options.kv().watch({ key: '>', ...(from === undefined ? {} : { resumeFromRevision: from }) });
      endWatch(this.watch);
      if (this.stopped) return endWatch(watch);
      this.watch = watch;
      // A watch that ends is a silent one: it is opened anew.
      void this.follow(watch).catch((error) => this.options.onTrouble(`its watch ended: ${String(error)}`));
    } finally {
      this.opening = false;
    }
  }

  /** To be told of what was read past it: what was in the bucket before that is late, not put back. */
  readPast({ key, revision }: KvEntry): void {
    if (revision > this.delivered) this.ahead.set(key, revision);
  }

  stop(): void {
    this.stopped = true;
    endWatch(this.watch);
  }

  private async follow(watch: Watch): Promise<void> {
    for await (const entry of watch) {
      // What a watch that was replaced still holds comes too late to say anything.
      if (watch !== this.watch) return;
      this.delivered = Math.max(this.delivered, entry.revision);
      if (this.isLate(entry)) continue;
      try {
        this.options.onEntry(entry);
      } catch (error) {
        this.options.onTrouble(`${entry.key}: ${String(error)}`);
      }
    }
  }

  private isLate({ key, revision }: KvEntry): boolean {
    const ahead = this.ahead.get(key);
    if (ahead === undefined) return false;
    if (revision >= ahead) this.ahead.delete(key);
    return revision < ahead;
  }
}
