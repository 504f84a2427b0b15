import { type Alert, TokenRecord } from '@claviger/contracts';
import type { Place } from '../observed-use';

export interface TokenFailure extends Place {
  record: TokenRecord;
}

/** What a worker recorded of its token, out of a line of AUDIT; undefined for one that no worker writes. */
export function readTokenRecord(line: Record<string, unknown>, place: Place): TokenFailure | undefined {
  const { success, data: record } = TokenRecord.safeParse(line);
  return success ? { ...place, record } : undefined;
}

/** A worker refuses all requests of a token that fails. One that is well again is no alert. */
export function tokenAlert(found: TokenFailure): Omit<Alert, 'alertId' | 'status'> | undefined {
  return found.record.event === 'failing' || found.record.event === 'well' ? failureAlert(found) : assuranceAlert(found);
}

const about = {
  'validation-ending': { severity: 'medium', title: 'nears the end of its validation', expected: 'A validation that lasts.' },
  'validation-ended': { severity: 'high', title: 'counts as validated no more', expected: 'A module whose validation is active.' },
  mismatch: {
    severity: 'high',
    title: 'is another than its record says',
    expected: 'Model, firmware and serial number as they are on record.',
  },
} as const;

/** What the policies in force say of it is not what is so, or will not be. */
function assuranceAlert({ record, streamSeq, line }: TokenFailure): Omit<Alert, 'alertId' | 'status'> | undefined {
  const { event, since, time } = record;
  if (event === 'failing' || event === 'well') return undefined;
  const { severity, title, expected } = about[event];
  const detail = record.detail.slice(0, 1_000);
  return {
    ...{ detector: 'token-assurance', severity, expected, title: `Token ${record.token.slice(0, 64)} ${title}` },
    ...{ explanation: detail, seen: detail, firstSeen: since, lastSeen: time, evidence: [{ streamSeq, line }] },
  };
}

function failureAlert({ record, streamSeq, line }: TokenFailure): Omit<Alert, 'alertId' | 'status'> | undefined {
  if (record.event !== 'failing') return undefined;
  const { token, holder, since } = record;
  const detail = record.detail.slice(0, 1_000);
  return {
    detector: 'token-failure',
    severity: 'high',
    title: `Token ${token.slice(0, 64)} fails`,
    explanation: `Worker ${holder.slice(0, 64)} refuses the requests that token ${token.slice(0, 64)} would serve, since it fails. It goes on by itself once the token passes a probe. ${detail}`,
    expected: 'A token that answers.',
    seen: detail,
    firstSeen: since,
    lastSeen: record.time,
    evidence: [{ streamSeq, line }],
  };
}
