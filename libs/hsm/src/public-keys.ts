import { type Algorithm, algorithmOf, isPq, isRsa, keyTypes, type PairAlgorithm, rowOf } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { pqSpkiOf, publicPartsOf, rsaSpkiOf, spkiOf } from './spki';
import { type PublicUsage, publicKeyTemplate, template } from './templates';

/** A public key from elsewhere, as a session object. Verifying in the token takes a digest as it is, which node:crypto does not. */
export function importPublicKey(connection: Connection, algorithm: PairAlgorithm, spki: Buffer, usage: PublicUsage): KeyHandle {
  if (!rowOf(algorithm).usages.includes(usage)) throw new HsmError('HSM_KEY_USE_REFUSED', `An ${algorithm} key is not for ${usage}`);
  connection.assertAlgorithm(algorithm);
  const attributes = publicKeyTemplate(algorithm, publicPartsOf(algorithm, spki), usage);
  const object = connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, attributes), algorithm);
  return { object, algorithm, generation: connection.generation };
}

/** DER SubjectPublicKeyInfo of a public key object. */
export function readSpki(connection: Connection, publicKey: Buffer, algorithm: PairAlgorithm): Buffer {
  if (isRsa(algorithm)) {
    const [modulus, exponent] = readAttributes(connection, publicKey, ['CKA_MODULUS', 'CKA_PUBLIC_EXPONENT']);
    return rsaSpkiOf(algorithm, modulus!, exponent!);
  }
  if (isPq(algorithm)) return pqSpkiOf(algorithm, readAttributes(connection, publicKey, ['CKA_VALUE'])[0]!);
  const [point] = readAttributes(connection, publicKey, ['CKA_EC_POINT']);
  return spkiOf(algorithm, point!);
}

/** The algorithm of a key object, by its type and its curve or length; undefined for one that the table does not hold. */
export function readAlgorithm(connection: Connection, object: Buffer): Algorithm | undefined {
  const keyType = readAttributes(connection, object, ['CKA_KEY_TYPE'])[0]!.readUInt32LE(0);
  if (keyType === keyTypes.RSA) {
    const modulus = readAttributes(connection, object, ['CKA_MODULUS'])[0]!;
    return algorithmOf(keyType, { keyBytes: modulus[0] === 0 ? modulus.length - 1 : modulus.length });
  }
  if (keyType === keyTypes.AES || keyType === keyTypes.GENERIC_SECRET) {
    return algorithmOf(keyType, { keyBytes: readAttributes(connection, object, ['CKA_VALUE_LEN'])[0]!.readUInt32LE(0) });
  }
  if (keyType === keyTypes.ML_DSA || keyType === keyTypes.SLH_DSA || keyType === keyTypes.ML_KEM) {
    return algorithmOf(keyType, { parameterSet: readAttributes(connection, object, ['CKA_PARAMETER_SET'])[0]!.readUInt32LE(0) });
  }
  return algorithmOf(keyType, { ecParams: readAttributes(connection, object, ['CKA_EC_PARAMS'])[0] });
}

/** Bytes of a secret key; 0 where the token does not say (SoftHSM, of one that was unwrapped). */
export const secretBytesOf = (connection: Connection, object: Buffer): number =>
  readAttributes(connection, object, ['CKA_VALUE_LEN'])[0]!.readUInt32LE(0);

type Readable =
  | 'CKA_VALUE'
  | 'CKA_PARAMETER_SET'
  | 'CKA_EC_POINT'
  | 'CKA_KEY_TYPE'
  | 'CKA_EC_PARAMS'
  | 'CKA_MODULUS'
  | 'CKA_PUBLIC_EXPONENT'
  | 'CKA_VALUE_LEN';

function readAttributes(connection: Connection, object: Buffer, names: Readable[]): Buffer[] {
  const wanted = template(Object.fromEntries(names.map((name) => [name, undefined])));
  return connection.call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, object, wanted)).map(({ value }) => value);
}
