import { mayCertify, type Trust } from '@claviger/contracts';
import {
  ed25519Verifier,
  LedgerError,
  type LogProblem,
  type LogRules,
  type LogState,
  LogVerifier,
  openCheckpoint,
  p256PublicKey,
  type RecordedFinding,
  verifyConsistency,
} from '@claviger/ledger';

/** A tree head that was verified before, kept outside the ledger's reach. */
export interface Remembered {
  origin: string;
  size: number;
  /** base64, 32 bytes. */
  root: string;
  /** The signed note itself: whoever signed it cannot deny it. */
  note: string;
  /** Digest of the verifier's state at that size, where one is kept. */
  state?: string;
}

/** What the verifier asks of the ledger; nothing of it is believed. */
export interface LedgerSource {
  checkpoint(): Promise<string>;
  /** Leaves from an index on; any number, at least one while there are any. */
  entries(from: number): Promise<string[]>;
  /** Hashes in base64url. */
  consistency(from: number, to: number): Promise<string[]>;
}

export interface Verification {
  origin: string;
  size: number;
  root: string;
  note: string;
  /** Size of the remembered checkpoint that this one was proved to extend. */
  extends?: number;
  /** First leaf that was read: 0 unless an earlier run's state was resumed. */
  from?: number;
  /** Why all of it was read although an earlier run had read a part. */
  doubts?: string[];
  batches?: number;
  records?: number;
  chains?: number;
  /** What an honest ledger does not hold. */
  problems: (Omit<LogProblem, 'index'> & { index?: number })[];
  /** What the ledger found and wrote down itself. */
  findings: readonly RecordedFinding[];
  /** To resume from next time; only when there was no problem. */
  state?: LogState;
}

export interface VerificationOptions {
  trust: Trust;
  remembered: Remembered | undefined;
  /** Of the run that remembered; believed only where its root is the remembered one. */
  resume?: LogState;
  /** Checkpoint signature and consistency only, without downloading the leaves. */
  quick: boolean;
  progress: (done: number, size: number) => void;
}

/**
 * Checkpoint signature, consistency with what was seen before, then every leaf: the root is computed anew, and every batch's seal, signature,
 * certificate and place in its chain are checked, with nothing but the public keys in trust.json. Leaves that an earlier run has checked are left
 * out when its state can be resumed: they are in the root that this checkpoint was proved to extend. Anything doubtful is read from the first leaf.
 */
export async function verifyLedger(
  source: LedgerSource,
  { trust, remembered, resume, quick, progress }: VerificationOptions,
): Promise<Verification> {
  const note = await source.checkpoint();
  const { origin, vkey } = trust.ledger;
  let head: Head;
  try {
    head = openCheckpoint(note, [ed25519Verifier(vkey)], origin);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return {
      origin,
      size: 0,
      root: '',
      note,
      problems: [{ problem: `the checkpoint is not signed by the ledger: ${error.message}` }],
      findings: [],
    };
  }
  const { size, root } = head;
  const continuity = remembered && (await continuityProblem(source, remembered, head));
  const problems: Verification['problems'] = continuity ? [{ problem: continuity }] : [];
  const verified = {
    origin,
    size,
    root: root.toString('base64'),
    note,
    ...(remembered && !continuity ? { extends: remembered.size } : {}),
  };
  if (quick) return { ...verified, problems, findings: [] };

  const certifiers = new Map(Object.entries(trust.certifiers).map(([kid, spki]) => [kid, p256PublicKey(Buffer.from(spki, 'base64url'))]));
  const rules: LogRules = { certifiers, mayCertify };
  const doubts: string[] = [];
  const resumed = resume && remembered && !continuity ? resumedVerifier(rules, resume, remembered) : undefined;
  if (typeof resumed === 'string') doubts.push(resumed);
  if (resumed instanceof LogVerifier) {
    const rest = await readLeaves(source, resumed, head, progress);
    if (rest.problems.length === 0) return { ...verified, ...rest };
    doubts.push('what was read after the remembered leaves is not in order');
  }
  const whole = await readLeaves(source, new LogVerifier(rules), head, progress);
  const all = [...problems, ...whole.problems];
  return {
    ...verified,
    ...whole,
    ...(doubts.length > 0 ? { doubts } : {}),
    ...(all.length > 0 ? { state: undefined } : {}),
    problems: all,
  };
}

type Head = { size: number; root: Buffer };

function resumedVerifier(rules: LogRules, state: LogState, remembered: Remembered): LogVerifier | string {
  try {
    const verifier = LogVerifier.resume(rules, state);
    const same = verifier.size === remembered.size && verifier.root.toString('base64') === remembered.root;
    return same ? verifier : 'the kept state is not that of the remembered checkpoint';
  } catch (error) {
    if (error instanceof LedgerError) return `the kept state cannot be used: ${error.message}`;
    throw error;
  }
}

/** From where the verifier stands to the end of the checkpoint's tree. */
async function readLeaves(source: LedgerSource, verifier: LogVerifier, { size, root }: Head, progress: VerificationOptions['progress']) {
  const problems: Verification['problems'] = [];
  const from = verifier.size;
  let done = from;
  while (done < size) {
    const lines = (await source.entries(done)).slice(0, size - done);
    if (lines.length === 0) {
      problems.push({ index: done, problem: `the ledger withholds leaves: it gives none from ${done} on, its checkpoint says ${size}` });
      break;
    }
    for (const line of lines) verifier.add(Buffer.from(line));
    done += lines.length;
    progress(done, size);
  }
  const state = verifier.state();
  const { batches, records, chains, findings, ...report } = verifier.finish();
  if (done === size && !report.root.equals(root)) problems.push({ problem: 'the leaves do not give the root of the signed checkpoint' });
  return { from, batches, records, chains, problems: [...problems, ...report.problems], findings, ...(state ? { state } : {}) };
}

async function continuityProblem(
  source: LedgerSource,
  remembered: Remembered,
  { size, root }: { size: number; root: Buffer },
): Promise<string | undefined> {
  const fromRoot = Buffer.from(remembered.root, 'base64');
  if (size < remembered.size) return `the ledger was cut: ${remembered.size} leaves were verified before, its checkpoint says ${size}`;
  if (size === remembered.size)
    return fromRoot.equals(root) ? undefined : `the ledger was rewritten: another root for the same ${size} leaves`;
  if (remembered.size === 0) return undefined;
  const proof = (await source.consistency(remembered.size, size)).map((hash) => Buffer.from(hash, 'base64url'));
  const holds = verifyConsistency({ from: remembered.size, to: size, fromRoot, toRoot: root, proof });
  return holds ? undefined : `the ledger was rewritten: it does not extend the ${remembered.size} leaves that were verified before`;
}
