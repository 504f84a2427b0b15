import type { ComplianceReport, EvidenceRecord, Trust } from '@claviger/contracts';
import { ed25519Verifier, LedgerError, leafHash, openCheckpoint, verifyInclusion } from '@claviger/ledger';
import { tells } from './tells';

export interface ReportVerification {
  /** Leaves whose line, hash and proof lead to the root of the checkpoint. */
  readonly proven: number;
  /** Newer than the checkpoint when the report was made: not proven by it. */
  readonly without: number;
  readonly problems: readonly string[];
}

/** The evidence of a report, with nothing but the report and the public keys in trust.json. */
export function verifyReport(
  { checkpoint, evidence }: Pick<ComplianceReport, 'checkpoint' | 'evidence'>,
  { ledger }: Pick<Trust, 'ledger'>,
): ReportVerification {
  const records = evidence.flatMap((one) => one.records);
  if (checkpoint === undefined) return { proven: 0, without: records.length, problems: ['the report has no checkpoint'] };
  let head: { size: number; root: Buffer };
  try {
    head = openCheckpoint(checkpoint, [ed25519Verifier(ledger.vkey)], ledger.origin);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return { proven: 0, without: 0, problems: [`the checkpoint is not signed by the ledger: ${error.message}`] };
  }
  const problems: string[] = [];
  let [proven, without] = [0, 0];
  for (const { index, line, leafHash: said, proof, ...words } of records) {
    const hash = leafHash(Buffer.from(line));
    if (hash.toString('base64url') !== said) problems.push(`leaf ${index}: its line is not what was hashed`);
    else if (!saysSo(line, words)) problems.push(`leaf ${index}: its line does not say what the report says of it`);
    else if (proof === undefined && index < head.size) problems.push(`leaf ${index}: is under the checkpoint, and has no proof`);
    else if (proof === undefined) without += 1;
    else if (
      verifyInclusion({ index, size: head.size, leafHash: hash, proof: proof.map((one) => Buffer.from(one, 'base64url')), root: head.root })
    )
      proven += 1;
    else problems.push(`leaf ${index}: its proof does not lead to the checkpoint`);
  }
  return { proven, without, problems };
}

/** Whether time and words, which are what people read, are those of the line. */
function saysSo(line: string, { time, tells: words }: Pick<EvidenceRecord, 'time' | 'tells'>): boolean {
  try {
    const record = JSON.parse(line) as Record<string, unknown>;
    return String(record.time) === time && tells(record) === words;
  } catch {
    return false;
  }
}
