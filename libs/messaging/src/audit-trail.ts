import { createHash, randomBytes } from 'node:crypto';
import {
  auditSubject,
  type CommittedRecord,
  type Operation,
  type OperationRecord,
  outcomeOf,
  type ProblemError,
  type Receipt,
} from '@claviger/contracts';
import { encodeEpochRecord, epochCertificateText, finishBatch, genesisPrev, sealBatch } from '@claviger/ledger';
import type { NatsConnection } from '@nats-io/transport-node';
import { AuditGroupCommit, type BatchSealer, type Sealed } from './group-commit';
import type { RequestContext } from './request-context';
import { RecordedProblem } from './request-server';
import { traceparentOf } from './trace';

/** The keys of one epoch, held in the service's token. Both signatures are ECDSA P-256 over a SHA-256 digest, raw r||s. */
export interface TrailKeys {
  /** Made for this epoch: SubjectPublicKeyInfo, and its signing operation. */
  batchPublicKey: Buffer;
  signBatch: (digest: Buffer) => Buffer | Promise<Buffer>;
  /** Long-lived key that certifies it, by its kid in `trust.json`. */
  certifier: string;
  certify: (digest: Buffer) => Buffer;
}

export interface AuditTrailOptions {
  connection: NatsConnection;
  service: string;
  /** Unique per process: names the subject and the chain. */
  worker: string;
  /** Makes the keys of a new epoch: at the start, and when the token lost its sessions and the batch key with them. */
  openEpoch: () => TrailKeys;
  now?: () => Date;
}

type Entry<R> = Omit<R, 'kind' | 'id' | 'time' | 'service'>;

/** Who changes what, and why: what is committed together with a change, so that its record cannot get lost. */
export type ChangeEntry = Omit<Entry<CommittedRecord>, 'record' | 'committedAt'>;
export interface RecordIntent {
  /** That the record of the operation will have. */
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly at: string;
  readonly entry: ChangeEntry;
}

/**
 * The durable record of what this process did: a hash chain of signed batches under a fresh batch key ("epoch"), group-committed to AUDIT.
 * A record's promise resolves when the broker has fsynced it; only then may the caller be answered.
 */
export class AuditTrail {
  readonly commit: AuditGroupCommit;
  private readonly instance = randomBytes(12).toString('hex');
  private count = 0;

  constructor(private readonly options: AuditTrailOptions) {
    const { connection, service, worker } = options;
    this.commit = new AuditGroupCommit(
      connection,
      auditSubject(service, worker),
      chainSealer({ service, worker }, options.openEpoch, () => this.time()),
      (records) => this.line({ kind: 'unanswered', records }),
    );
  }

  /** One use of the system. With an `id` that was promised by `intend`, or else its own. */
  operation(entry: Entry<OperationRecord>, id?: string): Promise<Receipt> {
    return this.append({ kind: 'operation', ...entry }, id);
  }

  /** Promises a record: its id, and what it will say of the change. `id` repeats a promise that came to nothing. */
  intend(entry: ChangeEntry, id = this.nextId()): RecordIntent {
    return { id, at: this.time(), entry };
  }

  /** The record of a change whose operation is not known to be recorded. Written twice it has the same id. */
  committed({ id, at, entry }: RecordIntent): Promise<Receipt> {
    return this.append({ kind: 'committed', ...entry, record: id, committedAt: at }, `${id}.committed`);
  }

  /** Any other kind of record of contracts. */
  append(entry: Record<string, unknown>, recordId?: string): Promise<Receipt> {
    const { id, line } = this.line(entry, recordId);
    return this.commit.append(id, line);
  }

  /** Records a refusal or failure, then throws it with its receipt. When it cannot be recorded that is what the caller hears. */
  async refuse(
    request: RequestContext,
    operation: Operation | undefined,
    error: ProblemError,
    more: Partial<Entry<OperationRecord>> = {},
    id?: string,
  ): Promise<never> {
    throw new RecordedProblem(error, await this.refusal(request, operation, error, more, id));
  }

  refusal(
    request: RequestContext,
    operation: Operation | undefined,
    error: ProblemError,
    more: Partial<Entry<OperationRecord>> = {},
    id?: string,
  ): Promise<Receipt> {
    const refused = { outcome: outcomeOf(error.code), code: error.code };
    const action = operation?.action ?? `${request.service}:?`;
    return this.operation({ action, ...this.who(request), ...refused, revisions: {}, ...more }, id);
  }

  /** The part of a record that says who asked. */
  who({ principal, session, requestId, trace }: RequestContext): Pick<OperationRecord, 'principal' | 'session' | 'requestId' | 'trace'> {
    const traceparent = traceparentOf(trace);
    return { principal, session, ...(requestId ? { requestId } : {}), ...(traceparent ? { trace: traceparent } : {}) };
  }

  private nextId(): string {
    return `${this.instance}.${this.count++}`;
  }

  private line(entry: Record<string, unknown>, id = this.nextId()): { id: string; line: string } {
    const { kind, ...rest } = entry;
    return { id, line: JSON.stringify({ kind, id, time: this.time(), service: this.options.service, ...rest }) };
  }

  private time(): string {
    return (this.options.now?.() ?? new Date()).toISOString();
  }
}

/** The batch key is gone with the sessions of its token (libs/hsm). */
const isLost = (error: unknown): boolean => (error as { code?: unknown }).code === 'HSM_SESSION_LOST';

/** Seals batches into a chain. The first batch of an epoch begins with its certificate; a batch key that is gone begins a new epoch. */
function chainSealer(writer: { service: string; worker: string }, openEpoch: () => TrailKeys, time: () => string): BatchSealer {
  let chain: { epoch: string; keys: TrailKeys; seq: number; prev: Buffer } | undefined;
  const sealWith = (c: NonNullable<typeof chain>, lines: readonly string[]): Sealed | Promise<Sealed> => {
    const all = c.seq === 0 ? [epochLine(writer, c, time()), ...lines] : lines;
    const sealed = sealBatch({ ...writer, epoch: c.epoch, seq: c.seq, prev: c.prev }, all);
    const finish = (signature: Buffer): Sealed => {
      const { seq, epoch } = c;
      c.prev = sealed.batchHash;
      c.seq++;
      const bytes = finishBatch(sealed, signature);
      return { bytes, batchHash: sealed.batchHash.toString('base64url'), seq, epoch, firstIndex: all.length - lines.length };
    };
    const signature = c.keys.signBatch(sealed.toSign);
    return signature instanceof Promise ? signature.then(finish) : finish(signature);
  };
  const begin = () => ({ epoch: randomBytes(16).toString('hex'), keys: openEpoch(), seq: 0, prev: genesisPrev() });
  return {
    worker: writer.worker,
    seal: (lines) => {
      const anew = () => {
        chain = begin();
        return sealWith(chain, lines);
      };
      chain ??= begin();
      try {
        const sealing = sealWith(chain, lines);
        // A token that does not answer is not asked for new keys: the same batch is signed again later.
        return sealing instanceof Promise ? sealing.catch((error) => (isLost(error) ? anew() : Promise.reject(error))) : sealing;
      } catch {
        return anew();
      }
    },
  };
}

function epochLine(writer: { service: string; worker: string }, { epoch, keys }: { epoch: string; keys: TrailKeys }, time: string): string {
  const claims = { ...writer, epoch, publicKey: keys.batchPublicKey };
  const certificate = keys.certify(createHash('sha256').update(epochCertificateText(claims)).digest());
  return encodeEpochRecord({ ...claims, time, certifier: keys.certifier, certificate });
}
