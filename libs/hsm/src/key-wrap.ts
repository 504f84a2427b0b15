import { families, type KeyUsage, rowOf } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { mechanisms } from './mechanisms';
import { readValue } from './secret-values';
import { passingSecretTemplate } from './templates';

/** RFC 3394 (SP 800-38F KW), for keys of 16 bytes or more in steps of 8; RFC 5649 (KWP), for any. */
export type KeyWrapScheme = 'KW' | 'KWP';

const usage: KeyUsage = 'wrap';
/** The integrity check value in front. */
const overheadBytes = 8;
const blockBytes = 8;
const leastBytes: Record<KeyWrapScheme, number> = { KW: 16, KWP: 1 };

/**
 * Wraps a key that a caller holds. It passes through the token as a session object that nothing but this call can use.
 * @throws HsmError HSM_ARGUMENT_INVALID (a length that the scheme does not take), HSM_KEY_USE_REFUSED, HSM_MECHANISM_UNAVAILABLE (also: a length that
 * this family of tokens would wrap as another)
 */
export function wrapValue(connection: Connection, key: KeyHandle, scheme: KeyWrapScheme, value: Buffer): Buffer {
  const mechanism = begin(connection, key, scheme);
  if (value.length < leastBytes[scheme] || (scheme === 'KW' && value.length % blockBytes !== 0))
    throw new HsmError('HSM_ARGUMENT_INVALID', `${scheme} wraps no key of ${value.length} bytes`);
  const { family, tokenLabel } = connection;
  if (value.length % blockBytes !== 0 && !families[family].wrapsAnyLength)
    throw new HsmError('HSM_MECHANISM_UNAVAILABLE', `Token ${tokenLabel} (${family}) wraps keys in steps of ${blockBytes} bytes only`);
  const attributes = passingSecretTemplate({ value, sensitive: true });
  const passing = handleOf(
    connection,
    connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, attributes), 'a key to wrap'),
  );
  const room = overheadBytes + blockBytes * Math.ceil(value.length / blockBytes);
  try {
    const wrapped = connection.call(
      'wrap',
      (p11, { objects }) => p11.C_WrapKey(objects, { mechanism }, key.object, passing.object, Buffer.alloc(room)),
      scheme,
    );
    return Buffer.from(wrapped);
  } finally {
    destroyQuietly(connection, passing);
  }
}

/**
 * The key inside a blob that `wrapValue`, or anybody else by the same RFC, made.
 * @throws HsmError HSM_AUTHENTICATION_FAILED: the one answer to whatever is wrong with the blob; HSM_KEY_USE_REFUSED, HSM_MECHANISM_UNAVAILABLE
 */
export function unwrapValue(connection: Connection, key: KeyHandle, scheme: KeyWrapScheme, wrapped: Buffer): Buffer {
  const mechanism = begin(connection, key, scheme);
  const least = overheadBytes + blockBytes * Math.ceil(leastBytes[scheme] / blockBytes);
  if (wrapped.length < least || wrapped.length % blockBytes !== 0) throw invalid();
  const attributes = passingSecretTemplate({ sensitive: false });
  let object: Buffer;
  try {
    object = connection.call(
      'unwrap',
      (p11, { objects }) => p11.C_UnwrapKey(objects, { mechanism }, key.object, wrapped, attributes),
      scheme,
    );
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_WRAPPED_KEY_INVALID') throw invalid(error);
    throw error;
  }
  const passing = handleOf(connection, object);
  try {
    return readValue(connection, passing.object);
  } finally {
    destroyQuietly(connection, passing);
  }
}

function begin(connection: Connection, key: KeyHandle, scheme: KeyWrapScheme): number {
  connection.assertCurrent(key);
  if (!rowOf(key.algorithm).usages.includes(usage)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${key.algorithm} key wraps no others`);
  const mechanism = scheme === 'KW' ? mechanisms.CKM_AES_KEY_WRAP : families[connection.family].wrap;
  connection.assertMechanism(mechanism, scheme);
  return mechanism;
}

/** Told apart from a wrapped key of our own that is damaged: this one came from a caller. */
const invalid = (cause?: unknown) =>
  new HsmError('HSM_AUTHENTICATION_FAILED', 'The wrapped key is not intact, or not under this key', { cause });

const handleOf = (connection: Connection, object: Buffer): KeyHandle => ({
  ...{ object, generation: connection.generation },
  /** Not a key of the table: only its handle matters here. */
  algorithm: 'HMAC_SHA_256',
});
