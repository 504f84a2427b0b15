import type { Template } from 'pkcs11js';
import { type Algorithm, algorithms, type KeyUsage, type PairAlgorithm, rowOf } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { readAlgorithm } from './public-keys';
import { passingKeyTemplate, unwrappedTemplate } from './templates';

export interface UnwrapRequest {
  readonly wrapped: Buffer;
  readonly mechanism: number;
  readonly algorithm: Algorithm;
  readonly wrappingKey: KeyHandle;
  readonly usage: KeyUsage;
}

/** @throws HsmError HSM_WRAPPED_KEY_INVALID (the blob is wrong; the token, where it was asked, is alive), HSM_SESSION_LOST, HSM_UNAVAILABLE, HSM_MECHANISM_UNAVAILABLE */
export function unwrap(connection: Connection, { usage, ...request }: UnwrapRequest): KeyHandle {
  const { algorithm } = request;
  connection.assertCurrent(request.wrappingKey);
  if (!rowOf(algorithm).usages.includes(usage)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${algorithm} key is not for ${usage}`);
  return unwrapAs(connection, request, unwrappedTemplate(algorithm, usage));
}

/** As an extractable session object that can do nothing but be wrapped, for whoever destroys it in the same call. Errors: see unwrap. */
export const unwrapPassing = (connection: Connection, request: Omit<UnwrapRequest, 'usage'>): KeyHandle =>
  unwrapAs(connection, request, passingKeyTemplate(request.algorithm));

/** What it becomes is said by `attributes`; that it is a key of the algorithm is checked here. Errors: see unwrap. */
export function unwrapAs(
  connection: Connection,
  { wrapped, mechanism, algorithm, wrappingKey }: Omit<UnwrapRequest, 'usage'>,
  attributes: Template,
): KeyHandle {
  connection.assertCurrent(wrappingKey);
  const row = rowOf(algorithm);
  const [least, most] = row.wrappedBytes;
  if (wrapped.length < least || wrapped.length > most) throw invalid(`A blob of ${wrapped.length} bytes holds no ${algorithm} key`);
  connection.assertAlgorithm(algorithm);
  if (row.shape === 'secret') assertNoPair(connection, wrapped, mechanism, wrappingKey);
  const object = connection.call(
    'unwrap',
    (p11, { objects }) => p11.C_UnwrapKey(objects, { mechanism }, wrappingKey.object, wrapped, attributes),
    algorithm,
  );
  const key = handleOf(connection, object, algorithm);
  if (row.shape === 'pair') assertIs(connection, key);
  return key;
}

const handleOf = (connection: Connection, object: Buffer, algorithm: Algorithm): KeyHandle => ({
  object,
  algorithm,
  generation: connection.generation,
});

const invalid = (what: string) => new HsmError('HSM_WRAPPED_KEY_INVALID', what);

/** The lengths of pairs overlap, and SoftHSM unwraps a P-384 key where the caller meant P-256: the object itself says what it is. */
function assertIs(connection: Connection, key: KeyHandle): void {
  let found: Algorithm | undefined;
  try {
    found = readAlgorithm(connection, key.object);
  } catch (error) {
    destroyQuietly(connection, key);
    throw error;
  }
  if (found === key.algorithm) return;
  destroyQuietly(connection, key);
  throw invalid(`The blob holds no ${key.algorithm} key${found === undefined ? '' : ` but an ${found} key`}`);
}

/**
 * SoftHSM makes a secret of whatever bytes a blob unwraps to, and then reports no length. The length alone does not tell the encoding of a secp256k1
 * private key (64 bytes) from a 64-byte HMAC secret, so a blob that could be a pair's must not unwrap as one.
 */
function assertNoPair(connection: Connection, wrapped: Buffer, mechanism: number, wrappingKey: KeyHandle): void {
  const suspects = suspectsByLength.get(wrapped.length) ?? [];
  for (const suspect of suspects) {
    let object: Buffer;
    try {
      const attributes = unwrappedTemplate(suspect, 'sign');
      object = connection.p11.C_UnwrapKey(connection.ready().objects, { mechanism }, wrappingKey.object, wrapped, attributes);
    } catch {
      // As it should be. Were the token in trouble, the unwrapping that follows would say so.
      continue;
    }
    destroyQuietly(connection, handleOf(connection, object, suspect));
    throw invalid('The blob holds a private key, not a secret');
  }
}

/** One pair algorithm of each key type is enough to try. */
const suspectsByLength = new Map<number, PairAlgorithm[]>();
for (const row of Object.values(algorithms)) {
  if (row.shape !== 'secret') continue;
  const [length] = row.wrappedBytes;
  const suspects = (['EC_SECP256K1', 'ED25519'] as const).filter((pair) => {
    const [least, most] = algorithms[pair].wrappedBytes;
    return length >= least && length <= most;
  });
  suspectsByLength.set(length, suspects);
}
