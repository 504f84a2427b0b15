import { createHash } from 'node:crypto';
import type { Alert } from '@claviger/contracts';

/**
 * The same detection from the same records always has the same id, so that a replay claims it once. The record's own id is part of it: stream
 * sequences start anew in a stream that was made anew.
 */
export function identified(alert: Omit<Alert, 'alertId' | 'status'>, causeId: string): Alert {
  const cause = [alert.detector, alert.principal, alert.keyId, alert.firstSeen, causeId, JSON.stringify(alert.evidence.at(-1))];
  return named(alert, cause);
}

/** One id for everything that has this cause, whoever recorded it and when: only the first of them becomes an alert. */
export const identifiedByCause = (alert: Omit<Alert, 'alertId' | 'status'>, cause: string): Alert => named(alert, [alert.detector, cause]);

function named(alert: Omit<Alert, 'alertId' | 'status'>, cause: readonly (string | undefined)[]): Alert {
  const alertId = createHash('sha256').update(cause.join('\n')).digest('base64url').slice(0, 22);
  return { alertId: `al_${alertId}`, ...alert, status: 'open' };
}
