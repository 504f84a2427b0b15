import { type BucketName, limits, type StateRefusal } from '@claviger/contracts';
import type { KV, KvEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { type IndexEntry, readIndex } from './bucket-index';
import { BucketWatch } from './bucket-watch';
import { Completeness } from './completeness';
import type { MarkBody } from './high-water-mark';
import { openBucket } from './open-bucket';
import { RecordSignatureError } from './signed-record';
import { Probe, WatchProof } from './watch-proof';

export interface ViewRecord {
  id: string;
  revision: number;
}

/**
 * Owners sign a mark within a second of a change, and forget what no longer matters within six. One that was killed before it signed has to start again and read
 * every record first, which took more than ten seconds on a machine with a load of 15. Nobody is served meanwhile: only what is told waits.
 */
const incompleteMs = 20_000;

/** State that its owner did not put where it was found. It was not used. */
export interface RefusedEntry {
  bucket: BucketName | 'store';
  key: string;
  reason: StateRefusal;
  detail: string;
}

/** A record of the bucket: its revision, and the sequence of the bucket's stream that it came with. */
export interface Held {
  revision: number;
  sequence: number;
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
  /** What only somebody with access to the broker can have done. */
  onRefused: (refused: RefusedEntry) => void;
  /** What happens by itself: a watch that is not open yet, or fell silent; a listener that threw. */
  onTrouble: (what: string) => void;
  /** A mark older than this is refused at start. */
  markMaxAgeMs?: number;
  /** Its marks have a digest, so that holders can read it by its headers. */
  withDigest?: boolean;
  /**
   * Not every record is held whole: what is in the bucket is read by its headers, proven as a whole by the mark's digest, and a record is read, and verified,
   * when it is first used. `atMost` of them are kept, and those that are `pinned`, which are read before this copy is fresh.
   */
  lazy?: { atMost: number; pinned: (record: T) => boolean };
  /** Monotonic milliseconds. */
  now?: () => number;
  /** Of each of our probes that came back: when it was sent (monotonic ms), and when the broker stored it (ms since 1970). */
  onProbe?: (sentAt: number, storedMs: number) => void;
}

/** An index that does not add up to its mark for so long is given up, and every record is read: a mark follows a change within some milliseconds. */
const indexPatienceMs = 3_000;
const preloadsAtOnce = 32;
const preloadAgainMs = 1_000;
const readsAtOnce = 64;
/** Changes of the last moments before an index was read: whoever waits for their acknowledgement may wait for this holder, too. */
const recentMs = 30_000;
const recentLeast = 1_000;

interface Entry<T> extends Held {
  /** Absent while it is not held whole. */
  record: T | undefined;
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
  /** Each record, and the sequence of the bucket's stream that it came with last. */
  private readonly records = new Map<string, Entry<T>>();
  /** Ids of records that are held whole and may be dropped, the one that was used longest ago first. */
  private readonly whole = new Set<string>();
  /** Every record here was verified, or all of them are proven by the mark. */
  private verified: boolean;
  private preloaded: boolean;
  private patience: NodeJS.Timeout | undefined;
  private again: NodeJS.Timeout | undefined;
  private recent: { id: string; revision: number; createdMs: number }[] = [];
  private recentMost = recentLeast;
  private readonly indexListeners: ((changed: { id: string; revision: number }) => void)[] = [];
  private resumed = false;
  private indexing = false;
  private stopped = false;
  private readonly listeners: ((record: T, previous: T | undefined) => void)[] = [];
  private readonly completeness: Completeness;
  private readonly proof: WatchProof;
  private readonly now: () => number;
  private kv!: KV;
  private readonly watch: BucketWatch;
  /** Of the bucket's stream, of the mark that came last. */
  private markSequence = 0;
  private timer: NodeJS.Timeout | undefined;
  /** Since when what was read does not add up. */
  private incompleteSince: number | undefined;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly options: KvViewOptions<T>) {
    const { connection, bucket, holder, now = () => performance.now(), markMaxAgeMs } = options;
    this.now = now;
    this.proof = new WatchProof({ connection, bucket, holder, now, onReturn: options.onProbe });
    this.completeness = new Completeness(markMaxAgeMs, options.withDigest);
    this.verified = options.lazy === undefined;
    this.preloaded = options.lazy === undefined;
    const [onEntry, onTrouble] = [(entry: KvEntry) => this.onEntry(entry), (what: string) => this.trouble(what)];
    this.watch = new BucketWatch({ kv: () => this.kv, onEntry, onTrouble, now });
  }

  async start(): Promise<void> {
    const { connection, bucket } = this.options;
    this.kv = await openBucket(connection, bucket, (error) => this.trouble(`not opened yet: ${String(error)}`));
    void this.proof.send(this.ready());
    // Not waited for: of a million keys it takes a while, and whoever needs it waits until this copy is fresh.
    if (this.options.lazy) void this.openByIndex();
    else await this.openWatch();
    this.timer = setInterval(() => void this.tick(), limits.viewProbeEveryMs);
    void this.proof.send(this.ready());
  }

  /** Undefined also while it is not held whole: then `held` knows it, and `fetch` reads it. */
  get(id: string): T | undefined {
    const record = this.records.get(id)?.record;
    if (record && this.whole.delete(id)) this.whole.add(id);
    return record;
  }

  /** For the owner, who writes on top of it. */
  held(id: string): Held | undefined {
    const held = this.records.get(id);
    return held && { revision: held.revision, sequence: held.sequence };
  }

  /** Whether what `held` says is proven: by the mark, or by the signature of each record. */
  trusted(): boolean {
    return this.verified || this.completeness.complete;
  }

  /** Whether it adds up to its owner's mark, or has done so and was followed since. */
  complete(): boolean {
    return this.completeness.complete;
  }

  ids(): IterableIterator<string> {
    return this.records.keys();
  }

  *values(): IterableIterator<T> {
    for (const { record } of this.records.values()) if (record) yield record;
  }

  /** Every record that there was at the beginning, as it is now; read where it is not held whole. Throws when one cannot be read. */
  async *every(): AsyncGenerator<T> {
    const ids = [...this.records.keys()];
    for (let from = 0; from < ids.length; from += readsAtOnce) {
      const some = ids.slice(from, from + readsAtOnce).map(async (id) => this.get(id) ?? (await this.fetchAgain(id)));
      for (const record of await Promise.all(some)) if (record) yield record;
    }
  }

  /** One that was changed while it was read came by the watch: it may have been dropped again, so it is read once more. */
  private fetchAgain(id: string): Promise<T | undefined> {
    return this.fetch(id).catch(() => this.get(id) ?? this.fetch(id));
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
    return this.completeness.complete && this.preloaded && this.proof.proven;
  }

  /** Why it is not fresh, for health and logs. */
  state(): 'fresh' | 'stale' | 'loading' | ReturnType<Completeness['lacks']> {
    if (this.fresh()) return 'fresh';
    if (this.completeness.complete) return this.preloaded ? 'stale' : 'loading';
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

  /** Called for records that came by an index and were changed in the last moments before it. */
  onIndexed(listener: (changed: { id: string; revision: number }) => void): void {
    this.indexListeners.push(listener);
  }

  /**
   * Reads one record past the watch: for a record so new that the watch has not delivered it. Same checks; undefined means that the bucket has none.
   * Throws when it has one that is refused: that is not none.
   */
  async fetch(id: string): Promise<T | undefined> {
    const entry = await this.kv.get(id);
    const held = this.records.get(id);
    if (entry?.operation !== 'PUT') {
      if (!held) return undefined;
      throw new Error(`the bucket has no record of ${id} any more`);
    }
    // While the answer was on its way the watch may have delivered it, and what came after it: then it is old, and nobody put it back.
    if (entry.revision < (held?.sequence ?? 0) || (held?.record && entry.revision === held.sequence)) {
      if (held?.record) return this.get(id);
      throw new Error(`the record of ${id} was changed while it was read`);
    }
    if (!held || entry.revision > held.sequence) this.watch.readPast(entry);
    this.accept(entry);
    const record = this.get(id);
    if (!record) throw new Error(`the record of ${id} in the bucket was refused`);
    return record;
  }

  /** Sum and count of what the mark covers; for the owner, who signs it. */
  coveredSum(): { count: number; sum: string; digest?: string } {
    return this.completeness.read();
  }

  /** Drops records that no longer matter. */
  prune(): void {
    for (const [id, { record }] of this.records) if (record && this.options.mayForget(record)) this.drop(id);
  }

  stop(): void {
    clearInterval(this.timer);
    clearTimeout(this.patience);
    clearTimeout(this.again);
    this.stopped = true;
    this.watch.stop();
  }

  private onEntry(entry: KvEntry): void {
    if (entry.key.startsWith('probe.')) return this.onProbe(entry);
    if (entry.operation !== 'PUT') this.onDelete(entry.key);
    else if (entry.key === 'mark') this.onMark(entry);
    else this.accept(entry);
    if (!this.completeness.complete && this.proof.once && this.completeness.check()) this.completed();
  }

  private onDelete(key: string): void {
    const held = this.records.get(key);
    if (held?.record && this.options.mayForget(held.record)) this.drop(key);
    else if (held) this.refuse(key, 'deleted', 'a delete of a record that still matters');
  }

  private onMark(entry: KvEntry): void {
    this.markSequence = entry.revision;
    const mark = this.read(entry, () => this.options.verifyMark(entry.string()));
    if (mark && !this.completeness.offer(mark)) this.refuse(entry.key, 'older-revision', 'a lower revision');
  }

  private onProbe(entry: KvEntry): void {
    if (entry.operation !== 'PUT') return;
    const probe = this.read(entry, () => Probe.parse(entry.json()));
    if (!probe || !this.proof.take(entry.key.slice('probe.'.length), probe, entry.created.getTime())) return;
    const before = this.completeness.complete;
    if (!this.completeness.check()) return;
    if (before) this.announce();
    else this.completed();
  }

  /** Not at the next tick: whoever waits for this view waits for the announcement too. */
  private announce(): void {
    if (this.fresh()) for (const resolve of this.waiting.splice(0)) resolve();
    else if (this.ready()) void this.proof.send(this.ready());
  }

  private accept(entry: KvEntry): void {
    const record = this.read(entry, () => this.options.verify(entry.key, entry.string()));
    if (!record) return;
    if (record.id !== entry.key) return this.refuse(entry.key, 'other-name', `a record of ${record.id} under another name`);
    const held = this.records.get(record.id);
    if (held && record.revision < held.revision)
      return this.refuse(entry.key, 'older-revision', `revision ${record.revision} after ${held.revision}`);
    const previous = held?.record;
    const same = held?.revision === record.revision;
    this.hold(entry.revision, same ? (previous ?? record) : record);
    if (same) return;
    if (this.options.covered(record)) this.completeness.count(record);
    else this.completeness.uncount(record.id);
    for (const listener of this.listeners) listener(record, previous);
  }

  /** Undefined when it is refused. */
  private read<R>({ key }: KvEntry, parse: () => R): R | undefined {
    try {
      return parse();
    } catch (error) {
      const reason = error instanceof RecordSignatureError ? 'not-signed' : 'not-a-record';
      this.refuse(key, reason, error instanceof Error ? error.message : 'unreadable');
      return undefined;
    }
  }

  private refuse(key: string, reason: StateRefusal, detail: string): void {
    this.options.onRefused({ bucket: this.options.bucket, key, reason, detail });
  }

  /**
   * A copy that was read through, does not add up and goes on not to is of a bucket that was put back or lost something, or whose owner ended before it
   * signed. For a moment it is so after each change as well: the mark follows the records.
   */
  private noticeIncomplete(): void {
    const state = this.state();
    if (state !== 'does not add up to its mark' && state !== 'mark too old') {
      this.incompleteSince = undefined;
      return;
    }
    this.incompleteSince ??= this.now();
    if (this.now() - this.incompleteSince < incompleteMs) return;
    // Once: until it is complete it stays the same.
    this.incompleteSince = Number.POSITIVE_INFINITY;
    this.refuse('mark', 'incomplete', `the bucket ${state === 'mark too old' ? 'has a mark that is too old' : state}`);
  }

  private trouble(what: string): void {
    this.options.onTrouble(`${this.options.bucket}: ${what}`);
  }

  private hold(sequence: number, record: T): void {
    const { lazy } = this.options;
    this.records.set(record.id, { revision: record.revision, sequence, record });
    this.whole.delete(record.id);
    if (!lazy || lazy.pinned(record)) return;
    this.whole.add(record.id);
    for (const oldest of this.whole) {
      if (this.whole.size <= lazy.atMost) return;
      this.whole.delete(oldest);
      const held = this.records.get(oldest);
      if (held) held.record = undefined;
    }
  }

  private async openWatch(from?: number): Promise<void> {
    // A watch that could not be opened is a silent one: it is opened anew.
    await this.watch.open(from).catch((error) => this.trouble(`its watch is not opened yet: ${String(error)}`));
  }

  /** Reads headers, then follows from there. Where they cannot be proven every record is read: an owner that signs no digest, a mark that is away. */
  private async openByIndex(): Promise<void> {
    const pinned: string[] = [];
    let [hasMark, hasAll] = [false, true];
    this.completeness.countHeaders();
    this.indexing = true;
    const onEntry = ({ id, revision, sequence, createdMs, preload }: IndexEntry) => {
      if (id === 'mark') hasMark = true;
      else if (revision === undefined) hasAll = false;
      else {
        this.records.set(id, { revision, sequence, record: undefined });
        this.completeness.count({ id, revision });
        if (preload) pinned.push(id);
        this.recent.push({ id, revision, createdMs });
        if (this.recent.length > this.recentMost) {
          this.recent = this.recent.filter((one) => createdMs - one.createdMs < recentMs);
          // Of many that came within that time each is looked at a few times, not once for each that follows.
          this.recentMost = Math.max(recentLeast, 2 * this.recent.length);
        }
      }
    };
    try {
      const sequence = await readIndex(this.kv, onEntry).finally(() => (this.indexing = false));
      if (this.stopped) return;
      if (!hasMark || !hasAll) return await this.openWhole();
      this.completeness.headersCounted();
      await this.openWatch(sequence + 1);
      void this.proof.send(this.ready());
      const mark = await this.kv.get('mark');
      // While the answer was on its way the watch may have delivered a later one: then this is old, and nobody put it back.
      if (mark?.operation === 'PUT' && mark.revision > this.markSequence) this.onMark(mark);
      this.patience = setTimeout(() => void this.losePatience(), indexPatienceMs);
      // Not waited for: a record that is held up holds up this copy, not its start.
      void this.preload(pinned);
    } catch (error) {
      this.trouble(`it is read whole, not by its headers: ${String(error)}`);
      await this.openWhole();
    }
  }

  private async losePatience(): Promise<void> {
    if (this.stopped || this.completeness.complete) return;
    this.trouble('what its headers say does not add up to its mark: every record is read');
    await this.openWhole();
  }

  /** From now on every record that is held was verified. */
  private async openWhole(): Promise<void> {
    this.records.clear();
    this.whole.clear();
    this.recent = [];
    this.completeness.restart();
    this.verified = true;
    this.preloaded = true;
    await this.openWatch();
    void this.proof.send(this.ready());
  }

  /** Until all are read this copy is not fresh: a key cannot be used without its KEK. */
  private async preload(ids: readonly string[]): Promise<void> {
    const left = [...ids];
    const failed: string[] = [];
    const reader = async () => {
      for (let id = left.pop(); id !== undefined && !this.verified; id = left.pop())
        if (!this.records.get(id)?.record) await this.fetch(id).catch(() => failed.push(id as string));
    };
    await Promise.all(Array.from({ length: preloadsAtOnce }, reader));
    if (this.verified) return;
    if (failed.length === 0) {
      this.preloaded = true;
      this.announce();
      return;
    }
    this.trouble(`${failed.length} records cannot be read yet, ${failed[0]} among them`);
    this.again = setTimeout(() => void this.preload(failed), preloadAgainMs);
  }

  /** It adds up to its mark, for the first time. */
  private completed(): void {
    clearTimeout(this.patience);
    const newest = this.recent.at(-1)?.createdMs ?? 0;
    for (const { id, revision, createdMs } of this.recent.splice(0))
      if (newest - createdMs < recentMs) for (const listener of this.indexListeners) listener({ id, revision });
    this.announce();
  }

  private drop(id: string): void {
    this.completeness.uncount(id);
    this.whole.delete(id);
    this.records.delete(id);
  }

  private async tick(): Promise<void> {
    void this.proof.send(this.ready());
    this.noticeIncomplete();
    // Before its watch is opened nothing can come back.
    if (this.indexing) return;
    const silent = this.proof.silentFor(this.watch.openedAt);
    if (silent > limits.viewStaleAfterMs + limits.viewProbeEveryMs && !this.options.connection.isClosed()) {
      this.trouble(`its watch is silent for ${Math.round(silent)} ms; opening a new one`);
      // What came meanwhile, first; everything when that does not help, as after the bucket was made anew.
      this.resumed = this.options.lazy !== undefined && this.completeness.complete && !this.resumed;
      await this.watch.open(this.resumed ? this.watch.delivered + 1 : undefined).catch(() => undefined);
    }
  }
}
