import { createHash } from 'node:crypto';

/**
 * Which token key (kid in `trust.json`) may certify the batch keys of which service. The broker already ties a subject to a service's
 * own user; this ties the chain to its token as well, so that a crypto-worker with its customer token cannot write as policy.
 */
const certifierOf: Readonly<Record<string, string>> = {
  'crypto-worker': 'customer-certifier',
  'key-lifecycle': 'control-certifier',
  policy: 'control-certifier',
  audit: 'ledger-certifier',
  'anomaly-detector': 'detection-certifier',
};

/** Raised when the same messages would give other leaves than before. */
const rulesVersion = 1;

export const mayCertify = (certifier: string, service: string): boolean =>
  Object.hasOwn(certifierOf, service) && certifierOf[service] === certifier;

/** Names everything beside the messages that decides what becomes a leaf: two sequencers with one name write the same bytes. */
export function rulesName(certifiers: Readonly<Record<string, string>>): string {
  const parts = [rulesVersion, Object.entries(certifierOf).sort(byName), Object.entries(certifiers).sort(byName)];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

const byName = ([a]: [string, string], [b]: [string, string]) => (a < b ? -1 : 1);
