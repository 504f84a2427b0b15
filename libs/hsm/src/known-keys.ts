import { createCipheriv, randomBytes } from 'node:crypto';
import { type Algorithm, families, type KeyUsage, type PairAlgorithm, type SecretAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { destroyQuietly } from './key-pairs';
import { knownKeyTemplate } from './templates';
import { unwrap } from './unwrapping';

/** The alternative initial value of RFC 5649 §3. */
export const alternativeIv = Buffer.from('a65959a6', 'hex');

/**
 * Keys whose values others know: for known-answer tests, and for keys that live for one call. Tokens in FIPS mode take none.
 * @throws HsmError not retryable when the token lets no key value in
 */
export function importKnownSecret(connection: Connection, algorithm: SecretAlgorithm, value: Buffer, usage: KeyUsage): KeyHandle {
  const attributes = knownKeyTemplate(value, algorithm, usage);
  const object = connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, attributes), algorithm);
  return handleOf(connection, object, algorithm);
}

/** The private half from its PKCS#8, by the way that every wrapped key takes: under a key of its own, which ends with this call. */
export function importKnownPrivate(connection: Connection, algorithm: PairAlgorithm, pkcs8: Buffer, usage: KeyUsage): KeyHandle {
  const bytes = randomBytes(32);
  const wrappingKey = importKnownSecret(connection, 'AES_256', bytes, 'wrap');
  try {
    const cipher = createCipheriv('id-aes256-wrap-pad', bytes, alternativeIv);
    const wrapped = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
    return unwrap(connection, { wrapped, mechanism: families[connection.family].wrap, algorithm, wrappingKey, usage });
  } finally {
    destroyQuietly(connection, wrappingKey);
    bytes.fill(0);
  }
}

const handleOf = (connection: Connection, object: Buffer, algorithm: Algorithm): KeyHandle => ({
  ...{ object, algorithm, generation: connection.generation },
});
