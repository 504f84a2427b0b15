import { type BucketName, limits } from '@claviger/contracts';
import type { KV, KvEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { type MarkBody, RevisionSum } from './high-water-mark';
import { openBucket } from './open-bucket';

export interface ViewRecord {
  id: string;
  revision: number;
}

/** What a holder writes into the bucket: when, by its own monotonic clock, and whether it was serving from this view. */
interface Probe {
  sentAt: number;
  ready: boolean;
}

export interface KvViewOptions<T extends ViewRecord> {
  connection: NatsConnection;
  bucket: BucketName;
  /** Name of this holder, unique per process: its probe is `probe.<holder>`. */
  holder: string;
  /** Verifies signature and schema of a record, throws when it is not what the owner signed. */
  verify: (key: string, value: string) => T;
  verifyMark: (value: string) => MarkBody;
  /** Records that the high-water mark covers. */
  covered: (record: T) => boolean;
  /** Whether an unsigned delete may remove a record: only when it no longer matters (an expired session). */
  mayForget: (record: T) => boolean;
  /** Something in the bucket was refused: an old revision, a bad signature, a rolled-back bucket. */
  onRefused: (key: string, reason: string) => void;
  /** A mark older than this is refused at start. */
  markMaxAgeMs?: number;
  /** Monotonic milliseconds. */
  now?: () => number;
}

/**
 * A signed, monotonic, provably fresh copy of a KV bucket.
 *
 * *Signed*: every record is verified. *Monotonic*: a lower revision is never accepted. *Fresh*: the holder writes a probe into the bucket
 * every 500 ms and must see it come back through its own watch; 2 s without and `fresh()` is false, since a watch that died silently must
 * not mean "nothing changed". A watch that stays silent is opened anew. *Complete*: at start the records must add up to the owner's mark.
 */
export class KvView<T extends ViewRecord> {
  private readonly records = new Map<string, T>();
  private readonly listeners: ((record: T, previous: T | undefined) => void)[] = [];
  private readonly sum = new RevisionSum();
  private readonly counted = new Map<string, T>();
  private readonly now: () => number;
  private kv!: KV;
  private watch: AsyncIterable<KvEntry> & { stop(): void } = undefined as never;
  private timer: NodeJS.Timeout | undefined;
  private mark: MarkBody | undefined;
  private complete = false;
  private loaded = false;
  private probeSeenAt = Number.NEGATIVE_INFINITY;
  private watchOpenedAt = Number.NEGATIVE_INFINITY;
  private stopped = false;
  private readonly waiting: (() => void)[] = [];
  private readonly holders = new Map<string, number>();

  constructor(private readonly options: KvViewOptions<T>) {
    this.now = options.now ?? (() => performance.now());
  }

  async start(): Promise<void> {
    const { connection, bucket, onRefused } = this.options;
    this.kv = await openBucket(connection, bucket, (error) => onRefused('bucket', `not opened yet: ${String(error)}`));
    // A watch that could not be opened is a silent one: it is opened anew.
    await this.openWatch().catch((error) => onRefused('watch', `not opened yet: ${String(error)}`));
    this.timer = setInterval(() => void this.tick(), limits.viewProbeEveryMs);
    void this.probe();
  }

  get(id: string): T | undefined {
    return this.records.get(id);
  }

  values(): IterableIterator<T> {
    return this.records.values();
  }

  get size(): number {
    return this.records.size;
  }

  /** True while this copy is complete and its watch has proven itself within the last 2 s. Checked at every use. */
  fresh(): boolean {
    return this.complete && this.now() - this.probeSeenAt <= limits.viewStaleAfterMs;
  }

  /** Why it is not fresh, for health and logs. */
  state(): 'fresh' | 'stale' | 'loading' | 'no mark yet' | 'does not add up to its mark' | 'mark too old' {
    if (this.fresh()) return 'fresh';
    if (this.complete) return 'stale';
    if (!this.loaded) return 'loading';
    if (!this.mark) return 'no mark yet';
    return this.markTooOld(this.mark) ? 'mark too old' : 'does not add up to its mark';
  }

  /**
   * Holders that may be serving from this bucket now. One that has not said "ready" for 2 s is fenced: it knows that it is stale and refuses.
   */
  liveHolders(): string[] {
    const since = this.now() - limits.viewStaleAfterMs;
    for (const [holder, readyAt] of this.holders) if (readyAt < since) this.holders.delete(holder);
    return [...this.holders.keys()];
  }

  /** Resolves once fresh. */
  async whenFresh(): Promise<void> {
    if (!this.fresh()) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Called after a record was accepted, in the order of the bucket. */
  onChange(listener: (record: T, previous: T | undefined) => void): void {
    this.listeners.push(listener);
  }

  /** Reads one record past the watch: for a record so new that the watch has not delivered it. Same checks; undefined means the bucket has none. */
  async fetch(id: string): Promise<T | undefined> {
    const entry = await this.kv.get(id);
    if (entry?.operation !== 'PUT') return undefined;
    this.accept(entry);
    return this.records.get(id);
  }

  /** Sum and count of what the mark covers; for the owner, who signs it. */
  coveredSum(): { count: number; sum: string } {
    return this.sum.read();
  }

  /** Drops records that no longer matter. */
  prune(): void {
    for (const [id, record] of this.records) if (this.options.mayForget(record)) this.drop(id);
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    this.watch?.stop();
  }

  private async openWatch(): Promise<void> {
    this.watchOpenedAt = this.now();
    const watch = await this.kv.watch({ key: '>' });
    this.watch?.stop();
    if (this.stopped) return watch.stop();
    this.watch = watch;
    void (async () => {
      for await (const entry of watch) {
        try {
          this.onEntry(entry);
        } catch (error) {
          this.options.onRefused(entry.key, String(error));
        }
      }
    })();
  }

  private onEntry(entry: KvEntry): void {
    if (entry.key.startsWith('probe.')) {
      if (entry.operation === 'PUT') this.onProbe(entry.key.slice('probe.'.length), entry.json<Probe>());
      return;
    }
    if (entry.operation !== 'PUT') {
      const record = this.records.get(entry.key);
      if (record && this.options.mayForget(record)) this.drop(entry.key);
      else if (record) this.options.onRefused(entry.key, 'a delete of a record that still matters');
      return;
    }
    if (entry.key === 'mark') {
      const mark = this.options.verifyMark(entry.string());
      if (!this.mark || mark.revision > this.mark.revision) this.mark = mark;
      else if (mark.revision < this.mark.revision) this.options.onRefused('mark', 'a lower revision');
    } else this.accept(entry);
    if (!this.complete && this.loaded) this.checkComplete();
  }

  /**
   * Our own probe came back: everything that was in the bucket before it has been seen. Freshness counts from when it was *sent*, so an owner
   * that saw a probe knows when its holder goes stale. Probes of an earlier clock (a restart under the same name) do not count.
   */
  private onProbe(holder: string, { sentAt, ready }: Probe): void {
    if (ready === true) this.holders.set(holder, this.now());
    if (holder !== this.options.holder) return;
    if (!(sentAt > this.probeSeenAt) || sentAt > this.now()) return;
    this.probeSeenAt = sentAt;
    this.loaded = true;
    if (!this.complete) this.checkComplete();
    if (this.fresh()) for (const resolve of this.waiting.splice(0)) resolve();
  }

  private accept(entry: KvEntry): void {
    let record: T;
    try {
      record = this.options.verify(entry.key, entry.string());
    } catch (error) {
      this.options.onRefused(entry.key, error instanceof Error ? error.message : 'unreadable');
      return;
    }
    if (record.id !== entry.key) return this.options.onRefused(entry.key, `a record of ${record.id} under another name`);
    const previous = this.records.get(record.id);
    if (previous && record.revision < previous.revision)
      return this.options.onRefused(entry.key, `revision ${record.revision} after ${previous.revision}`);
    if (previous && record.revision === previous.revision) return;
    this.uncount(record.id);
    if (this.options.covered(record)) this.count(record);
    this.records.set(record.id, record);
    for (const listener of this.listeners) listener(record, previous);
  }

  private drop(id: string): void {
    this.uncount(id);
    this.records.delete(id);
  }

  private count(record: T): void {
    this.sum.add(record);
    this.counted.set(record.id, record);
  }

  /** Whether a record is covered may change with time, so what was added is remembered, not asked again. */
  private uncount(id: string): void {
    const counted = this.counted.get(id);
    if (counted) this.sum.remove(counted);
    this.counted.delete(id);
  }

  private markTooOld(mark: MarkBody): boolean {
    return Date.now() - Date.parse(mark.asOf) > (this.options.markMaxAgeMs ?? 86_400_000);
  }

  private checkComplete(): void {
    const { mark } = this;
    if (!mark || this.markTooOld(mark)) return;
    const mine = this.sum.read();
    this.complete = mine.count === mark.count && mine.sum === mark.sum;
    if (this.complete && this.fresh()) for (const resolve of this.waiting.splice(0)) resolve();
  }

  private async tick(): Promise<void> {
    void this.probe();
    const silent = this.now() - Math.max(this.probeSeenAt, this.watchOpenedAt);
    if (silent > limits.viewStaleAfterMs + limits.viewProbeEveryMs && !this.options.connection.isClosed()) {
      this.options.onRefused('watch', `silent for ${Math.round(silent)} ms; opening a new one`);
      await this.openWatch().catch(() => undefined);
    }
  }

  private async probe(): Promise<void> {
    await this.kv
      .put(`probe.${this.options.holder}`, JSON.stringify({ sentAt: this.now(), ready: this.fresh() } satisfies Probe))
      .catch(() => undefined);
  }
}
