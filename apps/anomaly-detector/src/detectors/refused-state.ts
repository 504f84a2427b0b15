import { type Alert, RefusedStateRecord } from '@claviger/contracts';
import type { Place } from '../observed-use';

export interface RefusedStateFound extends Place {
  record: RefusedStateRecord;
}

/** What a service recorded of state that it refused, out of a line of AUDIT; undefined for one that no service writes. */
export function readRefusedState(line: Record<string, unknown>, place: Place): RefusedStateFound | undefined {
  const { success, data: record } = RefusedStateRecord.safeParse(line);
  return success ? { ...place, record } : undefined;
}

/** Somebody else than its owner wrote a document: keys, policies, who has which role, approvals and reviews are signed, so it was used nowhere. */
export function refusedStateAlert({ record, streamSeq, line }: RefusedStateFound): Omit<Alert, 'alertId' | 'status'> | undefined {
  // A bucket that is behind, or that was put back, is told by health; what is signed by nobody was written by somebody.
  if (record.reason === 'incomplete' || record.reason === 'deleted' || record.reason === 'older-revision') return undefined;
  const place = `${record.bucket}/${record.key.slice(0, 64)}`;
  const detail = record.detail.slice(0, 1_000);
  return {
    detector: 'refused-state',
    severity: 'critical',
    title: `${place} was changed past its service`,
    explanation: `${record.holder.slice(0, 64)} refused ${place}: ${record.reason}. It goes on with what was signed. Find out who can write there, and put the document back from a backup. ${detail}`,
    expected: 'State that its owner signed.',
    seen: `${record.reason}: ${detail}`,
    ...(record.keyId === undefined ? {} : { keyId: record.keyId }),
    firstSeen: record.time,
    lastSeen: record.time,
    evidence: [{ streamSeq, line }],
  };
}
