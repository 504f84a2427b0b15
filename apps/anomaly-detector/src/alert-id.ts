import { createHash } from 'node:crypto';
import type { Alert } from '@claviger/contracts';

/**
 * The same detection from the same records always has the same id, so that a replay claims it once. The record's own id is part of it: stream
 * sequences start anew in a stream that was made anew.
 */
export function identified(alert: Omit<Alert, 'alertId' | 'status'>, causeId: string): Alert {
  const cause = [alert.detector, alert.principal, alert.keyId, alert.firstSeen, causeId, JSON.stringify(alert.evidence.at(-1))];
  const alertId = createHash('sha256').update(cause.join('\n')).digest('base64url').slice(0, 22);
  return { alertId: `al_${alertId}`, ...alert, status: 'open' };
}
