import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { LedgerError } from './errors';

/** Bytes of an uncompressed P-256 SubjectPublicKeyInfo. One length means one spelling of a key. */
export const P256_SPKI_BYTES = 91;
/** Raw `r || s` (ES256, RFC 7518 §3.4). */
export const ES256_SIGNATURE_BYTES = 64;
const ED25519_SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Parse a P-256 public key once and keep it: parsing costs as much as a verification. Throws `ERR_PUBLIC_KEY` for anything else. */
export function p256PublicKey(spki: Uint8Array): KeyObject {
  if (spki.length !== P256_SPKI_BYTES) throw new LedgerError('ERR_PUBLIC_KEY', `A P-256 key of ${spki.length} bytes`);
  const key = parse(spki);
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new LedgerError('ERR_PUBLIC_KEY', 'Not a P-256 key');
  return key;
}

/** The 32 bytes of an Ed25519 key (RFC 8032 §5.1.5) out of its SubjectPublicKeyInfo (RFC 8410 §4). Throws `ERR_PUBLIC_KEY`. */
export function rawEd25519PublicKey(spki: Uint8Array): Buffer {
  const bytes = Buffer.from(spki);
  const prefix = bytes.subarray(0, ED25519_SPKI_PREFIX.length);
  if (bytes.length !== ED25519_SPKI_PREFIX.length + 32 || !prefix.equals(ED25519_SPKI_PREFIX))
    throw new LedgerError('ERR_PUBLIC_KEY', 'Not an Ed25519 key');
  return bytes.subarray(prefix.length);
}

/** The inverse of `rawEd25519PublicKey`, as a key to verify with. */
export const ed25519PublicKey = (raw: Uint8Array): KeyObject => parse(Buffer.concat([ED25519_SPKI_PREFIX, raw]));

/** ES256: does `signature` (raw 64 bytes) sign these bytes? False for a malformed signature. */
export const verifyEs256 = (signed: Uint8Array, key: KeyObject, signature: Uint8Array): boolean =>
  signature.length === ES256_SIGNATURE_BYTES && verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature);

function parse(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new LedgerError('ERR_PUBLIC_KEY', 'Not a public key', cause);
  }
}
