import pkcs11, { type Mechanism } from 'pkcs11js';
import { algorithms, isRsa } from './algorithms';
import type { Connection, KeyHandle, KeySource } from './connection';
import { HsmError } from './hsm-error';
import { mechanisms } from './mechanisms';
import { returnValueOf } from './return-values';

const CKZ_DATA_SPECIFIED = 1;
/** RSA-OAEP with SHA-256 for hash and MGF1, and an empty label: JOSE `RSA-OAEP-256` (RFC 7518 §4.3). */
const oaepSha256: Mechanism = {
  mechanism: mechanisms.CKM_RSA_PKCS_OAEP,
  parameter: {
    type: pkcs11.CK_PARAMS_RSA_OAEP,
    hashAlg: pkcs11.CKM_SHA256,
    mgf: pkcs11.CKG_MGF1_SHA256,
    source: CKZ_DATA_SPECIFIED,
  } as Mechanism['parameter'],
};
const CKR_ARGUMENTS_BAD = 0x07;
/** Two hashes and two bytes of padding (RFC 8017 §7.1.1). */
const overheadBytes = 66;

/** @throws HsmError HSM_ARGUMENT_INVALID (too long), HSM_KEY_USE_REFUSED, HSM_MECHANISM_UNAVAILABLE */
export function encryptOaep(connection: Connection, key: KeyHandle, plaintext: Buffer): Buffer {
  const modulusBytes = begin(connection, key);
  if (plaintext.length === 0 || plaintext.length > modulusBytes - overheadBytes)
    throw new HsmError('HSM_ARGUMENT_INVALID', `An ${key.algorithm} key encrypts 1 to ${modulusBytes - overheadBytes} bytes`);
  const { operations } = connection.ready();
  try {
    initialise(connection, key, () => connection.p11.C_EncryptInit(operations, oaepSha256, key.object));
    return connection.p11.C_Encrypt(operations, plaintext, Buffer.alloc(modulusBytes));
  } catch (error) {
    throw connection.failure(error, 'encrypt', key.algorithm);
  }
}

/** @throws HsmError HSM_AUTHENTICATION_FAILED (whatever is wrong with the ciphertext), HSM_KEY_USE_REFUSED, HSM_MECHANISM_UNAVAILABLE */
export function decryptOaep(connection: Connection, key: KeyHandle, ciphertext: Buffer): Buffer {
  const modulusBytes = begin(connection, key);
  assertLength(ciphertext, modulusBytes);
  const { operations } = connection.ready();
  try {
    initialise(connection, key, () => connection.p11.C_DecryptInit(operations, oaepSha256, key.object));
    return connection.p11.C_Decrypt(operations, ciphertext, Buffer.alloc(modulusBytes));
  } catch (error) {
    throw connection.failure(error, 'decrypt', key.algorithm);
  }
}

export function decryptOaepAsync(connection: Connection, source: KeySource, ciphertext: Buffer): Promise<Buffer> {
  const copy = Buffer.from(ciphertext);
  return connection.async.run({
    ...{ operation: 'decrypt', subject: 'RSA-OAEP-256', inputs: [copy] },
    begin: async (p11, session) => {
      const key = source();
      const modulusBytes = begin(connection, key);
      assertLength(copy, modulusBytes);
      initialise(connection, key, () => p11.C_DecryptInit(session, oaepSha256, key.object));
      return await p11.C_DecryptAsync(session, copy, Buffer.alloc(modulusBytes));
    },
  });
}

function begin(connection: Connection, key: KeyHandle): number {
  connection.assertCurrent(key);
  if (!isRsa(key.algorithm)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${key.algorithm} key is not for RSA-OAEP`);
  connection.assertMechanism(oaepSha256.mechanism, `RSA-OAEP-256 with ${key.algorithm}`);
  return algorithms[key.algorithm].modulusBits / 8;
}

/** Listing the mechanism does not say with which hashes: SoftHSM lists it, takes SHA-1 only, and calls every other parameter bad arguments. */
function initialise(connection: Connection, key: KeyHandle, init: () => void): void {
  try {
    init();
  } catch (error) {
    const ckr = returnValueOf(error);
    if (ckr !== CKR_ARGUMENTS_BAD) throw error;
    const what = `Token ${connection.tokenLabel} does no RSA-OAEP with SHA-256, which ${key.algorithm} needs`;
    throw new HsmError('HSM_MECHANISM_UNAVAILABLE', what, { ckr, cause: error });
  }
}

function assertLength(ciphertext: Buffer, modulusBytes: number): void {
  if (ciphertext.length !== modulusBytes) throw new HsmError('HSM_AUTHENTICATION_FAILED', 'The ciphertext is not as long as the modulus');
}
