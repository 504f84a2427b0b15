import { type Algorithm, algorithmOf, algorithms, type PairAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { spkiOf } from './spki';
import { canaryTemplate, keyPairTemplates, type ObjectClass, searchTemplate, secretKeyTemplate, template } from './templates';

/** At most this many are read of a search: two are already one too many. */
const enough = 2;

/** @throws HsmError HSM_KEY_NOT_FOUND (the canary proves it), HSM_KEY_AMBIGUOUS, HSM_UNAVAILABLE */
export function findTokenKey(connection: Connection, label: string, objectClass: ObjectClass): KeyHandle {
  const name = `${objectClass} ${label}` as const;
  const known = connection.tokenKeys.get(name);
  if (known) return known;
  const [object, another] = search(connection, label, objectClass);
  if (!object) {
    connection.assertShowsObjects(`${objectClass} key ${label}`);
    throw new HsmError('HSM_KEY_NOT_FOUND', `Token ${connection.tokenLabel} holds no ${objectClass} key ${label}`);
  }
  if (another) throw new HsmError('HSM_KEY_AMBIGUOUS', `Token ${connection.tokenLabel} holds several ${objectClass} keys ${label}`);
  const key = { object, algorithm: readAlgorithm(connection, object, objectClass), generation: connection.generation };
  connection.tokenKeys.set(name, key);
  return key;
}

/** @throws HsmError HSM_KEY_EXISTS; HSM_UNAVAILABLE unless the canary proves that the token shows its objects */
export function assertAbsent(connection: Connection, label: string): void {
  if (search(connection, label).length > 0)
    throw new HsmError('HSM_KEY_EXISTS', `Token ${connection.tokenLabel} already holds an object ${label}`);
  connection.assertShowsObjects(`an object ${label}`);
}

export function generateRootKey(connection: Connection, label: string, clonable: boolean): void {
  assertAbsent(connection, label);
  const attributes = secretKeyTemplate({ label, usage: 'wrap', extractable: clonable });
  connection.call('generate', (p11, { objects }) => p11.C_GenerateKey(objects, { mechanism: algorithms.AES_256.generate }, attributes));
}

export function generateTokenKeyPair(connection: Connection, label: string, algorithm: PairAlgorithm): Buffer {
  assertAbsent(connection, label);
  const { publicKey, privateKey } = keyPairTemplates(algorithm, { label, usage: 'sign', extractable: false });
  const pair = connection.call('generate', (p11, { objects }) =>
    p11.C_GenerateKeyPair(objects, { mechanism: algorithms[algorithm].generate }, publicKey, privateKey),
  );
  return readSpki(connection, pair.publicKey, algorithm);
}

export function publicKeySpki(connection: Connection, label: string): Buffer {
  const key = findTokenKey(connection, label, 'public');
  return readSpki(connection, key.object, key.algorithm as PairAlgorithm);
}

/** Creates the canary unless it is there. A token that shows no objects and takes none fails here, before anything else is created in it. */
export function createCanary(connection: Connection): void {
  if (connection.seesCanary()) return;
  connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, canaryTemplate(connection.canary)));
  connection.assertShowsObjects('what was just created in it');
}

export function readSpki(connection: Connection, publicKey: Buffer, algorithm: PairAlgorithm): Buffer {
  const [point] = readAttributes(connection, publicKey, ['CKA_EC_POINT']);
  return spkiOf(algorithm, point!);
}

function search(connection: Connection, label: string, objectClass?: ObjectClass): Buffer[] {
  return connection.call('find', (p11, { objects }) => {
    p11.C_FindObjectsInit(objects, searchTemplate(label, objectClass));
    try {
      return p11.C_FindObjects(objects, enough);
    } finally {
      p11.C_FindObjectsFinal(objects);
    }
  });
}

function readAlgorithm(connection: Connection, object: Buffer, objectClass: ObjectClass): Algorithm {
  const [keyType] = readAttributes(connection, object, ['CKA_KEY_TYPE']);
  const ecParams = objectClass === 'secret' ? undefined : readAttributes(connection, object, ['CKA_EC_PARAMS'])[0];
  const algorithm = algorithmOf(keyType!.readUInt32LE(0), ecParams);
  if (!algorithm)
    throw new HsmError('HSM_KEY_USE_REFUSED', `Token ${connection.tokenLabel} holds a key of an algorithm that is not in use here`);
  return algorithm;
}

function readAttributes(connection: Connection, object: Buffer, names: ('CKA_EC_POINT' | 'CKA_KEY_TYPE' | 'CKA_EC_PARAMS')[]): Buffer[] {
  const wanted = template(Object.fromEntries(names.map((name) => [name, undefined])));
  return connection.call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, object, wanted)).map(({ value }) => value);
}
