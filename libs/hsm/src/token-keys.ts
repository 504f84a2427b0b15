import type { Template } from 'pkcs11js';
import { algorithms, firstUsageOf, isCurve, type KeyUsage, type PairAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly, type GeneratedPair, generatePair, generatePairAsync } from './key-pairs';
import { assertConsistent, assertConsistentAsync } from './pairwise';
import { readAlgorithm, readSpki } from './public-keys';
import { canaryTemplate, madeCanarySearchTemplate, type ObjectClass, searchTemplate, secretKeyTemplate } from './templates';

/** At most this many are read of a search: two are already one too many. */
const enough = 2;

export interface SessionKeyPair {
  readonly privateKey: KeyHandle;
  /** DER SubjectPublicKeyInfo. */
  readonly publicKeySpki: Buffer;
}

/** @throws HsmError HSM_KEY_NOT_FOUND (the canary proves it), HSM_KEY_AMBIGUOUS, HSM_UNAVAILABLE */
export function findTokenKey(connection: Connection, label: string, objectClass: ObjectClass): KeyHandle {
  const name = `${objectClass} ${label}` as const;
  const known = connection.tokenKeys.get(name);
  if (known) return known;
  const [object, another] = search(connection, searchTemplate(label, objectClass));
  if (!object) {
    connection.assertShowsObjects(`${objectClass} key ${label}`);
    throw new HsmError('HSM_KEY_NOT_FOUND', `Token ${connection.tokenLabel} holds no ${objectClass} key ${label}`);
  }
  if (another) throw new HsmError('HSM_KEY_AMBIGUOUS', `Token ${connection.tokenLabel} holds several ${objectClass} keys ${label}`);
  const algorithm = readAlgorithm(connection, object);
  if (!algorithm)
    throw new HsmError('HSM_KEY_USE_REFUSED', `Token ${connection.tokenLabel} holds a key of an algorithm that is not in use here`);
  const key = { object, algorithm, generation: connection.generation };
  connection.tokenKeys.set(name, key);
  return key;
}

/** @throws HsmError HSM_KEY_EXISTS; HSM_UNAVAILABLE unless the canary proves that the token shows its objects */
export function assertAbsent(connection: Connection, label: string): void {
  if (connection.labelsTaken.has(label) || search(connection, searchTemplate(label)).length > 0)
    throw new HsmError('HSM_KEY_EXISTS', `Token ${connection.tokenLabel} already holds an object ${label}`);
  connection.assertShowsObjects(`an object ${label}`);
}

export function generateRootKey(connection: Connection, label: string, clonable: boolean): void {
  assertAbsent(connection, label);
  const attributes = secretKeyTemplate('AES_256', { label, usage: 'wrap', extractable: clonable });
  connection.call('generate', (p11, { objects }) => p11.C_GenerateKey(objects, { mechanism: algorithms.AES_256.generate }, attributes));
}

export function generateTokenKeyPair(
  connection: Connection,
  label: string,
  algorithm: PairAlgorithm,
  usage: KeyUsage = firstUsageOf(algorithm),
): Buffer {
  assertAbsent(connection, label);
  const pair = generatePair(connection, { algorithm, label, purpose: usage });
  testOrDestroy(connection, pair, usage);
  return pair.publicKeySpki;
}

/** When it fails as retryable, the pair may have been made: look for the label before another try. */
export async function generateTokenKeyPairAsync(
  connection: Connection,
  label: string,
  algorithm: PairAlgorithm,
  usage: KeyUsage = firstUsageOf(algorithm),
): Promise<Buffer> {
  // Quick, and SoftHSM 2.6 fails (CKR_GENERAL_ERROR) when one thread creates a token object while another creates or finds one.
  if (isCurve(algorithm)) return generateTokenKeyPair(connection, label, algorithm, usage);
  assertAbsent(connection, label);
  connection.labelsTaken.add(label);
  try {
    const pair = await generatePairAsync(connection, { algorithm, label, purpose: usage });
    await testOrDestroyAsync(connection, pair, usage);
    return pair.publicKeySpki;
  } finally {
    connection.labelsTaken.delete(label);
  }
}

/** A pair whose private half never leaves and dies with the generation. */
export function generateSessionKeyPair(connection: Connection, algorithm: PairAlgorithm): SessionKeyPair {
  const usage = firstUsageOf(algorithm);
  const pair = generatePair(connection, { algorithm, purpose: usage });
  testOrDestroy(connection, pair, usage);
  destroyQuietly(connection, pair.publicKey);
  return { privateKey: pair.privateKey, publicKeySpki: pair.publicKeySpki };
}

export async function generateSessionKeyPairAsync(connection: Connection, algorithm: PairAlgorithm): Promise<SessionKeyPair> {
  const usage = firstUsageOf(algorithm);
  const pair = await generatePairAsync(connection, { algorithm, purpose: usage });
  await testOrDestroyAsync(connection, pair, usage);
  destroyQuietly(connection, pair.publicKey);
  return { privateKey: pair.privateKey, publicKeySpki: pair.publicKeySpki };
}

export function publicKeySpki(connection: Connection, label: string): Buffer {
  const key = findTokenKey(connection, label, 'public');
  return readSpki(connection, key.object, key.algorithm as PairAlgorithm);
}

/**
 * What there is of these classes: others may have put an object of another class under the same label. False when there was nothing; a token that shows nothing must
 * show its canary to be believed.
 */
export function destroyTokenKey(connection: Connection, label: string, classes: readonly ObjectClass[]): boolean {
  const found = classes.flatMap((one) => search(connection, searchTemplate(label, one)));
  for (const name of classes) connection.tokenKeys.delete(`${name} ${label}`);
  if (found.length === 0) connection.assertShowsObjects(`an object ${label}`);
  destroyAll(connection, found);
  return found.length > 0;
}

/** No other object of its label. From then on the token shows nothing that is believed. */
export function destroyCanary(connection: Connection): void {
  destroyAll(connection, search(connection, madeCanarySearchTemplate(connection.canary)));
}

function destroyAll(connection: Connection, found: readonly Buffer[]): void {
  for (const object of found) connection.call('destroy', (p11, { objects }) => p11.C_DestroyObject(objects, object));
}

/** Creates the canary unless it is there. A token that shows no objects and takes none fails here, before anything else is created in it. */
export function createCanary(connection: Connection): void {
  if (connection.seesCanary()) return;
  connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, canaryTemplate(connection.canary)));
  connection.assertShowsObjects('what was just created in it');
}

function search(connection: Connection, wanted: Template): Buffer[] {
  return connection.call('find', (p11, { objects }) => {
    p11.C_FindObjectsInit(objects, wanted);
    try {
      return p11.C_FindObjects(objects, enough);
    } finally {
      p11.C_FindObjectsFinal(objects);
    }
  });
}

/** A pair that fails its test, or could not be tested, is of no use to anybody. */
function testOrDestroy(connection: Connection, pair: GeneratedPair, usage: KeyUsage): void {
  try {
    assertConsistent(connection, pair.privateKey, pair.publicKeySpki, usage);
  } catch (error) {
    destroyQuietly(connection, pair.privateKey, pair.publicKey);
    throw error;
  }
}

async function testOrDestroyAsync(connection: Connection, pair: GeneratedPair, usage: KeyUsage): Promise<void> {
  try {
    await assertConsistentAsync(connection, () => pair.privateKey, pair.publicKeySpki, usage);
  } catch (error) {
    destroyQuietly(connection, pair.privateKey, pair.publicKey);
    throw error;
  }
}
