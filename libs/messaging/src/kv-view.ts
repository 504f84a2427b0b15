import { type BucketName, limits } from '@claviger/contracts';
import type { KV, KvEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { Completeness } from './completeness';
import type { MarkBody } from './high-water-mark';
import { openBucket } from './open-bucket';
import { type Probe, WatchProof } from './watch-proof';

export interface ViewRecord {
  id: string;
  revision: number;
}

/** `_data` is the consumer behind the iterator. */
type Watch = AsyncIterable<KvEntry> & { stop(): void; _data?: { delete?(): Promise<unknown> } };
/** Its consumer goes at once: the broker alone would keep one that was recreated on a reconnect for five minutes. */
function end(watch: Watch | undefined): void {
  watch?.stop();
  watch?._data?.delete?.().catch(() => undefined);
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
 * not mean "nothing changed". A watch that stays silent is opened anew. *Announced*: only a probe that says "ready" makes fresh, so whoever reads the
 * bucket in order knows of every holder before it serves. *Complete*: at start the records must add up to the owner's mark.
 */
export class KvView<T extends ViewRecord> {
  private readonly records = new Map<string, T>();
  private readonly listeners: ((record: T, previous: T | undefined) => void)[] = [];
  private readonly completeness: Completeness;
  private readonly proof: WatchProof;
  private readonly now: () => number;
  private kv!: KV;
  private watch: Watch | undefined;
  private timer: NodeJS.Timeout | undefined;
  private watchOpenedAt = Number.NEGATIVE_INFINITY;
  private opening = false;
  private stopped = false;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly options: KvViewOptions<T>) {
    const { connection, bucket, holder, now = () => performance.now(), markMaxAgeMs } = options;
    this.now = now;
    this.proof = new WatchProof({ connection, bucket, holder, now });
    this.completeness = new Completeness(markMaxAgeMs);
  }

  async start(): Promise<void> {
    const { connection, bucket, onRefused } = this.options;
    this.kv = await openBucket(connection, bucket, (error) => onRefused('bucket', `not opened yet: ${String(error)}`));
    // A watch that could not be opened is a silent one: it is opened anew.
    await this.openWatch().catch((error) => onRefused('watch', `not opened yet: ${String(error)}`));
    this.timer = setInterval(() => void this.tick(), limits.viewProbeEveryMs);
    void this.proof.send(this.ready());
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
    return this.completeness.complete && this.proof.announced;
  }

  /** True while its watch has proven itself within the last 2 s, whether or not the copy adds up to a mark: what an owner asks before it signs one. */
  proven(): boolean {
    return this.proof.proven;
  }

  /** As good as fresh, but for the announcement. */
  private ready(): boolean {
    return this.completeness.complete && this.proof.proven;
  }

  /** Why it is not fresh, for health and logs. */
  state(): 'fresh' | 'stale' | 'loading' | ReturnType<Completeness['lacks']> {
    if (this.fresh()) return 'fresh';
    if (this.completeness.complete) return 'stale';
    return this.proof.once ? this.completeness.lacks() : 'loading';
  }

  /**
   * Holders that may be serving from this bucket now. One that has not said "ready" for 2 s is fenced: it knows that it is stale and refuses.
   */
  liveHolders(): string[] {
    return this.proof.liveHolders();
  }

  /** Resolves once fresh. */
  async whenFresh(): Promise<void> {
    if (!this.fresh()) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Called after a record was accepted, in the order of the bucket. */
  onChange(listener: (record: T, previous: T | undefined) => void): void {
    this.listeners.push(listener);
  }

  /**
   * Reads one record past the watch: for a record so new that the watch has not delivered it. Same checks; undefined means that the bucket has none.
   * Throws when it has one that is refused: that is not none.
   */
  async fetch(id: string): Promise<T | undefined> {
    const entry = await this.kv.get(id);
    if (entry?.operation !== 'PUT') return undefined;
    this.accept(entry);
    const record = this.records.get(id);
    if (!record) throw new Error(`the record of ${id} in the bucket was refused`);
    return record;
  }

  /** Sum and count of what the mark covers; for the owner, who signs it. */
  coveredSum(): { count: number; sum: string } {
    return this.completeness.read();
  }

  /** Drops records that no longer matter. */
  prune(): void {
    for (const [id, record] of this.records) if (this.options.mayForget(record)) this.drop(id);
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    end(this.watch);
  }

  private async openWatch(): Promise<void> {
    if (this.opening) return;
    this.opening = true;
    this.watchOpenedAt = this.now();
    try {
      const watch: Watch = await this.kv.watch({ key: '>' });
      end(this.watch);
      if (this.stopped) return end(watch);
      this.watch = watch;
      // A watch that ends is a silent one: it is opened anew.
      void this.follow(watch).catch((error) => this.options.onRefused('watch', `ended: ${String(error)}`));
    } finally {
      this.opening = false;
    }
  }

  private async follow(watch: AsyncIterable<KvEntry>): Promise<void> {
    for await (const entry of watch)
      try {
        this.onEntry(entry);
      } catch (error) {
        this.options.onRefused(entry.key, String(error));
      }
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
      if (!this.completeness.offer(mark)) this.options.onRefused('mark', 'a lower revision');
    } else this.accept(entry);
    if (!this.completeness.complete && this.proof.once && this.completeness.check()) this.announce();
  }

  private onProbe(holder: string, probe: Probe): void {
    if (this.proof.take(holder, probe) && this.completeness.check()) this.announce();
  }

  /** Not at the next tick: whoever waits for this view waits for the announcement too. */
  private announce(): void {
    if (this.fresh()) for (const resolve of this.waiting.splice(0)) resolve();
    else if (this.ready()) void this.proof.send(this.ready());
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
    if (this.options.covered(record)) this.completeness.count(record);
    else this.completeness.uncount(record.id);
    this.records.set(record.id, record);
    for (const listener of this.listeners) listener(record, previous);
  }

  private drop(id: string): void {
    this.completeness.uncount(id);
    this.records.delete(id);
  }

  private async tick(): Promise<void> {
    void this.proof.send(this.ready());
    const silent = this.proof.silentFor(this.watchOpenedAt);
    if (silent > limits.viewStaleAfterMs + limits.viewProbeEveryMs && !this.options.connection.isClosed()) {
      this.options.onRefused('watch', `silent for ${Math.round(silent)} ms; opening a new one`);
      await this.openWatch().catch(() => undefined);
    }
  }
}
