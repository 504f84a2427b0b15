import {
  type Algorithm,
  algorithms,
  custodiesOf,
  families,
  firstUsageOf,
  isPair,
  type PairAlgorithm,
  type SecretAlgorithm,
  type TokenFamily,
} from './algorithms';
import type { Connection, KeyHandle, KeySource } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly, generatePair, generatePairAsync } from './key-pairs';
import { assertConsistent, assertConsistentAsync } from './pairwise';
import { secretKeyTemplate } from './templates';
import { unwrap } from './unwrapping';

/** What leaves the token; store all of it. Key wrap authenticates neither key id nor algorithm, so whoever stores it binds both to it (a signed record). */
export interface WrappedKeyMaterial {
  /** AES Key Wrap with Padding (RFC 5649) of the secret, or of the PKCS#8 PrivateKeyInfo. */
  readonly wrapped: Buffer;
  /** CKM_… number to unwrap with. */
  readonly mechanism: number;
  readonly family: TokenFamily;
  /** DER SubjectPublicKeyInfo; for key pairs only. */
  readonly publicKeySpki?: Buffer;
}

/** Room for every wrapped key of the table (RSA-4096 PKCS#8: about 2,400 bytes). */
const wrappedBytesMax = 4096;

/** The key exists in clear only inside the token, and as an extractable object only within this call. A pair is tested as it will be unwrapped. */
export function generateWrapped(connection: Connection, algorithm: Algorithm, wrappingKey: KeyHandle): WrappedKeyMaterial {
  connection.assertCurrent(wrappingKey);
  assertWrappable(connection, algorithm);
  if (!isPair(algorithm)) return wrapAndDestroy(connection, wrappingKey, generateSecret(connection, algorithm as SecretAlgorithm));
  const { publicKey, privateKey, publicKeySpki } = generatePair(connection, { algorithm, purpose: 'wrapping' });
  destroyQuietly(connection, publicKey);
  const material = { ...wrapAndDestroy(connection, wrappingKey, privateKey), publicKeySpki };
  const tested = unwrapForTest(connection, material, algorithm, wrappingKey);
  try {
    assertConsistent(connection, tested, publicKeySpki, firstUsageOf(algorithm));
  } finally {
    destroyQuietly(connection, tested);
  }
  return material;
}

/** The same with everything that takes long off the event loop; `wrappingKey` is asked again after it. */
export async function generateWrappedAsync(
  connection: Connection,
  algorithm: Algorithm,
  wrappingKey: KeySource,
): Promise<WrappedKeyMaterial> {
  if (!isPair(algorithm)) return generateWrapped(connection, algorithm, wrappingKey());
  assertWrappable(connection, algorithm);
  const { publicKey, privateKey, publicKeySpki } = await generatePairAsync(connection, { algorithm, purpose: 'wrapping' });
  destroyQuietly(connection, publicKey);
  const material = { ...wrapAndDestroy(connection, wrappingKey, privateKey), publicKeySpki };
  const tested = unwrapForTest(connection, material, algorithm, wrappingKey());
  try {
    await assertConsistentAsync(connection, () => tested, publicKeySpki, firstUsageOf(algorithm));
  } finally {
    destroyQuietly(connection, tested);
  }
  return material;
}

/** @throws HsmError HSM_MECHANISM_UNAVAILABLE */
export function assertWrappable(connection: Connection, algorithm: Algorithm): void {
  const { family, tokenLabel } = connection;
  if (!custodiesOf(algorithm, family).includes('wrapped'))
    throw new HsmError(
      'HSM_MECHANISM_UNAVAILABLE',
      `Token ${tokenLabel} (${family}) cannot wrap ${algorithm} keys: they stay in the token`,
    );
  connection.assertMechanism(families[family].wrap, algorithm);
}

function generateSecret(connection: Connection, algorithm: SecretAlgorithm): KeyHandle {
  const { generate } = algorithms[algorithm];
  connection.assertMechanism(generate, algorithm);
  connection.assertAlgorithm(algorithm);
  const attributes = secretKeyTemplate(algorithm, { extractable: true });
  const object = connection.call(
    'generate',
    (p11, { objects }) => p11.C_GenerateKey(objects, { mechanism: generate }, attributes),
    algorithm,
  );
  return { object, algorithm, generation: connection.generation };
}

/** `wrappingKey` may be the source of one: what fails there must leave no extractable key behind either. */
export function wrapAndDestroy(connection: Connection, wrappingKey: KeyHandle | KeySource, key: KeyHandle): WrappedKeyMaterial {
  try {
    return wrapObject(connection, typeof wrappingKey === 'function' ? wrappingKey() : wrappingKey, key);
  } finally {
    destroyQuietly(connection, key);
  }
}

/** An extractable session object, wrapped in the way of this token's family. */
export function wrapObject(connection: Connection, wrappingKey: KeyHandle, key: KeyHandle): WrappedKeyMaterial {
  connection.assertCurrent(wrappingKey);
  connection.assertCurrent(key);
  const { family } = connection;
  const mechanism = families[family].wrap;
  const wrapped = connection.call(
    'wrap',
    (p11, { objects }) => p11.C_WrapKey(objects, { mechanism }, wrappingKey.object, key.object, Buffer.alloc(wrappedBytesMax)),
    key.algorithm,
  );
  return { wrapped: Buffer.from(wrapped), mechanism, family };
}

const unwrapForTest = (connection: Connection, material: WrappedKeyMaterial, algorithm: PairAlgorithm, wrappingKey: KeyHandle) =>
  unwrap(connection, { ...material, algorithm, wrappingKey, usage: firstUsageOf(algorithm) });
