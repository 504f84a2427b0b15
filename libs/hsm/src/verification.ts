import { algorithms, type PairAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { returnValueOf } from './return-values';
import { publicKeyTemplate } from './templates';

const CKR_SIGNATURE_INVALID = 0xc0;
const CKR_SIGNATURE_LEN_RANGE = 0xc1;

/** Verifying in the token takes a digest as it is, which node:crypto does not. */
export function importPublicKey(connection: Connection, algorithm: PairAlgorithm, spki: Buffer): KeyHandle {
  const { spkiPrefix, pointBytes } = algorithms[algorithm];
  const prefix = Buffer.from(spkiPrefix, 'hex');
  if (spki.length !== prefix.length + pointBytes || !spki.subarray(0, prefix.length).equals(prefix))
    throw new HsmError('HSM_ARGUMENT_INVALID', `Not the SubjectPublicKeyInfo of an ${algorithm} key`);
  const point = Buffer.concat([Buffer.from([0x04, pointBytes]), spki.subarray(prefix.length)]);
  const object = connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, publicKeyTemplate(algorithm, point)));
  return { object, algorithm, generation: connection.generation };
}

export function verifySignature(connection: Connection, key: KeyHandle, bytes: Buffer, signature: Buffer): boolean {
  connection.assertCurrent(key);
  const { operate, signatureBytes } = algorithms[key.algorithm as PairAlgorithm];
  if (signature.length !== signatureBytes) return false;
  const { operations } = connection.ready();
  try {
    connection.p11.C_VerifyInit(operations, { mechanism: operate }, key.object);
    return connection.p11.C_Verify(operations, bytes, signature);
  } catch (error) {
    const ckr = returnValueOf(error);
    if (ckr === CKR_SIGNATURE_INVALID || ckr === CKR_SIGNATURE_LEN_RANGE) return false;
    throw connection.failure(error, 'verify');
  }
}
