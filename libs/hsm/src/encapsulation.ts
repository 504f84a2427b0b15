import { algorithms, isPq, type PqAlgorithm } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { type KemCall, kemFunctionsOf } from './kem-functions';
import { destroyQuietly } from './key-pairs';
import { readValue } from './secret-values';
import { passingSecretTemplate } from './templates';

export interface Encapsulated {
  readonly ciphertext: Buffer;
  /** In a buffer that whoever gets it overwrites. */
  readonly sharedSecret: Buffer;
}

/** ML-KEM.Encaps (FIPS 203 §7.2). @throws HsmError HSM_KEY_USE_REFUSED, HSM_MECHANISM_UNAVAILABLE */
export function encapsulate(connection: Connection, key: KeyHandle): Encapsulated {
  const algorithm = begin(connection, key);
  const { encapsulateKey } = kemFunctionsOf(connection.libraryPath);
  const { ciphertext, object } = connection.call(
    'encapsulate',
    (_, { objects }) => encapsulateKey(callOn(objects, key, algorithm), algorithms[algorithm].outputBytes),
    algorithm,
  );
  return { ciphertext, sharedSecret: taken(connection, key, object) };
}

/** ML-KEM.Decaps (FIPS 203 §7.3): a ciphertext that was not made for this key gives a secret that nobody else has. @throws HsmError HSM_ARGUMENT_INVALID (length) */
export function decapsulate(connection: Connection, key: KeyHandle, ciphertext: Buffer): Buffer {
  const algorithm = begin(connection, key);
  const { outputBytes } = algorithms[algorithm];
  if (ciphertext.length !== outputBytes)
    throw new HsmError('HSM_ARGUMENT_INVALID', `A ciphertext of ${algorithm} has ${outputBytes} bytes, not ${ciphertext.length}`);
  const { decapsulateKey } = kemFunctionsOf(connection.libraryPath);
  const object = connection.call('decapsulate', (_, { objects }) => decapsulateKey(callOn(objects, key, algorithm), ciphertext), algorithm);
  return taken(connection, key, object);
}

function begin(connection: Connection, { algorithm, ...key }: KeyHandle): PqAlgorithm {
  connection.assertCurrent({ algorithm, ...key });
  if (!isPq(algorithm) || !algorithms[algorithm].usages.includes('encapsulate'))
    throw new HsmError('HSM_KEY_USE_REFUSED', `An ${algorithm} key encapsulates nothing`);
  connection.assertAlgorithm(algorithm);
  return algorithm;
}

const callOn = (session: Buffer, key: KeyHandle, algorithm: PqAlgorithm): KemCall => ({
  ...{ session, key: key.object, mechanism: algorithms[algorithm].operate },
  template: passingSecretTemplate({ sensitive: false }) as KemCall['template'],
});

function taken(connection: Connection, key: KeyHandle, object: Buffer): Buffer {
  try {
    return readValue(connection, object);
  } finally {
    destroyQuietly(connection, { ...key, object });
  }
}
