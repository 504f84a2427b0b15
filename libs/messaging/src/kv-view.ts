import { randomUUID } from 'node:crypto';
import { type BucketName, limits } from '@claviger/contracts';
import { jetstream } from '@nats-io/jetstream';
import type { KV, KvEntry } from '@nats-io/kv';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { type MarkBody, RevisionSum } from './high-water-mark';
import { openBucket } from './open-bucket';

export interface ViewRecord {
  id: string;
  revision: number;
}

/** What a holder writes into the bucket. */
interface Probe {
  /** Random, per view object: what an earlier process of the same name wrote proves nothing. */
  run: string;
  /** By the holder's own monotonic clock. */
  sentAt: number;
  /** From now on it may be serving from this view. */
  ready: boolean;
}
/** Probes of processes that are gone do not stay. */
const probeTtl = '60s';

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
  private readonly sum = new RevisionSum();
  private readonly counted = new Map<string, T>();
  private readonly now: () => number;
  private kv!: KV;
  private watch: Watch | undefined;
  private timer: NodeJS.Timeout | undefined;
  private mark: MarkBody | undefined;
  private complete = false;
  private loaded = false;
  private readonly run = randomUUID();
  /** When the newest of our probes that came back was sent, and the newest of those that said "ready". */
  private provenAt = Number.NEGATIVE_INFINITY;
  private announcedAt = Number.NEGATIVE_INFINITY;
  private watchOpenedAt = Number.NEGATIVE_INFINITY;
  private opening = false;
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
    return this.complete && this.now() - this.announcedAt <= limits.viewStaleAfterMs;
  }

  /** True while its watch has proven itself within the last 2 s, whether or not the copy adds up to a mark: what an owner asks before it signs one. */
  proven(): boolean {
    return this.now() - this.provenAt <= limits.viewStaleAfterMs;
  }

  /** As good as fresh, but for the announcement. */
  private ready(): boolean {
    return this.complete && this.proven();
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
    return this.sum.read();
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
      if (!this.mark || mark.revision > this.mark.revision) this.mark = mark;
      else if (mark.revision < this.mark.revision) this.options.onRefused('mark', 'a lower revision');
    } else this.accept(entry);
    if (!this.complete && this.loaded) this.checkComplete();
  }

  /**
   * Our own probe came back: everything that was in the bucket before it has been seen. Freshness counts from when it was *sent*, so an owner
   * that saw a probe knows when its holder goes stale.
   */
  private onProbe(holder: string, { run, sentAt, ready }: Probe): void {
    if (ready === true) this.holders.set(holder, this.now());
    if (holder !== this.options.holder || run !== this.run || !(sentAt > this.provenAt)) return;
    this.provenAt = sentAt;
    if (ready === true) this.announcedAt = sentAt;
    this.loaded = true;
    if (this.complete) this.announce();
    else this.checkComplete();
  }

  /** Not at the next tick: whoever waits for this view waits for the announcement too. */
  private announce(): void {
    if (this.fresh()) for (const resolve of this.waiting.splice(0)) resolve();
    else if (this.ready()) void this.probe();
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
    return Date.now() - Date.parse(mark.asOf) > (this.options.markMaxAgeMs ?? 900_000);
  }

  private checkComplete(): void {
    const { mark } = this;
    if (!mark || this.markTooOld(mark)) return;
    const mine = this.sum.read();
    this.complete = mine.count === mark.count && mine.sum === mark.sum;
    if (this.complete) this.announce();
  }

  private async tick(): Promise<void> {
    void this.probe();
    const silent = this.now() - Math.max(this.provenAt, this.watchOpenedAt);
    if (silent > limits.viewStaleAfterMs + limits.viewProbeEveryMs && !this.options.connection.isClosed()) {
      this.options.onRefused('watch', `silent for ${Math.round(silent)} ms; opening a new one`);
      await this.openWatch().catch(() => undefined);
    }
  }

  private async probe(): Promise<void> {
    const { connection, bucket, holder } = this.options;
    const probe: Probe = { run: this.run, sentAt: this.now(), ready: this.ready() };
    const ttl = headers();
    ttl.set('Nats-TTL', probeTtl);
    // One that does not get there does not come back: that is what is asked.
    await jetstream(connection)
      .publish(`$KV.${bucket}.probe.${holder}`, JSON.stringify(probe), { headers: ttl })
      .catch(() => undefined);
  }
}
