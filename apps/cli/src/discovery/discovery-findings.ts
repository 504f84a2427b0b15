import { dayMs, strongFromBits } from '../thresholds';
import type { DiscoveredKey } from './discovered';

export const discoveryChecks = ['copy', 'exposed', 'weak', 'expired', 'expiring', 'drift', 'unmanaged'] as const;
export type DiscoveryCheck = (typeof discoveryChecks)[number];

export interface DiscoveryFinding {
  readonly check: DiscoveryCheck;
  readonly place: string;
  readonly why: string;
  readonly next: string;
}

export interface KnownToUs {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly nowMs: number;
  /** Of every version of managed keys: SHA-256 of the public half → `KEY#VERSION`. */
  readonly managed: ReadonlyMap<string, string>;
  /** Places, names at their source, and digests of public keys, that somebody decided to leave as they are. */
  readonly accepted: ReadonlySet<string>;
  /** Certificates that end within so many days are told. */
  readonly expiringDays: number;
}

/**
 * What is wrong with a key that was found elsewhere, the worst first. Its public half, or its certificate, may be anywhere. Of what somebody accepted only a copy
 * of a managed key is told: whoever accepted it did not know that it is one.
 */
export function discoveryFindings(key: DiscoveredKey, known: KnownToUs): DiscoveryFinding[] {
  const { place, id, publicKeySha256 } = key;
  const isAccepted = [place, id, publicKeySha256].some((name) => name !== undefined && known.accepted.has(name));
  return allFindings(key, known).filter(({ check }) => check === 'copy' || !isAccepted);
}

function allFindings(key: DiscoveredKey, { nowMs, managed, expiringDays }: KnownToUs): DiscoveryFinding[] {
  const { place, kind, algorithm, strengthBits, protection, publicKeySha256, notAfter } = key;
  const tell = (check: DiscoveryCheck, why: string, next: string): DiscoveryFinding => ({ check, place, why, next });
  const isSecret = kind === 'private' || kind === 'secret' || kind === 'keystore';
  const found: DiscoveryFinding[] = [];
  const copyOf = publicKeySha256 === undefined ? undefined : managed.get(publicKeySha256);
  if (isSecret && copyOf !== undefined)
    found.push(
      tell(
        'copy',
        `the private half of ${copyOf} is here, outside the HSM`,
        `claviger keys mark-compromised ${copyOf.replace('#', ' --key-version ')} --rotate --reason …`,
      ),
    );
  if (isSecret && protection === 'none')
    found.push(tell('exposed', `${a(algorithm)} in clear`, 'take it for known to whoever could read it: replace it by a key in Claviger'));
  // A public half by itself verifies or encrypts for whoever has the other: it is that one that is weak.
  if (kind !== 'public' && strengthBits !== undefined && strengthBits < strongFromBits)
    found.push(
      tell(
        'weak',
        `${algorithm ?? 'its algorithm'} has ${strengthBits === 0 ? 'no' : strengthBits} bits of strength`,
        'replace it by one of 128 bits or more',
      ),
    );
  if (notAfter !== undefined) {
    const days = Math.floor((Date.parse(notAfter) - nowMs) / dayMs);
    if (days < 0) found.push(tell('expired', `it ended at ${notAfter}`, 'renew it, or remove it'));
    else if (days < expiringDays) found.push(tell('expiring', `it ends in ${days} days, at ${notAfter}`, 'renew it'));
  }
  for (const { why, next } of key.drift) found.push(tell('drift', why, next));
  if (isSecret && copyOf === undefined)
    found.push(
      tell(
        'unmanaged',
        `${kind === 'keystore' ? 'a key store' : a(algorithm)} that Claviger does not manage`,
        'make a key in Claviger and move its users to it, or import it; or accept it by its fingerprint',
      ),
    );
  return found;
}

const a = (algorithm: string | undefined): string => `a key${algorithm === undefined ? '' : ` (${algorithm})`}`;
