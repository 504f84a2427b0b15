import type { KeyObject } from 'node:crypto';
import {
  type Batch,
  type BatchFinding,
  genesisPrev,
  isEpochLine,
  LedgerError,
  p256PublicKey,
  parseBatch,
  parseEpochRecord,
  verifyBatch,
  verifyEpoch,
} from '@claviger/ledger';
import { evidenceOf, type Finding } from './finding';
import type { ChainState } from './head';
import { type RecordsRead, readRecords } from './record-index';
import type { StreamMessage } from './stream-message';

/** What decides, beside the message. All of it is committed state or configuration. */
export interface Admitting {
  readonly certifiers: ReadonlyMap<string, KeyObject>;
  readonly mayCertify: (certifier: string, service: string) => boolean;
  readonly chainOf: (chain: string) => ChainState | undefined;
  /** Batch hash that the ledger holds for `service/worker/epoch/seq`, when it holds one; asked only for batches that come late. */
  readonly heldBatch: (batch: string) => Buffer | undefined;
  /** Parsed key of a chain; may remember. */
  readonly keyOf: (publicKey: Buffer) => KeyObject;
}

/**
 * - `accepted`: every line becomes a leaf, after a leaf for each finding.
 * - `refused`: the findings become leaves instead.
 * - `replay`: the ledger holds this very batch already; nothing is appended.
 */
export type Verdict =
  | {
      readonly kind: 'accepted';
      readonly batch: Batch;
      readonly id: string;
      readonly next: Omit<ChainState, 'position'>;
      readonly findings: readonly Finding[];
      readonly records: RecordsRead;
    }
  | { readonly kind: 'refused'; readonly findings: readonly Finding[] }
  | { readonly kind: 'replay' };

const subjectPattern = /^audit\.v1\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,64})$/;

export const chainName = ({ service, worker, epoch }: { service: string; worker: string; epoch: string }): string =>
  `${service}/${worker}/${epoch}`;

/** Who published → form → who sealed → whose key → signature and place in the chain → records. The first that fails is the verdict. */
export function admit(message: StreamMessage, given: Admitting): Verdict {
  const refused = (...findings: Finding[]): Verdict => ({
    kind: 'refused',
    findings: findings.map((f) => ({ ...f, detail: [f.detail, evidenceOf(message)].filter(Boolean).join('; ') })),
  });
  const [, service, worker] = subjectPattern.exec(message.subject) ?? [];
  if (!service || !worker) return refused({ finding: 'foreign-subject' });

  const parsed = readBatch(message);
  if ('reason' in parsed) return refused({ finding: 'malformed', detail: parsed.reason, worker });
  const { batch } = parsed;
  const { seal } = batch;
  if (seal.service !== service || seal.worker !== worker) return refused({ finding: 'wrong-subject', worker });

  // From here on worker and epoch are named as the seal claims them; only a good signature makes the claim true.
  const who = { worker, epoch: seal.epoch };
  const chain = chainName(seal);
  const known = given.chainOf(chain);
  const began = known ?? beginning(batch, given);
  if ('finding' in began) return refused({ ...began, ...who });

  const { seq, prev } = began;
  const problems = verifyBatch(batch, given.keyOf(began.publicKey), { seq, prev });
  if (problems.length === 1 && isHeld(problems[0]!, batch, given)) return { kind: 'replay' };
  if (problems.some(({ finding }) => finding !== 'gap')) return refused(...problems.map((p) => ({ ...placed(p), ...who })));

  const records = readRecords(batch.lines.slice(0, -1), began.lastTime);
  const { backwards, unreadable } = records;
  const findings: Finding[] = [
    ...problems.map(placed),
    ...(backwards ? [{ finding: 'clock-backwards', detail: `${backwards.time} after ${backwards.after}` } as const] : []),
    ...(unreadable > 0 ? [{ finding: 'unreadable-record', detail: `${unreadable} of ${seal.count}` } as const] : []),
  ].map((f) => ({ ...f, ...who }));
  const next = { chain, seq: seal.seq + 1, prev: batch.batchHash, publicKey: began.publicKey, lastTime: records.lastTime };
  return { kind: 'accepted', batch, id: `${chain}/${seal.seq}`, next, findings, records };
}

function readBatch(message: StreamMessage): { batch: Batch } | { reason: string } {
  try {
    return { batch: parseBatch(message.data) };
  } catch (error) {
    if (error instanceof LedgerError) return { reason: error.code };
    throw error;
  }
}

/** A chain that the ledger has not seen: only its first batch brings the key, under a certificate of a token key that may speak for the service. */
function beginning({ lines, seal }: Batch, { certifiers, mayCertify }: Admitting): Omit<ChainState, 'chain' | 'position'> | Finding {
  if (seal.seq > 0) return { finding: 'unknown-epoch', detail: `batch ${seal.seq}` };
  const [first] = lines;
  if (!first || !isEpochLine(first)) return { finding: 'epoch-missing' };
  try {
    const record = parseEpochRecord(first);
    const [problem] = verifyEpoch(record, seal, certifiers);
    if (problem) return { finding: problem.finding };
    if (!mayCertify(record.certifier, seal.service)) return { finding: 'certifier-not-allowed' };
    // A key that is no P-256 key throws here, once, and never again at a use.
    p256PublicKey(record.publicKey);
    return { seq: 0, prev: genesisPrev(), publicKey: record.publicKey, lastTime: '' };
  } catch (error) {
    if (error instanceof LedgerError) return { finding: 'malformed', detail: error.code };
    throw error;
  }
}

/** A late batch is harmless only when it is, in all that was signed, the one that the ledger holds at that place. */
function isHeld(problem: BatchFinding, { seal, batchHash }: Batch, { heldBatch }: Admitting): boolean {
  if (problem.finding === 'replay') return true;
  return problem.finding === 'stale' && heldBatch(`${chainName(seal)}/${seal.seq}`)?.equals(batchHash) === true;
}

function placed(problem: BatchFinding): Finding {
  switch (problem.finding) {
    case 'gap':
    case 'stale':
      return { finding: problem.finding, detail: `batch ${problem.seq}, expected ${problem.expectedSeq}` };
    case 'fork':
    case 'replay':
      return { finding: 'fork', detail: `batch ${problem.seq}` };
    case 'count':
      return { finding: 'count', detail: `${problem.found} of ${problem.claimed}` };
    case 'epoch-misplaced':
      return { finding: 'epoch-misplaced', detail: `line ${problem.line}` };
    default:
      return { finding: problem.finding };
  }
}
