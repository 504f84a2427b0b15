import { z } from 'zod';

/** A public key as DER SubjectPublicKeyInfo in base64url, by key id. */
const keys = z.record(z.string(), z.string());

/** `trust.json`: the public keys that the ceremony wrote; everything that is verified is verified against these. */
export const Trust = z.strictObject({
  format: z.literal('claviger.trust/1'),
  /** Sign KV records and tokens. */
  control: keys,
  /** Certify the batch keys of workers and services. */
  certifiers: keys,
  /** Name of the log and its verifier key (C2SP signed note vkey). */
  ledger: z.strictObject({ origin: z.string(), vkey: z.string() }),
  /** Public keys of recovery groups, by group id: what backups are encrypted to. */
  recovery: keys.optional(),
});
export type Trust = z.infer<typeof Trust>;

/**
 * Which token key (kid in `trust.json`) may certify the batch keys of which service. The broker already ties a subject to a service's own
 * user; this ties the chain to its token as well, so that a crypto-worker with its customer token cannot write as policy.
 */
export const certifierOf: Readonly<Record<string, string>> = {
  'crypto-worker': 'customer-certifier',
  'key-lifecycle': 'control-certifier',
  policy: 'control-certifier',
  audit: 'ledger-certifier',
  'anomaly-detector': 'detection-certifier',
};

/** A token that took the place of another has a certifier of its own: `customer-certifier-2`. What the one before has certified stays certified. */
export const mayCertify = (certifier: string, service: string): boolean =>
  Object.hasOwn(certifierOf, service) && isGenerationOf(certifier, certifierOf[service] as string);

/** `customer-certifier-2` is the second `customer-certifier`. */
export const isGenerationOf = (kid: string, first: string): boolean =>
  kid === first || (kid.startsWith(`${first}-`) && /^([2-9]|[1-9][0-9]{1,3})$/.test(kid.slice(first.length + 1)));

/** The next kid of its kind, among those that there are. */
export const nextGenerationOf = (first: string, kids: readonly string[]): string => {
  const numbers = kids.filter((kid) => isGenerationOf(kid, first)).map((kid) => (kid === first ? 1 : Number(kid.slice(first.length + 1))));
  return numbers.length === 0 ? first : `${first}-${Math.max(...numbers) + 1}`;
};
