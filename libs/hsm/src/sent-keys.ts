import type { Template } from 'pkcs11js';
import { type Algorithm, algorithms, families, isPair, isRsa } from './algorithms';
import { importRecipient, isSendersDoing, newCarrier, openCarrier, wrapFor } from './carriers';
import type { Connection, KeyHandle } from './connection';
import { type Examined, examine, unsuitable } from './examined-keys';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { passingKeyTemplate, passingSecretTemplate } from './templates';
import { oaepMechanism, type TransportScheme, tokenDoesOaep, transportSchemes } from './transport-schemes';
import { type UnwrapRequest, unwrapPassing } from './unwrapping';
import { assertWrappable, type WrappedKeyMaterial, wrapAndDestroy } from './wrapped-keys';

/** A key that is kept wrapped, and where it is to go. */
export interface SendRequest extends Omit<UnwrapRequest, 'usage'> {
  readonly scheme: TransportScheme;
  /** DER SubjectPublicKeyInfo of an RSA key of 2048 bits or more. */
  readonly recipient: Buffer;
}

/** What a sender made for a receiver, and what it is to become. */
export interface ReceiveRequest {
  readonly blob: Buffer;
  readonly scheme: TransportScheme;
  /** See `unwrapReceiver`, `generateReceiverAsync`; of the same scheme. */
  readonly receiver: KeyHandle;
  readonly algorithm: Algorithm;
  /** It is wrapped under this one. */
  readonly wrappingKey: KeyHandle;
  /** What the sender says the public half is; left out it is found out, which for Ed25519 no token can. */
  readonly publicKeySpki?: Buffer;
}

export interface ReceivedMaterial extends WrappedKeyMaterial, Examined {}

/** Integrity check value and one block: RFC 5649 of up to 8 bytes. */
const leastCarriedBytes = 16;
const mostCarriedBytes = 8192;

/**
 * The key, wrapped to the recipient's public key; it is in clear only inside the token. A private half is PKCS#8; SoftHSM appends up to 7 zero bytes to it.
 * @throws HsmError HSM_ARGUMENT_INVALID (the recipient's key; a private half under RSAES_OAEP), HSM_MECHANISM_UNAVAILABLE, and those of `unwrap`
 */
export function wrapToRecipient(connection: Connection, { scheme, recipient, ...request }: SendRequest): Buffer {
  const { carried } = transportSchemes[scheme];
  if (!carried) assertFits(connection, request.algorithm, scheme);
  const key = unwrapPassing(connection, request);
  try {
    return carried ? wrapCarried(connection, key, recipient, scheme) : wrapWhole(connection, key, recipient, scheme);
  } finally {
    destroyQuietly(connection, key);
  }
}

/**
 * The key in what a sender made, wrapped under `wrappingKey` after it has been examined: that it is of the algorithm, and that both halves of a pair fit.
 * @throws HsmError HSM_WRAPPED_KEY_INVALID: the one answer to whatever is wrong with a blob; HSM_KEY_UNSUITABLE: it is intact, and another kind of key;
 * HSM_ARGUMENT_INVALID, HSM_KEY_USE_REFUSED (a receiver of another scheme), HSM_MECHANISM_UNAVAILABLE
 */
export function unwrapFromSender(connection: Connection, request: ReceiveRequest): ReceivedMaterial {
  const { algorithm, scheme, blob, receiver, wrappingKey, publicKeySpki } = request;
  connection.assertCurrent(receiver);
  connection.assertCurrent(wrappingKey);
  assertWrappable(connection, algorithm);
  connection.assertAlgorithm(algorithm);
  if (algorithm === 'ED25519' && !publicKeySpki)
    throw new HsmError('HSM_ARGUMENT_INVALID', 'No token says the public half of an Ed25519 key: send it along');
  if (!isRsa(receiver.algorithm)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${receiver.algorithm} key receives no others`);
  const modulusBytes = algorithms[receiver.algorithm].modulusBits / 8;
  if (!transportSchemes[scheme].carried) {
    assertFits(connection, algorithm, scheme);
    if (blob.length !== modulusBytes) throw invalid();
    const mechanism = oaepMechanism(transportSchemes[scheme].hash);
    return received(connection, request, (attributes) =>
      connection.call('unwrap', (p11, { objects }) => p11.C_UnwrapKey(objects, mechanism, receiver.object, blob, attributes), scheme),
    );
  }
  const carriedBytes = blob.length - modulusBytes;
  if (carriedBytes < leastCarriedBytes || carriedBytes > mostCarriedBytes || carriedBytes % 8 !== 0) throw invalid();
  const mechanism = { mechanism: families[connection.family].wrap };
  const carrier = openCarrier(connection, receiver, blob.subarray(0, modulusBytes), scheme);
  try {
    const inner = Buffer.from(blob.subarray(modulusBytes));
    return received(connection, request, (attributes) =>
      connection.call('unwrap', (p11, { objects }) => p11.C_UnwrapKey(objects, mechanism, carrier.object, inner, attributes), scheme),
    );
  } finally {
    destroyQuietly(connection, carrier);
  }
}

/** The key in the blob as an object with these attributes. */
export type Opens = (attributes: Template) => Buffer;

function received(connection: Connection, { algorithm, wrappingKey, publicKeySpki }: ReceiveRequest, opens: Opens): ReceivedMaterial {
  try {
    const examined = examine(connection, algorithm, opens, publicKeySpki);
    const object = opens(passingKeyTemplate(algorithm));
    const material = wrapAndDestroy(connection, wrappingKey, { object, algorithm, generation: connection.generation });
    const [least, most] = algorithms[algorithm].wrappedBytes;
    if (material.wrapped.length < least || material.wrapped.length > most) throw unsuitable(algorithm);
    return { ...material, ...examined };
  } catch (error) {
    if (!isSendersDoing(error)) throw error;
    // Whoever made what unwraps knows what is in it, so that to say what it is not tells nothing to anybody else.
    throw isIntact(connection, opens) ? unsuitable(algorithm, error) : invalid(error);
  }
}

function isIntact(connection: Connection, opens: Opens): boolean {
  try {
    const object = opens(passingSecretTemplate({ sensitive: true }));
    destroyQuietly(connection, { object, algorithm: 'HMAC_SHA_256', generation: connection.generation });
    return true;
  } catch (error) {
    if (isSendersDoing(error)) return false;
    throw error;
  }
}

function wrapCarried(connection: Connection, key: KeyHandle, recipient: Buffer, scheme: TransportScheme): Buffer {
  const { carrier, wrapped } = newCarrier(connection, recipient, scheme);
  try {
    const mechanism = { mechanism: families[connection.family].wrap };
    const inner = connection.call(
      'wrap',
      (p11, { objects }) => p11.C_WrapKey(objects, mechanism, carrier.object, key.object, Buffer.alloc(mostCarriedBytes)),
      scheme,
    );
    return Buffer.concat([wrapped, inner]);
  } finally {
    destroyQuietly(connection, carrier);
  }
}

function wrapWhole(connection: Connection, key: KeyHandle, spki: Buffer, scheme: TransportScheme): Buffer {
  const recipient = importRecipient(connection, spki);
  try {
    return wrapFor(connection, recipient, key, scheme);
  } finally {
    destroyQuietly(connection, recipient);
  }
}

/** Raw OAEP is left to the token: the key itself is not for this process to see. */
function assertFits(connection: Connection, algorithm: Algorithm, scheme: TransportScheme): void {
  if (isPair(algorithm)) throw new HsmError('HSM_ARGUMENT_INVALID', `A private half does not fit ${scheme}: use RSA_AES_KEY_WRAP_SHA_256`);
  if (tokenDoesOaep(connection.family, scheme)) return;
  throw new HsmError(
    'HSM_MECHANISM_UNAVAILABLE',
    `Token ${connection.tokenLabel} (${connection.family}) does no ${scheme}; it does RSA_AES_KEY_WRAP_SHA_256`,
  );
}

const invalid = (cause?: unknown) => new HsmError('HSM_WRAPPED_KEY_INVALID', 'What was sent does not open', { cause });
