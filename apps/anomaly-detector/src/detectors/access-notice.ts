import { type Alert, OperationRecord } from '@claviger/contracts';
import type { Place } from '../observed-use';

export interface AccessNotice extends Place {
  record: OperationRecord;
}

const about = {
  'access:ReviewOverdue': {
    severity: 'medium',
    title: 'A review of access is overdue',
    expected: 'A review that is completed by its due date.',
  },
  'access:KeepLastHolder': {
    severity: 'high',
    title: 'Access that nobody uses is not taken away, since too few would be left',
    expected: 'More people with the role than the policies ask for.',
  },
} as const;
const told = (action: unknown): action is keyof typeof about => typeof action === 'string' && Object.hasOwn(about, action);

/** What policy recorded of its own accord and somebody must look after, out of a line of AUDIT; undefined for any other record. */
export function readAccessNotice(line: Record<string, unknown>, place: Place): AccessNotice | undefined {
  if (!told(line.action) || line.service !== 'policy' || line.principal !== 'policy') return undefined;
  const { success, data: record } = OperationRecord.safeParse(line);
  return success ? { ...place, record } : undefined;
}

export function accessNoticeAlert({ record, streamSeq, line }: AccessNotice): Omit<Alert, 'alertId' | 'status'> {
  const { severity, title, expected } = about[record.action as keyof typeof about];
  const seen = (record.reason ?? '').slice(0, 1_000);
  return {
    ...{ detector: 'access-governance', severity, title, expected, seen, explanation: `${title}: ${seen}` },
    ...{ firstSeen: record.time, lastSeen: record.time, evidence: [{ streamSeq, line }] },
  };
}
