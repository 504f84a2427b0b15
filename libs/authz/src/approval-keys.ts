import { createHash } from 'node:crypto';
import type { ApprovalJwk, ApprovalKey, Principal } from '@claviger/contracts';
import canonicalize from 'canonicalize';

/** JWK thumbprint (RFC 7638), base64url: the `kid` of an approval. */
export const thumbprintOf = (jwk: ApprovalJwk): string => createHash('sha256').update(canonicalize(jwk)!).digest('base64url');

/** The name of the key itself, whatever is said beside it: the same key under two principals has one name. */
export const nameOfApprovalKey = (key: ApprovalKey): string =>
  key.kind === 'signature' ? `signature:${thumbprintOf(key.jwk)}` : `webauthn:${key.publicKey}`;

/** An approval key, or an identity other than `token` (which is the principal's own id), proves to be one person, under however many names. */
export function isSamePerson(a: Principal, b: Principal): boolean {
  if (a.id === b.id) return true;
  const names = new Set(namesOf(a));
  return namesOf(b).some((name) => names.has(name));
}

const namesOf = ({ approvalKeys = [], identities }: Principal): string[] => [
  ...approvalKeys.map(nameOfApprovalKey),
  ...identities.filter(({ kind }) => kind !== 'token').map((identity) => canonicalize(identity)!),
];
