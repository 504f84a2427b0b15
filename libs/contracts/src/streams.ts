/** Streams, buckets and pre-made consumers: provisioned by `claviger provision`, checked (never created) by the services. */
const day = 86_400;

export const streams = {
  AUDIT: {
    subjects: ['audit.v1.>'],
    summary: 'Signed batches of audit records',
    maxAgeSeconds: 0,
    protected: true,
    duplicateWindowSeconds: 600,
  },
  KEYS: {
    subjects: ['keys.v1.>'],
    summary: 'Key lifecycle events (CloudEvents)',
    maxAgeSeconds: 30 * day,
    protected: false,
    duplicateWindowSeconds: 600,
  },
  POLICY: {
    subjects: ['policy.v1.>'],
    summary: 'Policy events (CloudEvents)',
    maxAgeSeconds: 30 * day,
    protected: false,
    duplicateWindowSeconds: 600,
  },
  LEDGER: {
    subjects: ['ledger.v1.>'],
    summary: 'Checkpoints and findings (CloudEvents)',
    maxAgeSeconds: 365 * day,
    protected: false,
    duplicateWindowSeconds: 600,
  },
  SIGNALS: {
    subjects: ['signals.v1.>'],
    summary: 'Identity, network and application signals',
    maxAgeSeconds: 7 * day,
    protected: false,
    duplicateWindowSeconds: 120,
  },
  ALERTS: {
    subjects: ['alerts.v1.>'],
    summary: 'Alerts (CloudEvents)',
    maxAgeSeconds: 90 * day,
    protected: false,
    duplicateWindowSeconds: 600,
  },
  DEAD: {
    subjects: ['dead.v1.>'],
    summary: 'Messages that no consumer could process',
    maxAgeSeconds: 30 * day,
    protected: false,
    duplicateWindowSeconds: 120,
  },
} as const;
export type StreamName = keyof typeof streams;

export const buckets = {
  keys: { bucket: 'keys', summary: 'Signed key and KEK records, written by key-lifecycle' },
  sessions: { bucket: 'sessions', summary: 'Signed session records, written by policy' },
  policy: { bucket: 'policy', summary: 'The signed policy bundle, written by policy' },
  changes: {
    bucket: 'changes',
    summary: 'Signed change requests and their approvals, written by policy, and what became of each, by whoever ends it',
  },
} as const;
export type BucketName = keyof typeof buckets;

export const consumers = {
  auditLedger: { stream: 'AUDIT', name: 'audit-ledger', maxAckPending: 2_000, ackWaitMs: 60_000 },
  auditDetector: { stream: 'AUDIT', name: 'anomaly-detector', maxAckPending: 2_000, ackWaitMs: 60_000 },
  ledgerDetector: { stream: 'LEDGER', name: 'anomaly-detector-ledger', maxAckPending: 100, ackWaitMs: 30_000 },
} as const;

/** In the CLIENTS account: the security team's own copy of ALERTS, read through a pre-made pull consumer. */
export const clientAlerts = { stream: 'ALERTS', consumer: 'security-team', liveSubject: 'alerts.v1.>' } as const;
