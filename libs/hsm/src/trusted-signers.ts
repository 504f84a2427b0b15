import { createHash } from 'node:crypto';
import { HsmError } from './hsm-error';
import type { Token } from './token';

/** Signs in the token with a key that others know by `kid`. */
export interface TrustedSigner {
  readonly kid: string;
  /** ES256: ECDSA P-256 over SHA-256 of the input, raw r ‖ s. */
  sign(input: Buffer): Buffer;
  /** The same over a digest. */
  signDigest(digest32: Buffer): Buffer;
}

/**
 * The token's key pair `label`, under the name that `trusted` (kid → SPKI, base64url) gives it. It is found by its public key: a token whose key
 * nobody trusts is refused at start, not at the first signature.
 * @throws HsmError HSM_CONFIGURATION
 */
export function trustedSigner(token: Token, label: string, trusted: Readonly<Record<string, string>>): TrustedSigner {
  const spki = token.publicKeySpki(label).toString('base64url');
  const kid = Object.keys(trusted).find((name) => trusted[name] === spki);
  if (kid === undefined) throw new HsmError('HSM_CONFIGURATION', `The key ${label} of token ${token.label} is not in the trust file`);
  const signDigest = (digest32: Buffer) => token.signDigestP256(token.findTokenKey(label, 'private'), digest32);
  return { kid, signDigest, sign: (input) => signDigest(createHash('sha256').update(input).digest()) };
}

/** A fresh batch key in the token, and the long-lived key that certifies it. @throws HsmError HSM_UNAVAILABLE while the token leaves calls unanswered, among others */
export function openEpoch(token: Token, certifier: TrustedSigner) {
  token.assertAnswers();
  const { privateKey, publicKeySpki } = token.generateSessionKeyPair('EC_P256');
  return {
    batchPublicKey: publicKeySpki,
    signBatch: (digest: Buffer) =>
      token.distance === 'near'
        ? token.signDigestP256(privateKey, digest)
        : token.signDigestAsync(() => privateKey, 'ES256', digest, { urgent: true }),
    certifier: certifier.kid,
    certify: certifier.signDigest,
  };
}
