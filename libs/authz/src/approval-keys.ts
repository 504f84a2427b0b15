import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { ApprovalJwk, ApprovalKey, Principal } from '@claviger/contracts';
import canonicalize from 'canonicalize';
import { jwkOfCose, type PublicJwk } from './cose-key';

/** JWK thumbprint (RFC 7638), base64url: the `kid` of an approval. */
export const thumbprintOf = (jwk: ApprovalJwk | PublicJwk): string => createHash('sha256').update(canonicalize(jwk)!).digest('base64url');

/**
 * The name of the public key itself, whatever is said beside it and however it is written: the same key under two principals, or once as a JWK and once as a
 * WebAuthn credential, has one name. What cannot be read is in no valid bundle, and is named by its bytes.
 */
export function nameOfApprovalKey(key: ApprovalKey): string {
  const jwk = jwkOf(key);
  return jwk ? `key:${thumbprintOf(jwk)}` : `unreadable:${(key as { publicKey: string }).publicKey}`;
}

/** Undefined when it is no public key that approves: a point that is not on its curve, or a COSE_Key of another kind. */
export function publicKeyOf(key: ApprovalKey): KeyObject | undefined {
  const jwk = jwkOf(key);
  try {
    return jwk && createPublicKey({ key: { ...jwk }, format: 'jwk' });
  } catch {
    return undefined;
  }
}

const jwkOf = (key: ApprovalKey): PublicJwk | undefined =>
  key.kind === 'signature' ? key.jwk : jwkOfCose(Buffer.from(key.publicKey, 'base64url'));

/** An OIDC identity by claims alone is that of everybody whose token has them. */
export const isUnnamed = ({ identities }: Principal): boolean => identities.some((one) => one.kind === 'oidc' && one.subject === undefined);

/**
 * An approval key, or an identity other than `token` (which is the principal's own id), proves to be one person, under however many names. A subject of an OIDC
 * issuer is one person whatever its tokens claim beside it; a person by claims alone may be anybody of that issuer, and counts as the same.
 */
export function isSamePerson(a: Principal, b: Principal): boolean {
  if (a.id === b.id) return true;
  const names = new Set(namesOf(a));
  return namesOf(b).some((name) => names.has(name)) || mayBe(a, b) || mayBe(b, a);
}

const mayBe = (unnamed: Principal, other: Principal): boolean =>
  unnamed.kind === 'person' &&
  other.kind === 'person' &&
  unnamed.identities.some(
    (one) =>
      one.kind === 'oidc' &&
      one.subject === undefined &&
      other.identities.some((theirs) => theirs.kind === 'oidc' && theirs.issuer === one.issuer),
  );

const namesOf = ({ approvalKeys = [], identities }: Principal): string[] => [
  ...approvalKeys.map(nameOfApprovalKey),
  ...identities.flatMap((identity) => {
    if (identity.kind === 'token') return [];
    const whole = canonicalize(identity)!;
    return identity.kind === 'oidc' && identity.subject !== undefined
      ? [whole, canonicalize({ kind: 'oidc', issuer: identity.issuer, subject: identity.subject })!]
      : [whole];
  }),
];
