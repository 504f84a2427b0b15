import { createHash, randomBytes } from 'node:crypto';
import { auditSubject, type Operation, type OperationRecord, outcomeOf, type ProblemError, type Receipt } from '@claviger/contracts';
import { encodeEpochRecord, epochCertificateText, finishBatch, genesisPrev, sealBatch } from '@claviger/ledger';
import type { NatsConnection } from '@nats-io/transport-node';
import { AuditGroupCommit, type BatchSealer } from './group-commit';
import type { RequestContext } from './request-context';
import { RecordedProblem } from './request-server';
import { traceparentOf } from './trace';

/** The keys of one chain, held in the service's token. Both signatures are ECDSA P-256 over a SHA-256 digest, raw r||s. */
export interface TrailKeys {
  /** Made for this start of the process: SubjectPublicKeyInfo, and its signing operation. */
  batchPublicKey: Buffer;
  signBatch: (digest: Buffer) => Buffer;
  /** Long-lived key that certifies it, by its kid in `trust.json`. */
  certifier: string;
  certify: (digest: Buffer) => Buffer;
}

export interface AuditTrailOptions {
  connection: NatsConnection;
  service: string;
  /** Unique per process: names the subject and the chain. */
  worker: string;
  keys: TrailKeys;
  now?: () => Date;
}

type Entry<R> = Omit<R, 'kind' | 'id' | 'time' | 'service'>;

/**
 * The durable record of what this process did: a hash chain of signed batches under a fresh batch key ("epoch"), group-committed to AUDIT.
 * A record's promise resolves when the broker has fsynced it; only then may the caller be answered.
 */
export class AuditTrail {
  readonly commit: AuditGroupCommit;
  readonly epoch = randomBytes(16).toString('hex');
  private count = 0;

  constructor(private readonly options: AuditTrailOptions) {
    const { connection, service, worker, keys } = options;
    const sealer = chainSealer({ service, worker, epoch: this.epoch }, keys.signBatch);
    this.commit = new AuditGroupCommit(connection, auditSubject(service, worker), sealer, (records) =>
      this.line({ kind: 'unanswered', records }),
    );
  }

  /** Records the epoch's certificate; resolves when the chain has begun. */
  async start(): Promise<void> {
    const { service, worker, keys } = this.options;
    const claims = { service, worker, epoch: this.epoch, publicKey: keys.batchPublicKey };
    const certificate = keys.certify(createHash('sha256').update(epochCertificateText(claims)).digest());
    await this.commit.append('epoch', encodeEpochRecord({ ...claims, time: this.time(), certifier: keys.certifier, certificate }));
  }

  /** One use of the system. */
  operation(entry: Entry<OperationRecord>): Promise<Receipt> {
    return this.append({ kind: 'operation', ...entry });
  }

  /** Any other kind of record of contracts. */
  append(entry: Record<string, unknown>): Promise<Receipt> {
    const { id, line } = this.line(entry);
    return this.commit.append(id, line);
  }

  /** Records a refusal or failure, then throws it with its receipt. When it cannot be recorded that is what the caller hears. */
  async refuse(
    request: RequestContext,
    operation: Operation | undefined,
    error: ProblemError,
    more: Partial<Entry<OperationRecord>> = {},
  ): Promise<never> {
    throw new RecordedProblem(error, await this.refusal(request, operation, error, more));
  }

  refusal(
    request: RequestContext,
    operation: Operation | undefined,
    error: ProblemError,
    more: Partial<Entry<OperationRecord>> = {},
  ): Promise<Receipt> {
    return this.operation({
      action: operation?.action ?? `${request.service}:?`,
      ...this.who(request),
      outcome: outcomeOf(error.code),
      code: error.code,
      revisions: {},
      ...more,
    });
  }

  /** The part of a record that says who asked. */
  who({ principal, session, requestId, trace }: RequestContext): Pick<OperationRecord, 'principal' | 'session' | 'requestId' | 'trace'> {
    const traceparent = traceparentOf(trace);
    return { principal, session, ...(requestId ? { requestId } : {}), ...(traceparent ? { trace: traceparent } : {}) };
  }

  private line(entry: Record<string, unknown>): { id: string; line: string } {
    const id = `${this.epoch}.${this.count++}`;
    const { kind, ...rest } = entry;
    return { id, line: JSON.stringify({ kind, id, time: this.time(), service: this.options.service, ...rest }) };
  }

  private time(): string {
    return (this.options.now?.() ?? new Date()).toISOString();
  }
}

function chainSealer(chain: { service: string; worker: string; epoch: string }, sign: (digest: Buffer) => Buffer): BatchSealer {
  let seq = 0;
  let prev = genesisPrev();
  return {
    ...chain,
    seal: (lines) => {
      const sealed = sealBatch({ ...chain, seq, prev }, lines);
      const bytes = finishBatch(sealed, sign(sealed.toSign));
      prev = sealed.batchHash;
      return { bytes, batchHash: sealed.batchHash.toString('base64url'), seq: seq++ };
    },
  };
}
