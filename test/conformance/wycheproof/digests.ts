import { createHash } from 'node:crypto';
import { oneOf } from './suite';

/** By the names of the vectors; SHAKE in the lengths of RFC 8692. */
const hashes: Record<string, readonly [name: string, outputLength?: number]> = {
  'SHA-224': ['sha224'],
  'SHA-256': ['sha256'],
  'SHA-384': ['sha384'],
  'SHA-512': ['sha512'],
  'SHA-512/224': ['sha512-224'],
  'SHA-512/256': ['sha512-256'],
  'SHA3-224': ['sha3-224'],
  'SHA3-256': ['sha3-256'],
  'SHA3-384': ['sha3-384'],
  'SHA3-512': ['sha3-512'],
  SHAKE128: ['shake128', 32],
  SHAKE256: ['shake256', 64],
};

export function digestOf(sha: string, message: Buffer): Buffer {
  const [name, outputLength] = oneOf(hashes, sha, 'not a hash that signatures are taken over');
  return createHash(name, outputLength === undefined ? {} : { outputLength })
    .update(message)
    .digest();
}
