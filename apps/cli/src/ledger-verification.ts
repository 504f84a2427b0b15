import { mayCertify, type Trust } from '@claviger/contracts';
import {
  ed25519Verifier,
  LedgerError,
  type LogProblem,
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
  batches?: number;
  records?: number;
  chains?: number;
  /** What an honest ledger does not hold. */
  problems: (Omit<LogProblem, 'index'> & { index?: number })[];
  /** What the ledger found and wrote down itself. */
  findings: readonly RecordedFinding[];
}

export interface VerificationOptions {
  trust: Trust;
  remembered: Remembered | undefined;
  /** Checkpoint signature and consistency only, without downloading the leaves. */
  quick: boolean;
  progress: (done: number, size: number) => void;
}

/**
 * Checkpoint signature, consistency with what was seen before, then every leaf: the root is computed anew, and every batch's seal, signature,
 * certificate and place in its chain are checked, with nothing but the public keys in trust.json.
 */
export async function verifyLedger(
  source: LedgerSource,
  { trust, remembered, quick, progress }: VerificationOptions,
): Promise<Verification> {
  const note = await source.checkpoint();
  const { origin, vkey } = trust.ledger;
  const problems: Verification['problems'] = [];
  let head: { size: number; root: Buffer };
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
  if (continuity) problems.push({ problem: continuity });
  const verified = {
    origin,
    size,
    root: root.toString('base64'),
    note,
    ...(remembered && !continuity ? { extends: remembered.size } : {}),
  };
  if (quick) return { ...verified, problems, findings: [] };

  const certifiers = new Map(Object.entries(trust.certifiers).map(([kid, spki]) => [kid, p256PublicKey(Buffer.from(spki, 'base64url'))]));
  const verifier = new LogVerifier({ certifiers, mayCertify });
  let done = 0;
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
  const report = verifier.finish();
  if (done === size && !report.root.equals(root)) problems.push({ problem: 'the leaves do not give the root of the signed checkpoint' });
  const { batches, records, chains, findings } = report;
  return { ...verified, batches, records, chains, problems: [...problems, ...report.problems], findings };
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
