import type { Connection, KeyHandle, KeySource } from './connection';
import { decryptGcm, decryptGcmAsync, encryptGcm, encryptGcmAsync } from './gcm';
import { mac, macAsync, matches } from './macs';
import { type DigestScheme, isSlow, schemesOf } from './signature-schemes';
import { planDigest, planMessage, sign, signAsync, signMessageAsync, verify, verifyAsync, verifyMessageAsync } from './signatures';

type Now<T> = T | Promise<T>;

/**
 * What is done with keys at every request, in the way that suits where the token is. Near (in this process, or a card in this machine), it takes
 * microseconds, and a thread's hop would cost more than the call; RSA and SLH-DSA signatures alone leave the event loop. Far (behind a network), every
 * operation does, on one of the token's sessions, and as many run at once as there are sessions; what begins an operation (C_…Init) is called on
 * the event loop all the same, since HSM clients send it with what ends it.
 *
 * Inputs must not change until the result is there. Errors: as the methods of Token of the same name.
 */
export interface KeyOperations {
  encryptGcm(key: KeySource, iv: Buffer, aad: Buffer, plaintext: Buffer): Now<Buffer>;
  decryptGcm(key: KeySource, iv: Buffer, aad: Buffer, ciphertext: Buffer): Now<Buffer>;
  mac(key: KeySource, message: Buffer): Now<Buffer>;
  verifyMac(key: KeySource, message: Buffer, given: Buffer): Now<boolean>;
  signDigest(key: KeySource, scheme: DigestScheme, digest: Buffer): Now<Buffer>;
  verifyDigest(key: KeySource, scheme: DigestScheme, digest: Buffer, signature: Buffer): Now<boolean>;
  signMessage(key: KeySource, message: Buffer): Now<Buffer>;
  verifyMessage(key: KeySource, message: Buffer, signature: Buffer): Now<boolean>;
}

const isSlowKey = ({ algorithm }: KeyHandle): boolean => schemesOf(algorithm).some(isSlow);

export const nearOperations = (connection: Connection): KeyOperations => ({
  encryptGcm: (key, iv, aad, plaintext) => encryptGcm(connection, key(), iv, aad, plaintext),
  decryptGcm: (key, iv, aad, ciphertext) => decryptGcm(connection, key(), iv, aad, ciphertext),
  mac: (key, message) => mac(connection, key(), message),
  verifyMac: (key, message, given) => matches(mac(connection, key(), message), given),
  signDigest: (key, scheme, digest) =>
    isSlow(scheme) ? signAsync(connection, key, scheme, digest) : sign(connection, planDigest(key(), scheme, digest, 'signs')),
  verifyDigest: (key, scheme, digest, signature) => verify(connection, planDigest(key(), scheme, digest, 'verifies'), signature),
  signMessage: (key, message) => {
    const handle = key();
    return isSlowKey(handle) ? signMessageAsync(connection, key, message) : sign(connection, planMessage(handle, message));
  },
  verifyMessage: (key, message, signature) => verify(connection, planMessage(key(), message), signature),
});

export const farOperations = (connection: Connection): KeyOperations => ({
  encryptGcm: (key, iv, aad, plaintext) => encryptGcmAsync(connection, key, iv, aad, plaintext),
  decryptGcm: (key, iv, aad, ciphertext) => decryptGcmAsync(connection, key, iv, aad, ciphertext),
  mac: (key, message) => macAsync(connection, key, message),
  verifyMac: async (key, message, given) => matches(await macAsync(connection, key, message), given),
  signDigest: (key, scheme, digest) => signAsync(connection, key, scheme, digest),
  verifyDigest: (key, scheme, digest, signature) => verifyAsync(connection, key, scheme, digest, signature),
  signMessage: (key, message) => signMessageAsync(connection, key, message),
  verifyMessage: (key, message, signature) => verifyMessageAsync(connection, key, message, signature),
});
