import type { BucketName } from '@claviger/contracts';
import { JetStreamApiError, jetstream } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { recordHeaders } from './bucket-index';
import type { Held, KvView, ViewRecord } from './kv-view';
import { openBucket } from './open-bucket';
import { type RecordSigner, signRecord } from './signed-record';
import { SigningTogether } from './signing-together';

const marksApartMs = 50;

/**
 * The writing side of a view bucket. A write is a compare-and-set on what the bucket holds and never lowers a revision, also when two
 * relays race. After a change the owner signs a new high-water mark.
 */
export class KvOwner<T extends ViewRecord> {
  private kv!: KV;
  private timer: NodeJS.Timeout | undefined;
  private marking: Promise<void> = Promise.resolve();
  /** The mark that is signed after the one under way, for all who asked meanwhile. */
  private nextMark: Promise<void> | undefined;
  private pause: NodeJS.Timeout | undefined;
  private changedInPause = false;
  private signedSum = '';
  private signedAt = 0;
  private readonly signing: SigningTogether;

  constructor(
    private readonly connection: NatsConnection,
    private readonly bucket: BucketName,
    private readonly typ: string,
    private readonly signer: RecordSigner,
    /** Reads what a stored value's revision is; undefined when it does not verify and may be replaced. */
    private readonly revisionOf: (key: string, value: string) => number | undefined,
    /** The owner's own copy: what it holds need not be read before it is written, which is a round trip less for a suspension. */
    private readonly view?: Pick<KvView<T>, 'held'>,
    /** Records that every holder is to have whole from its start on. */
    private readonly preload: (record: T) => boolean = () => false,
  ) {
    this.signing = new SigningTogether(signer);
  }

  async start(): Promise<void> {
    this.kv = await openBucket(this.connection, this.bucket, () => undefined);
  }

  /** Puts a record unless the bucket holds this revision or a newer one. With `ttlSeconds` it goes away by itself. */
  async put(record: T, ttlSeconds?: number): Promise<'written' | 'already there'> {
    // What our copy holds may be old: the bucket itself tells, by refusing the write. Whether something is there already only the bucket can tell.
    let held: Held | undefined = this.view?.held(record.id);
    if (held && held.revision >= record.revision) held = undefined;
    for (;;) {
      held ??= await this.read(record.id);
      if (held.revision >= record.revision) return 'already there';
      try {
        await this.write(record, held.sequence, ttlSeconds);
        return 'written';
      } catch (error) {
        if (!isConflict(error)) throw error;
        held = undefined;
      }
    }
  }

  /** As `put`, for a record that was made just now, and so is hardly ever there: it is read only where the bucket refuses the write. */
  async putNew(record: T): Promise<'written' | 'already there'> {
    return (await this.created(record, undefined)) ? 'written' : this.put(record);
  }

  private async read(id: string): Promise<Held> {
    const current = await this.kv.get(id);
    const revision = current?.operation === 'PUT' ? this.revisionOf(id, current.string()) : undefined;
    return { sequence: current?.revision ?? 0, revision: revision ?? Number.NEGATIVE_INFINITY };
  }

  /** Claims an id that nobody has used: true only for the one caller that created it. The record goes away by itself after `ttlSeconds`. */
  claim(record: T, ttlSeconds: number): Promise<boolean> {
    return this.created(record, ttlSeconds);
  }

  private async created(record: T, ttlSeconds: number | undefined): Promise<boolean> {
    try {
      await this.write(record, 0, ttlSeconds);
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  /** Signs a new mark soon after what `view` covers has changed, and every `refreshMs` to keep it young. */
  keepMark(view: KvView<T>, refreshMs = 60_000): void {
    view.onChange(() => this.changed(view));
    this.timer = setInterval(() => {
      if (Date.now() - this.signedAt > refreshMs) this.signedSum = '';
      void this.sign(view);
    }, 1_000);
  }

  /** At once after a quiet moment, and while changes follow each other one mark for all of a pause: every holder verifies each. */
  private changed(view: KvView<T>): void {
    if (this.pause) {
      this.changedInPause = true;
      return;
    }
    void this.sign(view);
    this.pause = setTimeout(() => {
      this.pause = undefined;
      if (!this.changedInPause) return;
      this.changedInPause = false;
      this.changed(view);
    }, marksApartMs);
  }

  /** Resolves when what `view` held at the call is covered, or could not be: then the next second tries again. One mark at a time. */
  sign(view: KvView<T>): Promise<void> {
    this.nextMark ??= this.marking = this.marking.then(() => {
      this.nextMark = undefined;
      return this.mark(view).catch(() => undefined);
    });
    return this.nextMark;
  }

  private async mark(view: KvView<T>): Promise<void> {
    // What has not arrived here yet must not be left out of what others call complete.
    if (!view.proven() || !view.trusted()) return;
    const { count, sum, digest } = view.coveredSum();
    if (sum === this.signedSum) return;
    const current = await this.kv.get('mark');
    const previous = current?.operation === 'PUT' ? (this.revisionOf('mark', current.string()) ?? 0) : 0;
    const mark = {
      ...{ kind: 'mark', id: 'mark', revision: previous + 1, count, sum },
      ...(digest ? { digest } : {}),
      asOf: new Date().toISOString(),
    };
    await this.kv.put('mark', signRecord(this.typ, mark, this.signer), { previousSeq: current?.revision ?? 0 });
    this.signedSum = sum;
    this.signedAt = Date.now();
  }

  stop(): void {
    clearInterval(this.timer);
    clearTimeout(this.pause);
  }

  private async write(record: T, expectedSeq: number, ttlSeconds: number | undefined): Promise<void> {
    const h = headers();
    h.set('Nats-Expected-Last-Subject-Sequence', String(expectedSeq));
    h.set(recordHeaders.revision, String(record.revision));
    if (this.preload(record)) h.set(recordHeaders.preload, '1');
    if (ttlSeconds !== undefined) h.set('Nats-TTL', `${Math.max(1, Math.ceil(ttlSeconds))}s`);
    const value = await this.signing.sign(this.typ, record);
    await jetstream(this.connection).publish(`$KV.${this.bucket}.${record.id}`, value, { headers: h });
  }
}

/** 10071: the last sequence of the subject is not the expected one. */
const isConflict = (error: unknown) => error instanceof JetStreamApiError && error.code === 10071;
