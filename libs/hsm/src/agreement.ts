import pkcs11, { type Mechanism } from 'pkcs11js';
import { algorithms, type CurveAlgorithm, isCurve, rowOf } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { mechanisms } from './mechanisms';
import { readValue } from './secret-values';
import { publicPartsOf } from './spki';
import { passingSecretTemplate } from './templates';

/**
 * ECDH: the shared secret Z of SP 800-56A rev. 3 §5.7.1.2, the x-coordinate in the length of the field, for the caller to put through a KDF. The other
 * side's point is checked to be on the curve before the token sees it (§5.6.2.3.3).
 * @throws HsmError HSM_ARGUMENT_INVALID (not a public key of this key's curve), HSM_KEY_USE_REFUSED, HSM_MECHANISM_UNAVAILABLE
 */
export function deriveSharedSecret(connection: Connection, key: KeyHandle, publicKeySpki: Buffer): Buffer {
  connection.assertCurrent(key);
  const { algorithm } = key;
  if (!isCurve(algorithm) || !rowOf(algorithm).usages.includes('agree'))
    throw new HsmError('HSM_KEY_USE_REFUSED', `An ${algorithm} key agrees on no secret`);
  const parts = publicPartsOf(algorithm, publicKeySpki);
  if (!('point' in parts)) throw new HsmError('HSM_ARGUMENT_INVALID', 'A curve key without a point');
  return multiply(connection, key.object, algorithm, parts.point);
}

/** The x-coordinate of the private key times a point of its curve, whatever usages its algorithm is made for. */
export function multiply(connection: Connection, privateKey: Buffer, algorithm: CurveAlgorithm, point: Buffer): Buffer {
  connection.assertMechanism(mechanisms.CKM_ECDH1_DERIVE, `ECDH with ${algorithm}`);
  const mechanism: Mechanism = {
    mechanism: mechanisms.CKM_ECDH1_DERIVE,
    parameter: { type: pkcs11.CK_PARAMS_EC_DH, kdf: pkcs11.CKD_NULL, publicData: point } as Mechanism['parameter'],
  };
  // r ‖ s is two numbers as long as the order, which for these curves is as long as the field.
  const bytes = algorithms[algorithm].signatureBytes / 2;
  const attributes = passingSecretTemplate({ bytes, sensitive: false });
  const object = connection.call('derive', (p11, { objects }) => p11.C_DeriveKey(objects, mechanism, privateKey, attributes), algorithm);
  try {
    const value = readValue(connection, object);
    if (value.length === bytes) return value;
    throw new HsmError('HSM_OPERATION_FAILED', `The token gave a shared secret of ${value.length} bytes for ${algorithm}`);
  } finally {
    destroyQuietly(connection, { object, generation: connection.generation, algorithm });
  }
}
