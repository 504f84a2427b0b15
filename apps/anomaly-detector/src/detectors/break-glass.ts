import { type Alert, CommittedRecord, OperationRecord } from '@claviger/contracts';
import type { Place } from '../observed-use';

export interface BrokenGlass extends Place {
  record: OperationRecord | CommittedRecord;
}

/** That somebody took a role in an emergency, out of a line of AUDIT; undefined for any other record. What was only asked for, or refused, is none. */
export function readBreakGlass(line: Record<string, unknown>, place: Place): BrokenGlass | undefined {
  if (line.action !== 'access:BreakGlass' || line.service !== 'policy') return undefined;
  const { success, data: record } = (line.kind === 'committed' ? CommittedRecord : OperationRecord).safeParse(line);
  if (!success || (record.kind === 'operation' && record.outcome !== 'success')) return undefined;
  return { ...place, record };
}

/** Loud, whoever approved it: it is rare, and the one who watches need not be among those who were asked. */
export function breakGlassAlert({ record, streamSeq, line }: BrokenGlass): Omit<Alert, 'alertId' | 'status'> {
  const { principal, approvedBy = [], change } = record;
  const seen = `${(record.reason ?? '').slice(0, 600)}; approved by ${approvedBy.join(', ').slice(0, 300)}${change ? ` (${change})` : ''}`;
  return {
    detector: 'break-glass',
    severity: 'critical',
    title: `${principal} broke the glass`,
    explanation: `${principal} took a role in an emergency: ${seen}. Look at what was done with it, and close the review: claviger access break-glass-reviews.`,
    expected: 'No emergency.',
    ...{ seen, principal, firstSeen: record.time, lastSeen: record.time },
    evidence: [{ streamSeq, line }],
  };
}
