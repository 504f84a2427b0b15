import type { Algorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { passingKeyTemplate } from './templates';
import { unwrapAs } from './unwrapping';
import { assertWrappable, type WrappedKeyMaterial, wrapObject } from './wrapped-keys';

export interface RewrapRequest {
  readonly wrapped: Buffer;
  readonly mechanism: number;
  /** Of the key in the blob; AES_256 for a KEK. */
  readonly algorithm: Algorithm;
  /** What it is wrapped under, and what it is to be wrapped under: a root, a KEK, or any other key of usage `wrap`. */
  readonly from: KeyHandle;
  readonly to: KeyHandle;
}

/**
 * The same key under another wrapping key, without leaving the token: within this call it is a session object that can do nothing but be wrapped.
 * Whoever gets the new blob gives the old one up, so it is proven first: what unwraps from it gives, under the old key, the old blob again, byte for
 * byte (RFC 5649 is deterministic).
 * @throws HsmError HSM_WRAPPED_KEY_INVALID (the blob holds no such key under `from`), HSM_KEY_USE_REFUSED (a key that wraps no others),
 * HSM_MECHANISM_UNAVAILABLE (the token cannot wrap such keys), HSM_SELF_TEST_FAILED (the new blob gives another key), HSM_SESSION_LOST, HSM_UNAVAILABLE
 */
export function rewrap(connection: Connection, { wrapped, mechanism, algorithm, from, to }: RewrapRequest): WrappedKeyMaterial {
  connection.assertCurrent(to);
  assertWrappable(connection, algorithm);
  const attributes = passingKeyTemplate(algorithm);
  const passing = unwrapAs(connection, { wrapped, mechanism, algorithm, wrappingKey: from }, attributes);
  try {
    const made = wrapObject(connection, to, passing);
    const again = unwrapAs(connection, { ...made, algorithm, wrappingKey: to }, attributes);
    try {
      assertSame(connection, from, { passing, again, wrapped });
    } finally {
      destroyQuietly(connection, again);
    }
    return made;
  } finally {
    destroyQuietly(connection, passing);
  }
}

/** Another implementation may have encoded the private half in the old blob (RFC 5208 leaves some of it open): then this token's own encodings are compared. */
function assertSame(
  connection: Connection,
  from: KeyHandle,
  { passing, again, wrapped }: { passing: KeyHandle; again: KeyHandle; wrapped: Buffer },
): void {
  const { wrapped: back } = wrapObject(connection, from, again);
  if (back.equals(wrapped) || back.equals(wrapObject(connection, from, passing).wrapped)) return;
  throw new HsmError('HSM_SELF_TEST_FAILED', `Token ${connection.tokenLabel}: what was rewrapped as ${again.algorithm} is another key`);
}
