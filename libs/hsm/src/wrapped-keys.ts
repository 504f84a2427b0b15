import {
  type Algorithm,
  algorithms,
  families,
  type KeyUsage,
  type PairAlgorithm,
  type TokenFamily,
  type WrappableAlgorithm,
} from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { keyPairTemplates, secretKeyTemplate, unwrappedTemplate } from './templates';
import { readSpki } from './token-keys';

/** What leaves the token; store all of it. Key wrap authenticates no key id, so whoever stores it binds the id to it (a signed record). */
export interface WrappedKeyMaterial {
  /** AES Key Wrap with Padding (RFC 5649) of the AES key, or of the PKCS#8 PrivateKeyInfo. */
  readonly wrapped: Buffer;
  /** CKM_… number to unwrap with. */
  readonly mechanism: number;
  readonly family: TokenFamily;
  /** DER SubjectPublicKeyInfo; for key pairs only. */
  readonly publicKeySpki?: Buffer;
}

export interface UnwrapRequest {
  readonly wrapped: Buffer;
  readonly mechanism: number;
  readonly algorithm: Algorithm;
  readonly wrappingKey: KeyHandle;
  readonly usage: KeyUsage;
}

/** Room for every wrapped key of the table (P-256 PKCS#8: about 160 bytes). */
const wrappedBytesMax = 4096;

/** The key exists in clear only inside the token, and as an extractable object only within this call. */
export function generateWrapped(connection: Connection, algorithm: WrappableAlgorithm, wrappingKey: KeyHandle): WrappedKeyMaterial {
  connection.assertCurrent(wrappingKey);
  if (algorithms[algorithm].shape === 'secret') {
    const attributes = secretKeyTemplate({ extractable: true });
    const mechanism = { mechanism: algorithms[algorithm].generate };
    const object = connection.call('generate', (p11, { objects }) => p11.C_GenerateKey(objects, mechanism, attributes));
    return wrapAndDestroy(connection, wrappingKey, handleOf(connection, object, algorithm));
  }
  const { publicKeySpki, privateKey } = generatePair(connection, algorithm as PairAlgorithm, true);
  return { ...wrapAndDestroy(connection, wrappingKey, privateKey), publicKeySpki };
}

/** @throws HsmError HSM_WRAPPED_KEY_INVALID (the blob is wrong; the token, where it was asked, is alive), HSM_SESSION_LOST, HSM_UNAVAILABLE, HSM_MECHANISM_UNAVAILABLE */
export function unwrap(connection: Connection, { wrapped, mechanism, algorithm, wrappingKey, usage }: UnwrapRequest): KeyHandle {
  connection.assertCurrent(wrappingKey);
  const allowed: readonly KeyUsage[] = algorithms[algorithm].usages;
  if (!allowed.includes(usage)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${algorithm} key is not for ${usage}`);
  assertBlobLength(algorithm, wrapped);
  const attributes = unwrappedTemplate(algorithm, usage);
  const object = connection.call('unwrap', (p11, { objects }) =>
    p11.C_UnwrapKey(objects, { mechanism }, wrappingKey.object, wrapped, attributes),
  );
  return handleOf(connection, object, algorithm);
}

/** SoftHSM makes an "AES key" of whatever length a blob unwraps to, a P-256 private key's encoding included, and then reports no length. */
function assertBlobLength(algorithm: Algorithm, { length }: Buffer): void {
  const row = algorithms[algorithm];
  if (row.shape === 'secret' && length !== row.wrappedBytes) {
    throw new HsmError('HSM_WRAPPED_KEY_INVALID', `A blob of ${length} bytes holds no ${algorithm} key`);
  }
}

/** A pair whose private half never leaves and dies with the session. */
export function generateSessionKeyPair(connection: Connection, algorithm: PairAlgorithm): { privateKey: KeyHandle; publicKeySpki: Buffer } {
  return generatePair(connection, algorithm, false);
}

/** Destroys a session object; one of an older generation died with its session, and its number may be another's by now. */
export function destroyObject(connection: Connection, key: KeyHandle): void {
  if (key.generation !== connection.generation) return;
  connection.call('destroy', (p11, { objects }) => p11.C_DestroyObject(objects, key.object));
}

const handleOf = (connection: Connection, object: Buffer, algorithm: Algorithm): KeyHandle => ({
  object,
  algorithm,
  generation: connection.generation,
});

/** Session pair; of the public half only the SPKI stays. An extractable one is for wrapping and may do nothing itself. */
function generatePair(connection: Connection, algorithm: PairAlgorithm, extractable: boolean) {
  const templates = keyPairTemplates(algorithm, extractable ? { extractable } : { usage: 'sign', extractable });
  const mechanism = { mechanism: algorithms[algorithm].generate };
  const pair = connection.call('generate', (p11, { objects }) =>
    p11.C_GenerateKeyPair(objects, mechanism, templates.publicKey, templates.privateKey),
  );
  const publicKey = handleOf(connection, pair.publicKey, algorithm);
  const privateKey = handleOf(connection, pair.privateKey, algorithm);
  try {
    return { publicKeySpki: readSpki(connection, publicKey.object, algorithm), privateKey };
  } catch (error) {
    destroyQuietly(connection, privateKey);
    throw error;
  } finally {
    destroyQuietly(connection, publicKey);
  }
}

function wrapAndDestroy(connection: Connection, wrappingKey: KeyHandle, key: KeyHandle): WrappedKeyMaterial {
  const { family } = connection;
  const mechanism = families[family].wrap;
  try {
    const wrapped = connection.call('wrap', (p11, { objects }) =>
      p11.C_WrapKey(objects, { mechanism }, wrappingKey.object, key.object, Buffer.alloc(wrappedBytesMax)),
    );
    return { wrapped: Buffer.from(wrapped), mechanism, family };
  } finally {
    destroyQuietly(connection, key);
  }
}

/** In a `finally`, so it must not hide the first error; an object that survives here dies with its session at the latest. */
function destroyQuietly(connection: Connection, key: KeyHandle): void {
  try {
    destroyObject(connection, key);
  } catch {
    // The next call meets the same trouble and reports it.
  }
}
