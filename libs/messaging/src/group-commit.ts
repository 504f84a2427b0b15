import { limits, ProblemError, type Receipt } from '@claviger/contracts';
import { type JetStreamClient, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** Seals record lines into the next batch of a worker's hash chain. Called once per batch, in order; the bytes are then published as they are. */
export interface BatchSealer {
  readonly worker: string;
  /** `firstIndex`: place of the first given line within the batch. */
  seal(lines: readonly string[]): Sealed | Promise<Sealed>;
}

export interface Sealed {
  bytes: Uint8Array;
  batchHash: string;
  epoch: string;
  seq: number;
  firstIndex: number;
}

/** A leaf of the ledger has at most 65,535 bytes (C2SP tlog-tiles): one longer record would hold up every other for ever. */
const recordBytesMax = 65_535;
/** What may wait while nothing can be stored; refusals come in at the pace of their callers. */
const waitingBytesMax = 16 * limits.auditBatchBytes;
const expireEveryMs = 250;
const pauseMsMax = 2_000;

interface Pending {
  line: string;
  id: string;
  /** Monotonic ms by which the caller must have an answer. */
  deadline: number;
  answered: boolean;
  resolve: (receipt: Receipt) => void;
  reject: (error: ProblemError) => void;
}

/**
 * Group commit of audit records: one message holds every record collected while the previous acknowledgement was in flight. An
 * acknowledgement means fsync (the server runs with `sync_interval: always`), and only then are the records' callers answered.
 *
 * When a batch cannot be stored within 2 s its callers get ERR_AUDIT_UNAVAILABLE, `available` turns false, and the *identical bytes* are
 * published again until they are stored (`Nats-Msg-Id` makes that once); no later batch goes out before. What was told
 * ERR_AUDIT_UNAVAILABLE and stored after all is named in an `unanswered` record.
 */
export class AuditGroupCommit {
  private readonly js: JetStreamClient;
  private pending: Pending[] = [];
  private pendingBytes = 0;
  private busy = false;
  private scheduled = false;
  private failing = false;
  private stopped = false;
  private readonly unanswered: string[] = [];
  private appended = 0;
  private settled = 0;
  private readonly waiting: { until: number; resolve: () => void }[] = [];
  /** Called with the outcome of each publish attempt: `records` made durable, or 0 and the error. */
  observe: (records: number, seconds: number, error?: unknown) => void = () => undefined;

  constructor(
    connection: NatsConnection,
    private readonly subject: string,
    private readonly sealer: BatchSealer,
    /** Makes the `unanswered` record line. */
    private readonly unansweredLine: (ids: string[]) => { id: string; line: string },
  ) {
    this.js = jetstream(connection, { timeout: limits.auditWaitMs });
  }

  /** False while a batch is stuck: an operation should be refused before it happens, for it could not be recorded. */
  get available(): boolean {
    return !this.failing && !this.stopped;
  }

  /** Resolves when the record is durable. `line` is one JSON object without newlines. */
  append(id: string, line: string): Promise<Receipt> {
    if (this.stopped) return Promise.reject(new ProblemError('ERR_SHUTTING_DOWN'));
    if (line.length * 3 > recordBytesMax && Buffer.byteLength(line) > recordBytesMax)
      return Promise.reject(
        new ProblemError('ERR_INTERNAL', undefined, { cause: new Error(`record ${id} is longer than ${recordBytesMax} bytes`) }),
      );
    if (this.pendingBytes > waitingBytesMax) return Promise.reject(new ProblemError('ERR_AUDIT_UNAVAILABLE'));
    return this.enqueue(id, line);
  }

  /** Resolves when every record appended before this call is durable; never when this process ends before they are. */
  async drained(): Promise<void> {
    if (this.settled < this.appended) await new Promise<void>((resolve) => this.waiting.push({ until: this.appended, resolve }));
  }

  /** Drains for at most `timeoutMs`, then takes no more; who still waits is told so. */
  async stop(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([this.empty(), new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)))]);
    clearTimeout(timer);
    this.stopped = true;
    this.expire(this.pending.splice(0), Number.POSITIVE_INFINITY);
  }

  /** Also of what storing gives rise to: the `unanswered` record. */
  private async empty(): Promise<void> {
    while (this.settled < this.appended) await this.drained();
  }

  private enqueue(id: string, line: string): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      this.pending.push({ id, line, deadline: performance.now() + limits.auditWaitMs, answered: false, resolve, reject });
      this.pendingBytes += line.length;
      this.appended++;
      this.schedule();
    });
  }

  /** One turn of the event loop gathers what arrived together. */
  private schedule(): void {
    if (this.scheduled || this.busy) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      void this.pump();
    });
  }

  private async pump(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    while (this.pending.length > 0 && !this.stopped) {
      const batch = this.take();
      // Given up because this process ends: who waits for it must not hear that it is stored.
      if (!(await this.commit(batch))) break;
      this.settled += batch.length;
      while (this.waiting[0] && this.waiting[0].until <= this.settled) this.waiting.shift()?.resolve();
    }
    this.busy = false;
  }

  /** The next batch, capped by bytes and by records. */
  private take(): Pending[] {
    if (this.pending.length <= limits.auditBatchRecords && this.pendingBytes <= limits.auditBatchBytes) {
      const all = this.pending;
      this.pending = [];
      this.pendingBytes = 0;
      return all;
    }
    let bytes = 0;
    let count = 0;
    for (const p of this.pending) {
      if (count > 0 && (count >= limits.auditBatchRecords || bytes + p.line.length > limits.auditBatchBytes)) break;
      bytes += p.line.length;
      count++;
    }
    this.pendingBytes -= bytes;
    return this.pending.splice(0, count);
  }

  /** True when the batch is stored. */
  private async commit(batch: Pending[]): Promise<boolean> {
    // Callers whose time is up are told so, whether a publish or the pause before the next one takes it.
    const expiring = setInterval(() => this.expire([...batch, ...this.pending], performance.now()), expireEveryMs);
    try {
      const sealed = await this.publish(batch);
      if (sealed) this.stored(batch, sealed);
      else this.expire(batch, Number.POSITIVE_INFINITY);
      return sealed !== undefined;
    } finally {
      clearInterval(expiring);
    }
  }

  /** Resolves when the batch is stored, or with undefined when this process gives up because it ends. */
  private async publish(batch: Pending[]): Promise<Sealed | undefined> {
    let sealed: Sealed | undefined;
    for (let attempt = 0; !this.stopped; attempt++) {
      const started = performance.now();
      const took = () => (performance.now() - started) / 1_000;
      try {
        if (!sealed) {
          const sealing = this.sealer.seal(batch.map((p) => p.line));
          sealed = sealing instanceof Promise ? await sealing : sealing;
        }
        const wait = attempt === 0 ? Math.max(50, Math.min(...batch.map((p) => p.deadline)) - started) : limits.auditWaitMs;
        await this.js.publish(this.subject, sealed.bytes, {
          msgID: `${sealed.epoch}.${sealed.seq}`,
          timeout: Math.ceil(wait),
          retries: 0,
        });
      } catch (error) {
        this.failing = true;
        this.observe(0, took(), error);
        this.expire([...batch, ...this.pending], performance.now());
        await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMsMax, 100 * 2 ** attempt)));
        continue;
      }
      this.observe(batch.length, took());
      return sealed;
    }
    return undefined;
  }

  private stored(batch: Pending[], { batchHash, epoch, seq, firstIndex }: Sealed): void {
    this.failing = false;
    const { worker } = this.sealer;
    batch.forEach((p, index) => {
      if (p.answered) this.unanswered.push(p.id);
      else p.resolve({ worker, epoch, seq, batchHash, index: firstIndex + index });
    });
    if (this.unanswered.length > 0) {
      const { id, line } = this.unansweredLine(this.unanswered.splice(0, 1_000));
      this.enqueue(id, line).catch(() => undefined);
    }
  }

  private expire(waiting: Pending[], now: number): void {
    for (const p of waiting) {
      if (p.answered || p.deadline > now) continue;
      p.answered = true;
      this.failing = true;
      p.reject(new ProblemError('ERR_AUDIT_UNAVAILABLE'));
    }
  }
}
