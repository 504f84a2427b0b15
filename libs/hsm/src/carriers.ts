import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { algorithms, isRsa, type RsaAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { mechanisms } from './mechanisms';
import { decodeOaep } from './oaep-encoding';
import { publicPartsOf } from './spki';
import { carrierTemplate, publicKeyTemplate } from './templates';
import { oaepMechanism, type TransportScheme, tokenDoesOaep, transportSchemes } from './transport-schemes';

const carrierBytes = algorithms.AES_256.keyBytes;
const CKR_KEY_FUNCTION_NOT_PERMITTED = 104;
/** F4: the least public exponent of SP 800-56B rev. 2 §6.2. */
const leastExponent = 65_537n;

/** An RSA public key from elsewhere, for wrapping to. @throws HsmError HSM_ARGUMENT_INVALID */
export function recipientOf(spki: Buffer): { algorithm: RsaAlgorithm; publicKey: { modulus: Buffer; exponent: Buffer } } {
  const bits = modulusBitsOf(spki);
  const algorithm = (['RSA_2048', 'RSA_3072', 'RSA_4096'] as const).find((name) => algorithms[name].modulusBits === bits);
  if (!algorithm)
    throw new HsmError('HSM_ARGUMENT_INVALID', 'The recipient’s key is no RSA key of 2048, 3072 or 4096 bits (SubjectPublicKeyInfo, DER)');
  const publicKey = publicPartsOf(algorithm, spki);
  if (!('modulus' in publicKey) || BigInt(`0x${publicKey.exponent.toString('hex')}`) < leastExponent)
    throw new HsmError('HSM_ARGUMENT_INVALID', 'The recipient’s key has a public exponent below 65537');
  return { algorithm, publicKey };
}

function modulusBitsOf(spki: Buffer): number | undefined {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' }).asymmetricKeyDetails?.modulusLength;
  } catch {
    return undefined;
  }
}

/** The recipient's key as a session object that can only wrap; for a token that does the scheme's OAEP. */
export function importRecipient(connection: Connection, spki: Buffer): KeyHandle {
  const { algorithm, publicKey } = recipientOf(spki);
  const attributes = publicKeyTemplate(algorithm, publicKey, 'wrap');
  const object = connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, attributes), algorithm);
  return { object, algorithm, generation: connection.generation };
}

/** A fresh AES-256 key that can only wrap, and the same under the recipient's public key. Whoever gets it destroys it. */
export function newCarrier(connection: Connection, spki: Buffer, scheme: TransportScheme): { carrier: KeyHandle; wrapped: Buffer } {
  const { hash } = transportSchemes[scheme];
  if (!tokenDoesOaep(connection.family, scheme)) {
    recipientOf(spki);
    const value = connection.call('random', (p11, { operations }) => p11.C_GenerateRandom(operations, Buffer.alloc(carrierBytes)));
    try {
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
      const wrapped = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }, value);
      return { carrier: createCarrier(connection, 'wrap', value), wrapped };
    } finally {
      value.fill(0);
    }
  }
  const recipient = importRecipient(connection, spki);
  const mechanism = { mechanism: mechanisms.CKM_AES_KEY_GEN };
  try {
    const attributes = carrierTemplate('wrap', 'generated');
    const carrier = carrierHandle(
      connection,
      connection.call('generate', (p11, { objects }) => p11.C_GenerateKey(objects, mechanism, attributes), 'a carrier'),
    );
    try {
      return { carrier, wrapped: wrapFor(connection, recipient, carrier, scheme) };
    } catch (error) {
      destroyQuietly(connection, carrier);
      throw error;
    }
  } finally {
    destroyQuietly(connection, recipient);
  }
}

/** C_WrapKey by RSA-OAEP; a copy as long as the modulus. */
export function wrapFor(connection: Connection, recipient: KeyHandle, key: KeyHandle, scheme: TransportScheme): Buffer {
  if (!isRsa(recipient.algorithm)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${recipient.algorithm} key is not for RSA-OAEP`);
  const room = algorithms[recipient.algorithm].modulusBits / 8;
  const mechanism = oaepMechanism(transportSchemes[scheme].hash);
  connection.assertMechanism(mechanism.mechanism, scheme);
  return Buffer.from(
    connection.call(
      'wrap',
      (p11, { objects }) => p11.C_WrapKey(objects, mechanism, recipient.object, key.object, Buffer.alloc(room)),
      scheme,
    ),
  );
}

/**
 * The key that carries another, as a session object that can only unwrap. Where it does not open, a random one: what it carries then does not open
 * either, by the one failure that a changed second half has as well (RFC 8017 §7.1.2 note; Manger, CRYPTO 2001).
 * @throws HsmError what is not the sender's doing: HSM_KEY_USE_REFUSED (a receiver of another scheme), HSM_UNAVAILABLE, …
 */
export function openCarrier(connection: Connection, receiver: KeyHandle, wrapped: Buffer, scheme: TransportScheme): KeyHandle {
  const { hash } = transportSchemes[scheme];
  if (!tokenDoesOaep(connection.family, scheme)) return openedOutside(connection, receiver, wrapped, scheme);
  const mechanism = oaepMechanism(hash);
  connection.assertMechanism(mechanism.mechanism, scheme);
  const attributes = carrierTemplate('unwrap', 'unwrapped');
  const open = () =>
    connection.call('unwrap', (p11, { objects }) => p11.C_UnwrapKey(objects, mechanism, receiver.object, wrapped, attributes), scheme);
  try {
    return carrierHandle(connection, open());
  } catch (error) {
    if (!isSendersDoing(error)) throw error;
    return randomCarrier(connection);
  }
}

/** For a token that has not the hash: raw RSA in the token, the decoding here. Only the key that carries passes through this process. */
function openedOutside(connection: Connection, receiver: KeyHandle, wrapped: Buffer, scheme: TransportScheme): KeyHandle {
  const raw = decryptRaw(connection, receiver, wrapped);
  const value = raw && decodeOaep(raw, transportSchemes[scheme].hash);
  raw?.fill(0);
  if (value?.length !== carrierBytes) {
    value?.fill(0);
    return randomCarrier(connection);
  }
  try {
    return createCarrier(connection, 'unwrap', value);
  } finally {
    value.fill(0);
  }
}

/** As long as the modulus; undefined for a number that is not below it. */
function decryptRaw(connection: Connection, receiver: KeyHandle, wrapped: Buffer): Buffer | undefined {
  connection.assertMechanism(mechanisms.CKM_RSA_X_509, 'RSA without padding');
  const { operations } = connection.ready();
  try {
    connection.p11.C_DecryptInit(operations, { mechanism: mechanisms.CKM_RSA_X_509 }, receiver.object);
    const raw = connection.p11.C_Decrypt(operations, wrapped, Buffer.alloc(wrapped.length));
    if (raw.length === wrapped.length) return raw;
    const whole = Buffer.concat([Buffer.alloc(wrapped.length - raw.length), raw]);
    raw.fill(0);
    return whole;
  } catch (error) {
    const failure = connection.failure(error, 'decrypt', receiver.algorithm);
    if (!isSendersDoing(failure)) throw failure;
    return undefined;
  }
}

const senders: ReadonlySet<string> = new Set([
  ...['HSM_WRAPPED_KEY_INVALID', 'HSM_AUTHENTICATION_FAILED', 'HSM_TEMPLATE_REFUSED', 'HSM_ARGUMENT_INVALID', 'HSM_KEY_USE_REFUSED'],
]);
/** Whether it is because of what was sent. */
export const isSendersDoing = (error: unknown): boolean =>
  error instanceof HsmError && senders.has(error.code) && error.ckr !== CKR_KEY_FUNCTION_NOT_PERMITTED;

function randomCarrier(connection: Connection): KeyHandle {
  const value = connection.call('random', (p11, { operations }) => p11.C_GenerateRandom(operations, Buffer.alloc(carrierBytes)));
  try {
    return createCarrier(connection, 'unwrap', value);
  } finally {
    value.fill(0);
  }
}

function createCarrier(connection: Connection, way: 'wrap' | 'unwrap', value: Buffer): KeyHandle {
  const attributes = carrierTemplate(way, value);
  return carrierHandle(
    connection,
    connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, attributes), 'a carrier'),
  );
}

const carrierHandle = (connection: Connection, object: Buffer): KeyHandle => ({
  ...{ object, algorithm: 'AES_256', generation: connection.generation },
});
