import { createCipheriv, randomBytes } from 'node:crypto';
import {
  type Algorithm,
  families,
  isPq,
  type KeyUsage,
  type PairAlgorithm,
  type PqAlgorithm,
  rowOf,
  type SecretAlgorithm,
} from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { pqPrivatePartsOf } from './pq-private';
import { knownKeyTemplate, knownPrivateTemplate } from './templates';
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

/**
 * The private half from its PKCS#8, by the way that every wrapped key takes: under a key of its own, which ends with this call. Tokens that wrap no
 * post-quantum key unwrap none either, so those are created.
 */
export function importKnownPrivate(connection: Connection, algorithm: PairAlgorithm, pkcs8: Buffer, usage: KeyUsage): KeyHandle {
  if (isPq(algorithm)) return createKnownPrivate(connection, algorithm, pkcs8, usage);
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

/** @throws HsmError HSM_ARGUMENT_INVALID also for a key of the right form that is none (FIPS 203 §7.3, FIPS 204 §5.2): the token checks it */
function createKnownPrivate(connection: Connection, algorithm: PqAlgorithm, pkcs8: Buffer, usage: KeyUsage): KeyHandle {
  if (!rowOf(algorithm).usages.includes(usage)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${algorithm} key is not for ${usage}`);
  connection.assertAlgorithm(algorithm);
  const attributes = knownPrivateTemplate(algorithm, pqPrivatePartsOf(algorithm, pkcs8), usage);
  const object = connection.call('import', (p11, { objects }) => p11.C_CreateObject(objects, attributes), algorithm);
  return handleOf(connection, object, algorithm);
}

const handleOf = (connection: Connection, object: Buffer, algorithm: Algorithm): KeyHandle => ({
  ...{ object, algorithm, generation: connection.generation },
});
