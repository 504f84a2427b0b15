import type { ComplianceReport, OperationRecord, ReportSeal, Trust } from '@claviger/contracts';
import { ed25519Verifier, LedgerError, leafHash, openCheckpoint, verifyInclusion } from '@claviger/ledger';
import { reportDigest } from './report-digest';

export type SealVerification =
  | { readonly index: number; readonly recordedAt: string; readonly recordedBy: string }
  | { readonly problem: string };

/** Whether the ledger has recorded exactly this report, with nothing but the report and the public key of the ledger. */
export function verifySeal(report: ComplianceReport, { ledger }: Pick<Trust, 'ledger'>): SealVerification {
  const { seal, madeBy } = report;
  if (!seal) return { problem: 'the report is not sealed: nothing says that it is as it was made' };
  const record = recordIn(seal);
  if (!record) return { problem: 'the leaf of the seal is no record of a report' };
  if (record.digest !== reportDigest(report))
    return { problem: 'the report is not the one that was recorded: something of it was changed' };
  if (record.principal !== madeBy) return { problem: `the report says that ${madeBy} made it, and ${record.principal} recorded it` };
  try {
    const { size, root } = openCheckpoint(seal.checkpoint, [ed25519Verifier(ledger.vkey)], ledger.origin);
    const proof = seal.proof.map((one) => Buffer.from(one, 'base64url'));
    if (!verifyInclusion({ index: seal.index, size, leafHash: leafHash(Buffer.from(seal.line)), proof, root }))
      return { problem: 'the proof of the seal does not lead to its checkpoint' };
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return { problem: `the checkpoint of the seal is not signed by the ledger: ${error.message}` };
  }
  return { index: seal.index, recordedAt: record.time, recordedBy: record.principal };
}

/** What was recorded, if it is the record of a report that succeeded. The ledger holds what services wrote: its shape is not looked at further. */
export function recordIn({ line }: Pick<ReportSeal, 'line'>): Pick<OperationRecord, 'digest' | 'time' | 'principal'> | undefined {
  try {
    const { kind, action, outcome, service, digest, time, principal } = JSON.parse(line) as Partial<OperationRecord>;
    const isReport = kind === 'operation' && service === 'audit' && action === 'audit:RecordReport' && outcome === 'success';
    return isReport && typeof digest === 'string' && typeof time === 'string' && typeof principal === 'string'
      ? { digest, time, principal }
      : undefined;
  } catch {
    return undefined;
  }
}
