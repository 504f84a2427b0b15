import pkcs11, { type Mechanism } from 'pkcs11js';
import type { Connection, KeyHandle, KeySource } from './connection';
import { HsmError } from './hsm-error';
import { emptyInput } from './signatures';

/** Length of the nonce, of SP 800-38D's recommended form, and of the full tag that is appended to the ciphertext. */
export const gcmIvBytes = 12;
export const gcmTagBytes = 16;

/** CKM_AES_GCM with the parameters of PKCS#11 v2.40 errata and later (ulIvBits present). */
export const gcmMechanism = (iv: Buffer, aad: Buffer): Mechanism => ({
  mechanism: pkcs11.CKM_AES_GCM,
  parameter: { type: pkcs11.CK_PARAMS_AES_GCM_v240, iv, aad, ivBits: 96, tagBits: 128 } as Mechanism['parameter'],
});

export function encryptGcm(connection: Connection, key: KeyHandle, iv: Buffer, aad: Buffer, plaintext: Buffer): Buffer {
  connection.assertCurrent(key);
  assertIv(iv);
  const { operations } = connection.ready();
  try {
    connection.p11.C_EncryptInit(operations, gcmMechanism(iv, aad), key.object);
    const input = plaintext.length === 0 ? emptyInput : plaintext;
    return connection.p11.C_Encrypt(operations, input, Buffer.allocUnsafe(plaintext.length + gcmTagBytes));
  } catch (error) {
    throw connection.failure(error, 'encrypt', key.algorithm);
  }
}

export function decryptGcm(connection: Connection, key: KeyHandle, iv: Buffer, aad: Buffer, ciphertext: Buffer): Buffer {
  connection.assertCurrent(key);
  assertIv(iv);
  if (ciphertext.length < gcmTagBytes) throw new HsmError('HSM_AUTHENTICATION_FAILED', 'The ciphertext is shorter than its tag');
  try {
    return decryptOnce(connection, key, iv, aad, ciphertext);
  } catch (error) {
    // SoftHSM has one word for a bad tag and for its own trouble. The token has proved alive since, so it is a bad tag if it says so again.
    if (!(error instanceof HsmError) || error.code !== 'HSM_AUTHENTICATION_FAILED') throw error;
    return decryptOnce(connection, key, iv, aad, ciphertext);
  }
}

function decryptOnce(connection: Connection, key: KeyHandle, iv: Buffer, aad: Buffer, ciphertext: Buffer): Buffer {
  const { operations } = connection.ready();
  try {
    connection.p11.C_DecryptInit(operations, gcmMechanism(iv, aad), key.object);
    // SoftHSM asks for room for the tag too; the result is a view without it.
    return connection.p11.C_Decrypt(operations, ciphertext, Buffer.allocUnsafe(ciphertext.length));
  } catch (error) {
    throw connection.failure(error, 'decrypt', key.algorithm);
  }
}

export function encryptGcmAsync(connection: Connection, source: KeySource, iv: Buffer, aad: Buffer, plaintext: Buffer): Promise<Buffer> {
  assertIv(iv);
  const input = plaintext.length === 0 ? emptyInput : plaintext;
  return connection.async.run({
    ...{ operation: 'encrypt', subject: 'AES-GCM', inputs: [iv, aad, input] },
    begin: (p11, session) => {
      const key = source();
      connection.assertCurrent(key);
      p11.C_EncryptInit(session, gcmMechanism(iv, aad), key.object);
      return p11.C_EncryptAsync(session, input, Buffer.alloc(plaintext.length + gcmTagBytes));
    },
  });
}

export async function decryptGcmAsync(
  connection: Connection,
  source: KeySource,
  iv: Buffer,
  aad: Buffer,
  ciphertext: Buffer,
): Promise<Buffer> {
  assertIv(iv);
  if (ciphertext.length < gcmTagBytes) throw new HsmError('HSM_AUTHENTICATION_FAILED', 'The ciphertext is shorter than its tag');
  const once = () =>
    connection.async.run({
      ...{ operation: 'decrypt', subject: 'AES-GCM', inputs: [iv, aad, ciphertext] },
      begin: (p11, session) => {
        const key = source();
        connection.assertCurrent(key);
        p11.C_DecryptInit(session, gcmMechanism(iv, aad), key.object);
        return p11.C_DecryptAsync(session, ciphertext, Buffer.alloc(ciphertext.length));
      },
    });
  try {
    return await once();
  } catch (error) {
    // As decryptGcm.
    if (!(error instanceof HsmError) || error.code !== 'HSM_AUTHENTICATION_FAILED') throw error;
    return once();
  }
}

function assertIv(iv: Buffer): void {
  if (iv.length !== gcmIvBytes) throw new HsmError('HSM_ARGUMENT_INVALID', `The IV has ${iv.length} bytes, not ${gcmIvBytes}`);
}
