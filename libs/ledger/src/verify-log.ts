import { type KeyObject } from 'node:crypto';
import { type Batch, MAX_BATCH_LINES, parseBatch } from './batch';
import { appendLeaves, type Edge, edgeRoot, emptyEdge } from './edge';
import { isEpochLine, parseEpochRecord, verifyEpoch } from './epoch';
import { LedgerError } from './errors';
import { leafHash } from './hashing';
import { type ChainHead, decodeLogState, encodeLogState, type LogState, type RecordedFinding } from './log-state';
import { p256PublicKey } from './public-key';
import { genesisPrev, isSealLine } from './seal';
import { verifyBatch } from './verify-batch';

export type LogRules = {
  /** Trusted token keys by kid. */
  readonly certifiers: ReadonlyMap<string, KeyObject>;
  /** May this key certify the chains of this service? */
  readonly mayCertify: (certifier: string, service: string) => boolean;
};
/** Something that an honest ledger does not hold. `index`: the leaf where it shows. */
export type LogProblem = { readonly index: number; readonly problem: string; readonly chain?: string };
export type LogReport = {
  readonly size: number;
  readonly root: Buffer;
  readonly batches: number;
  readonly records: number;
  readonly chains: number;
  readonly problems: readonly LogProblem[];
  readonly findings: readonly RecordedFinding[];
};

/** Leaves hashed at once. */
const PORTION = 4_096;
/** Problems and findings kept; the counts beyond are in neither list, but a log with this many needs no more proof. */
const MAX_KEPT = 10_000;

/**
 * Verifies a whole log from its first leaf on, or from where an earlier run stopped (`state`, `resume`), in a stream: recomputes the root, and checks every batch's seal, signature, epoch certificate
 * and place in its chain. Leaves that belong to no batch may only be findings. Memory: one batch, and about 300 bytes a chain.
 * Compare `root` and `size` of the report with a checkpoint that was verified: the log is good when they are equal and `problems` is empty.
 */
export class LogVerifier {
  private edge: Edge = emptyEdge();
  private hashes: Buffer[] = [];
  private pending: Buffer[] = [];
  private readonly chains = new Map<string, ChainHead>();
  private readonly problems: LogProblem[] = [];
  private readonly findings: RecordedFinding[] = [];
  private batches = 0;
  private records = 0;

  constructor(private readonly rules: LogRules) {}

  /**
   * Goes on after the leaves that gave this state, as if it had seen them. Compare `size` and `root` with the checkpoint that was verified then.
   * Throws `ERR_LOG_STATE`.
   */
  static resume(rules: LogRules, state: unknown): LogVerifier {
    const verifier = new LogVerifier(rules);
    const { edge, pending, chains, batches, records, findings } = decodeLogState(state);
    verifier.edge = edge;
    verifier.pending = [...pending];
    for (const [chain, head] of chains) verifier.chains.set(chain, head);
    verifier.batches = batches;
    verifier.records = records;
    verifier.findings.push(...findings);
    return verifier;
  }

  get size(): number {
    return this.next;
  }

  /** Of the leaves so far. */
  get root(): Buffer {
    this.absorb();
    return edgeRoot(this.edge);
  }

  /** To go on from later; to be asked for before `finish`. Undefined after a problem: such a log is read again. */
  state(): LogState | undefined {
    if (this.problems.length > 0) return undefined;
    this.absorb();
    const { edge, pending, chains, batches, records, findings } = this;
    return encodeLogState({ edge, pending, chains, batches, records, findings });
  }

  /** The next leaf: a line as it was hashed, in a buffer that does not change until the batch is complete. */
  add(line: Buffer): void {
    this.hashes.push(leafHash(line));
    if (this.hashes.length === PORTION) this.absorb();
    this.pending.push(line);
    if (isSealLine(line)) this.close();
    else if (this.pending.length > 2 * MAX_BATCH_LINES) this.flush('records without a seal');
  }

  finish(): LogReport {
    this.absorb();
    this.flush('records without a seal');
    return {
      size: this.edge.size,
      root: edgeRoot(this.edge),
      batches: this.batches,
      records: this.records,
      chains: this.chains.size,
      problems: this.problems,
      findings: this.findings,
    };
  }

  private get next(): number {
    return this.edge.size + this.hashes.length;
  }

  private absorb(): void {
    this.edge = appendLeaves(this.edge, this.hashes).edge;
    this.hashes = [];
  }

  /** The seal says how many records are its own; what is before them stands alone. */
  private close(): void {
    const lines = this.pending;
    const first = this.next - lines.length;
    const sealAt = this.next - 1;
    const count = claimedCount(lines.at(-1)!);
    const own = count === undefined || count >= lines.length ? lines.length - 1 : count;
    const alone = lines.slice(0, lines.length - 1 - own);
    this.pending = alone;
    const told = this.flush('a leaf that belongs to no batch', first);
    const batch = this.parsed(lines.slice(alone.length), sealAt);
    if (batch) this.verify(batch, sealAt, told);
  }

  private parsed(lines: readonly Buffer[], index: number): Batch | undefined {
    try {
      return parseBatch(Buffer.concat(lines.flatMap((line, n) => (n === 0 ? [line] : [NEWLINE, line]))));
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.report({ index, problem: error.message });
      return undefined;
    }
  }

  private verify(batch: Batch, index: number, told: ReadonlySet<string>): void {
    const { seal } = batch;
    const chain = `${seal.service}/${seal.worker}/${seal.epoch}`;
    const known = this.chains.get(chain) ?? this.beginning(batch, chain, index);
    if (!known) return;
    for (const { finding } of verifyBatch(batch, known.key, known)) {
      if (finding === 'gap' && told.has(`gap/${seal.epoch}`)) continue;
      this.report({ index, problem: finding, chain });
      if (finding !== 'gap') return;
    }
    this.chains.set(chain, { key: known.key, seq: seal.seq + 1, prev: batch.batchHash });
    this.batches++;
    this.records += seal.count;
  }

  private beginning({ lines, seal }: Batch, chain: string, index: number): ChainHead | undefined {
    const first = lines[0]!;
    const problem = (text: string) => {
      this.report({ index, problem: text, chain });
      return undefined;
    };
    if (seal.seq !== 0 || !isEpochLine(first)) return problem('a chain without its epoch record');
    try {
      const record = parseEpochRecord(first);
      const [found] = verifyEpoch(record, seal, this.rules.certifiers);
      if (found) return problem(found.finding);
      if (!this.rules.mayCertify(record.certifier, seal.service)) return problem('certifier-not-allowed');
      return { seq: 0, prev: genesisPrev(), key: p256PublicKey(record.publicKey) };
    } catch (error) {
      if (error instanceof LedgerError) return problem(error.message);
      throw error;
    }
  }

  /** Pending lines that no seal claims: findings of the ledger, or a problem. Gives what was found, as `finding/epoch`. */
  private flush(problem: string, first = this.next - this.pending.length): ReadonlySet<string> {
    const told = new Set<string>();
    for (const [n, line] of this.pending.entries()) {
      const found = findingOf(line);
      if (!found) this.report({ index: first + n, problem });
      else {
        const { finding, detail, epoch } = found;
        told.add(`${finding}/${epoch}`);
        if (this.findings.length < MAX_KEPT) this.findings.push({ index: first + n, finding, detail });
      }
    }
    this.pending = [];
    return told;
  }

  private report(problem: LogProblem): void {
    if (this.problems.length < MAX_KEPT) this.problems.push(problem);
  }
}

const NEWLINE = Buffer.from('\n');
const COUNT = /"count":([1-9]\d{0,5}),"recordsHash":/;

function claimedCount(seal: Buffer): number | undefined {
  const [, count] = COUNT.exec(seal.toString('latin1')) ?? [];
  return count === undefined ? undefined : Number(count);
}

function findingOf(line: Buffer): { finding: string; detail: string; epoch: string } | undefined {
  try {
    const record = JSON.parse(line.toString()) as { kind?: unknown; finding?: unknown; detail?: unknown; epoch?: unknown };
    if (record.kind !== 'finding' || typeof record.finding !== 'string') return undefined;
    return { finding: record.finding, detail: String(record.detail), epoch: String(record.epoch) };
  } catch {
    return undefined;
  }
}
