import type { KeySource } from './connection';
import { HsmError } from './hsm-error';
import { Token } from './token';
import { type TransportScheme, tokenDoesOaep } from './transport-schemes';
import type { WrappedKeyMaterial } from './wrapped-keys';

/** A key that wraps others (a KEK), kept wrapped under `under`, which lies in its token. */
export interface WrappingKey {
  readonly wrapped: Buffer;
  readonly mechanism: number;
  readonly under: KeySource;
}

/** The receiver of one move. NIST SP 800-57 Part 1 rev. 5 Table 2: 128 bits of security. */
const receiverAlgorithm = 'RSA_3072';
const algorithm = 'AES_256';

/**
 * The same wrapping key in another token, under a key of that one. It goes from HSM to HSM by RSA_AES_KEY_WRAP (PKCS#11 v3.1 §6.1.20), to a receiver that is
 * made for this one move and whose private half never leaves the token that it goes to; and by a hash that both tokens have for OAEP themselves, so that nothing
 * of it is ever in clear outside of them. Whoever gets it gives the old one up, so it is proven first: what the old token wraps under the key opens under what
 * arrived, and gives the same blob again, byte for byte (RFC 5649 is deterministic). That also proves that the new token opens what is under the key.
 * @throws HsmError HSM_WRAPPED_KEY_INVALID (the old token does not open it), HSM_MECHANISM_UNAVAILABLE, HSM_SELF_TEST_FAILED (the new token does not do with it
 * what the old one does), HSM_SESSION_LOST, HSM_UNAVAILABLE
 */
export async function moveWrappingKey(from: Token, to: Token, key: WrappingKey, under: KeySource): Promise<WrappedKeyMaterial> {
  const scheme = schemeOf(from, to);
  const receiver = await to.generateReceiverAsync(receiverAlgorithm, scheme);
  try {
    const { wrapped, mechanism } = key;
    const blob = from.wrapToRecipient({
      wrapped,
      mechanism,
      algorithm,
      wrappingKey: key.under(),
      scheme,
      recipient: receiver.publicKeySpki,
    });
    const { checkValue: _, ...moved } = to.unwrapFromSender({
      blob,
      scheme,
      receiver: receiver.privateKey,
      algorithm,
      wrappingKey: under(),
    });
    assertSame(from, to, key, { ...moved, under });
    return moved;
  } finally {
    to.destroyObject(receiver.privateKey);
  }
}

/** SHA-1 in OAEP is no weakness (RFC 8017 §8.1), and a token that lacks SHA-256 there would have this process open what carries the key. */
function schemeOf(...tokens: readonly Token[]): TransportScheme {
  const preferred = 'RSA_AES_KEY_WRAP_SHA_256';
  return tokens.every(({ family }) => tokenDoesOaep(family, preferred)) ? preferred : 'RSA_AES_KEY_WRAP_SHA_1';
}

function assertSame(from: Token, to: Token, old: WrappingKey, moved: WrappingKey): void {
  const opened = (token: Token, { wrapped, mechanism, under }: WrappingKey) =>
    token.unwrap({ wrapped, mechanism, algorithm, wrappingKey: under(), usage: 'wrap' });
  const before = opened(from, old);
  try {
    const probe = from.generateWrapped({ algorithm, wrappingKey: before });
    const after = opened(to, moved);
    try {
      const again = to.rewrap({ ...probe, algorithm, from: after, to: after });
      if (again.wrapped.equals(probe.wrapped)) return;
    } finally {
      to.destroyObject(after);
    }
  } catch (error) {
    // Of the new token: the old one has just opened it.
    if (!(error instanceof HsmError && error.code === 'HSM_WRAPPED_KEY_INVALID')) throw error;
  } finally {
    from.destroyObject(before);
  }
  throw new HsmError('HSM_SELF_TEST_FAILED', `Token ${to.label} does not open what token ${from.label} wraps under the same key`);
}
