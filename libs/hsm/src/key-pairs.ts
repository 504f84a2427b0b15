import { type KeyUsage, type PairAlgorithm, rowOf } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { readSpki } from './public-keys';
import { keyPairTemplates } from './templates';

/** A pair of objects in the token, as it was generated and before its test. */
export interface GeneratedPair {
  readonly privateKey: KeyHandle;
  readonly publicKey: KeyHandle;
  readonly publicKeySpki: Buffer;
}

export interface PairRequest {
  algorithm: PairAlgorithm;
  /** Makes both halves token objects. */
  label?: string;
  /** What it is to do, or `wrapping`, for being wrapped: an extractable private half may do nothing itself. */
  purpose: KeyUsage | 'wrapping';
}

export function generatePair(connection: Connection, request: PairRequest): GeneratedPair {
  const { mechanism, templates } = prepare(connection, request);
  const made = connection.call(
    'generate',
    (p11, { objects }) => p11.C_GenerateKeyPair(objects, mechanism, templates.publicKey, templates.privateKey),
    request.algorithm,
  );
  return finish(connection, request.algorithm, made);
}

export async function generatePairAsync(connection: Connection, request: PairRequest): Promise<GeneratedPair> {
  const { mechanism, templates } = prepare(connection, request);
  const made = await connection.async.run({
    ...{ operation: 'generate', subject: request.algorithm, makesObjects: request.label === undefined },
    begin: (p11, session) => p11.C_GenerateKeyPairAsync(session, mechanism, templates.publicKey, templates.privateKey),
  });
  return finish(connection, request.algorithm, made);
}

/** Destroys an object of the session or the token; one of an older generation died with its session, and its number may be another's by now. */
export function destroyObject(connection: Connection, key: KeyHandle): void {
  if (key.generation !== connection.generation) return;
  connection.call('destroy', (p11, { objects }) => p11.C_DestroyObject(objects, key.object));
}

/** In a `finally`, so it must not hide the first error; a session object that survives here dies with its session at the latest. */
export function destroyQuietly(connection: Connection, ...keys: KeyHandle[]): void {
  for (const key of keys) {
    try {
      destroyObject(connection, key);
    } catch {
      // The next call meets the same trouble and reports it.
    }
  }
}

function prepare(connection: Connection, { algorithm, label, purpose }: PairRequest) {
  const { generate } = rowOf(algorithm);
  connection.assertMechanism(generate, algorithm);
  connection.assertAlgorithm(algorithm);
  const use = purpose === 'wrapping' ? { extractable: true } : { usage: purpose, extractable: false };
  return { mechanism: { mechanism: generate }, templates: keyPairTemplates(algorithm, { label, ...use }) };
}

function finish(connection: Connection, algorithm: PairAlgorithm, made: { publicKey: Buffer; privateKey: Buffer }): GeneratedPair {
  const { generation } = connection;
  const privateKey = { object: made.privateKey, algorithm, generation };
  const publicKey = { object: made.publicKey, algorithm, generation };
  try {
    return { privateKey, publicKey, publicKeySpki: readSpki(connection, publicKey.object, algorithm) };
  } catch (error) {
    destroyQuietly(connection, privateKey, publicKey);
    throw error;
  }
}
