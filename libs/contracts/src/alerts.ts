import { z } from 'zod';
import { KeyId, PrincipalId, Timestamp } from './primitives';

/**
 * One detection. `expected`, `seen` and `evidence` explain it: what the baseline was, what happened, and the records (AUDIT stream sequence
 * and line within the batch) that show it. Published as the `data` of a CloudEvent; the OCSF Detection Finding fields (class 2004) ride in `ocsf`.
 */
export const Alert = z.strictObject({
  alertId: z.string(),
  detector: z.enum([
    'rate-spike-principal',
    'rate-spike-key',
    'first-use',
    'deletion-probe',
    'quota-refusals',
    'quota-put-back',
    'ledger-finding',
    'token-failure',
    'token-assurance',
    'refused-state',
    'access-governance',
    'break-glass',
  ]),
  severity: z.enum(['low', 'medium', 'high', 'critical']),
  title: z.string(),
  explanation: z.string(),
  expected: z.string(),
  seen: z.string(),
  principal: PrincipalId.optional(),
  keyId: KeyId.optional(),
  firstSeen: Timestamp,
  lastSeen: Timestamp,
  evidence: z.array(z.strictObject({ streamSeq: z.int(), line: z.int() })).max(50),
  status: z.enum(['open', 'acknowledged']),
  acknowledgedBy: PrincipalId.optional(),
  note: z.string().optional(),
});
export type Alert = z.infer<typeof Alert>;

/** OCSF 1.x Detection Finding (class_uid 2004, category 2). */
export function toOcsf(alert: Alert) {
  const severity = { low: 2, medium: 3, high: 4, critical: 5 }[alert.severity];
  return {
    category_uid: 2,
    class_uid: 2004,
    activity_id: 1,
    type_uid: 200401,
    severity_id: severity,
    time: Date.parse(alert.lastSeen),
    message: alert.explanation,
    metadata: { version: '1.4.0', product: { name: 'Claviger anomaly-detector', vendor_name: 'Claviger' } },
    finding_info: {
      uid: alert.alertId,
      title: alert.title,
      desc: alert.explanation,
      types: [alert.detector],
      first_seen_time: Date.parse(alert.firstSeen),
      last_seen_time: Date.parse(alert.lastSeen),
    },
  };
}
