import { createPublicKey } from 'node:crypto';
import type { PairAlgorithm } from '@claviger/hsm';
import { Skip } from '../outcome';
import { hex, number, object } from './vectors';

const longestExponentBytes = 32;

/** @throws Skip for a size that Claviger has not */
export function rsaAlgorithm(group: Record<string, unknown>): PairAlgorithm {
  const bits = number(group, 'keySize');
  if (bits !== 2048 && bits !== 3072 && bits !== 4096) throw new Skip(`RSA-${bits} is not an algorithm of Claviger`);
  return `RSA_${bits}`;
}

/** PKCS#8 of the group's private key. @throws Skip for a key that no RSA key of Claviger is like (FIPS 186-5 §5.1) */
export function rsaPkcs8(group: Record<string, unknown>): Buffer {
  const key = object(group, 'privateKey');
  if ('otherPrimeInfos' in key) throw new Skip('an RSA key has two primes');
  if (minimal(hex(key, 'publicExponent')).length > longestExponentBytes) throw new Skip('a public exponent is not longer than 256 bits');
  return hex(group, 'privateKeyPkcs8');
}

/** SPKI (rsaEncryption) of the numbers, whatever form of key the group has beside them. */
export function rsaSpki(group: Record<string, unknown>): Buffer {
  const key = object(group, 'publicKey');
  const [n, e] = [minimal(hex(key, 'modulus')), minimal(hex(key, 'publicExponent'))];
  return createPublicKey({ key: { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') }, format: 'jwk' }).export({
    format: 'der',
    type: 'spki',
  });
}

const minimal = (bytes: Buffer) =>
  bytes.subarray(
    Math.max(
      0,
      bytes.findIndex((byte) => byte !== 0),
    ),
  );
