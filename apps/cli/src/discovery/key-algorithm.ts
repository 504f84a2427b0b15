import { createHash, type KeyObject } from 'node:crypto';
import { type Algorithm, algorithms } from '@claviger/contracts';

export interface NamedAlgorithm {
  algorithm: string;
  strengthBits: number;
}

const curves: Readonly<Record<string, Algorithm>> = {
  prime256v1: 'EC_P256',
  secp384r1: 'EC_P384',
  secp521r1: 'EC_P521',
  secp256k1: 'EC_SECP256K1',
};
/** Strength of integer-factorisation and finite-field keys by modulus (SP 800-57 Part 1 rev. 5, table 2). */
export const strengthOfModulus = (bits: number): number =>
  [
    [15_360, 256],
    [7_680, 192],
    [3_072, 128],
    [2_048, 112],
    [1_024, 80],
  ].find(([from]) => bits >= (from as number))?.[1] ?? 0;

/** By what node:crypto says of an asymmetric key. */
export function algorithmOfKey(key: KeyObject): NamedAlgorithm {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      return named(`RSA_${modulusLength}`, strengthOfModulus(modulusLength));
    case 'ec':
      return named(curves[namedCurve] ?? `EC_${namedCurve}`, curveStrength(namedCurve));
    case 'ed25519':
      return named('ED25519', 128);
    case 'x25519':
      return named('X25519', 128);
    case 'ed448':
    case 'x448':
      return named(key.asymmetricKeyType.toUpperCase(), 224);
    case 'dsa':
      // Withdrawn for signatures (FIPS 186-5).
      return named(`DSA_${modulusLength}`, 0);
    default:
      return named(knownPq(key.asymmetricKeyType) ?? String(key.asymmetricKeyType).toUpperCase(), 0);
  }
}

/** With the strength that Claviger's table gives it, where it is in it. */
export function named(algorithm: string, strengthBits: number): NamedAlgorithm {
  const known = algorithms[algorithm as Algorithm] as (typeof algorithms)[Algorithm] | undefined;
  return { algorithm, strengthBits: known?.strengthBits ?? strengthBits };
}

/** Half the size of the field, where the name ends with it: `secp224r1`, `brainpoolP256r1`. */
const curveStrength = (curve: string): number => Math.floor(Number(/(\d{3})/.exec(curve)?.[1] ?? 0) / 2);

const knownPq = (type: string | undefined): string | undefined =>
  Object.keys(algorithms).find((name) => name.toLowerCase().replaceAll('_', '-') === type);

/** SHA-256 of a SubjectPublicKeyInfo (DER), base64url: by it a key is known wherever it is. */
export const spkiDigest = (spki: Uint8Array): string => createHash('sha256').update(spki).digest('base64url');
export const spkiSha256 = (key: KeyObject): string => spkiDigest(key.export({ format: 'der', type: 'spki' }));
