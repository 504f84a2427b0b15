import { type Alert, RefusedStateRecord, type StateRefusal } from '@claviger/contracts';
import type { Place } from '../observed-use';

export interface RefusedStateFound extends Place {
  record: RefusedStateRecord;
}

/** What a service recorded of state that it was given and did not use, out of a line of AUDIT; undefined for one that no service writes. */
export function readRefusedState(line: Record<string, unknown>, place: Place): RefusedStateFound | undefined {
  const { success, data: record } = RefusedStateRecord.safeParse(line);
  return success ? { ...place, record } : undefined;
}

const what: Record<StateRefusal, string> = {
  'not-signed': 'was signed by nobody who may',
  'not-a-record': 'is no record',
  'other-name': 'is the record of something else',
  'older-revision': 'is an older one that was put back',
  deleted: 'was deleted while it still mattered',
  incomplete: 'does not add up: something was put back, or is missing',
  'tampered-document': 'was edited behind the back of its service',
};

/** Keys, sessions, policies and approvals are written by their services alone: whoever else wrote one has access to the broker or to the document store. */
export function refusedStateAlert({ record, streamSeq, line }: RefusedStateFound): Omit<Alert, 'alertId' | 'status'> {
  const { bucket, holder, reason, time, keyId } = record;
  const named = `${bucket.slice(0, 32)}/${record.key.slice(0, 100)}`;
  const place = bucket === 'store' ? 'the document store' : `the bucket ${bucket.slice(0, 32)}`;
  const detail = record.detail.slice(0, 500);
  return {
    detector: 'refused-state',
    // An owner that ended at the wrong moment leaves its bucket so as well.
    severity: reason === 'incomplete' ? 'high' : 'critical',
    title: `State that its owner did not write: ${named}`,
    explanation: `${holder.slice(0, 100)} was given ${named} in ${place}, and it ${what[reason]}. It was not used: what was known before stays in force. Somebody had access to ${place}. ${detail}`,
    expected: 'State that its owner signed, and none that is older than what was seen.',
    seen: `${reason}: ${detail}`,
    ...(keyId === undefined ? {} : { keyId }),
    firstSeen: time,
    lastSeen: time,
    evidence: [{ streamSeq, line }],
  };
}

/** Every holder records it, and again while it lasts: of one thing in one place there is one alert a day. */
export const refusedStateCause = ({ record: { bucket, key, reason, time } }: RefusedStateFound): string =>
  [bucket, key, reason, time.slice(0, 10)].join('\n');
