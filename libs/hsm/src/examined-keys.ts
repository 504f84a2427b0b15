import { createECDH, createHash, ECDH } from 'node:crypto';
import { multiply } from './agreement';
import {
  type Algorithm,
  algorithms,
  type CurveAlgorithm,
  isCurve,
  isPair,
  isRsa,
  type PairAlgorithm,
  type SecretAlgorithm,
} from './algorithms';
import { recipientOf } from './carriers';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { mechanisms } from './mechanisms';
import { assertConsistent } from './pairwise';
import { readAlgorithm, readSpki, secretBytesOf } from './public-keys';
import type { Opens } from './sent-keys';
import { publicPartsOf, spkiOf } from './spki';
import { examinedKeyTemplate } from './templates';

/** What may be known of a key that somebody sent. */
export interface Examined {
  /**
   * Says whether another material is the same one, and nothing else: of a secret its MAC of a fixed text, whole (AES: CMAC, SP 800-38B; HMAC keys: their
   * own HMAC), of a pair the SHA-256 of its public half. Not the block of zeros of X9.24-1, which for AES is the hash key of GCM (SP 800-38D §7.1), and
   * not a few bytes of it, for which another key could be found.
   */
  readonly checkValue: Buffer;
  readonly publicKeySpki?: Buffer;
}

const text = Buffer.from('claviger key check value 1');
const macs: Partial<Record<Algorithm, number>> = {
  AES_128: mechanisms.CKM_AES_CMAC,
  AES_256: mechanisms.CKM_AES_CMAC,
  HMAC_SHA_256: mechanisms.CKM_SHA256_HMAC,
  HMAC_SHA_384: mechanisms.CKM_SHA384_HMAC,
  HMAC_SHA_512: mechanisms.CKM_SHA512_HMAC,
};
const longestMacBytes = 64;
const curves: Partial<Record<CurveAlgorithm, string>> = {
  EC_P256: 'prime256v1',
  EC_P384: 'secp384r1',
  EC_P521: 'secp521r1',
  EC_SECP256K1: 'secp256k1',
};

/** Uses the key as what it was said to be. @throws HsmError HSM_KEY_UNSUITABLE, and what the token says of a blob that is another thing */
export function examine(connection: Connection, algorithm: Algorithm, opens: Opens, saidSpki: Buffer | undefined): Examined {
  if (!isPair(algorithm)) return { checkValue: checkValueOf(connection, algorithm as SecretAlgorithm, opens) };
  const publicKeySpki = publicHalfOf(connection, algorithm, opens, saidSpki);
  return { publicKeySpki, checkValue: createHash('sha256').update(publicKeySpki).digest() };
}

function checkValueOf(connection: Connection, algorithm: SecretAlgorithm, opens: Opens): Buffer {
  const mechanism = macs[algorithm];
  if (mechanism === undefined) throw new HsmError('HSM_MECHANISM_UNAVAILABLE', `${algorithm} keys are not taken in`);
  connection.assertMechanism(mechanism, `the check value of ${algorithm}`);
  return withExamined(connection, algorithm, 'mac', opens, (key) => {
    // Where the token does not say the length, its own use of the key tells, and the length of what is wrapped in the end.
    const bytes = secretBytesOf(connection, key.object);
    if (bytes !== 0 && bytes !== algorithms[algorithm].keyBytes) throw unsuitable(algorithm);
    const { operations } = connection.ready();
    try {
      connection.p11.C_SignInit(operations, { mechanism }, key.object);
      return Buffer.from(connection.p11.C_Sign(operations, text, Buffer.alloc(longestMacBytes)));
    } catch (error) {
      throw unusable(connection.failure(error, 'sign', algorithm), algorithm);
    }
  });
}

function publicHalfOf(connection: Connection, algorithm: PairAlgorithm, opens: Opens, said: Buffer | undefined): Buffer {
  // Its one DER form, whoever says it.
  if (said) publicPartsOf(algorithm, said);
  const candidates = said && algorithm === 'ED25519' ? [said] : isRsa(algorithm) ? undefined : pointsOf(connection, algorithm, opens);
  return withExamined(connection, algorithm, 'sign', opens, (key) => {
    if (readAlgorithm(connection, key.object) !== algorithm) throw unsuitable(algorithm);
    const spkis = isRsa(algorithm) ? [strong(algorithm, readSpki(connection, key.object, algorithm))] : (candidates ?? []);
    const fitting = spkis.find((spki) => isConsistent(connection, key, spki));
    if (!fitting || (said && !said.equals(fitting))) throw unsuitable(algorithm);
    return fitting;
  });
}

/**
 * d·G, by a key agreement with the base point: a token gives the public half only of a pair that it generated. Agreement gives the x-coordinate alone, so
 * two points; a signature says which.
 */
function pointsOf(connection: Connection, algorithm: PairAlgorithm, opens: Opens): Buffer[] {
  const curve = isCurve(algorithm) ? curves[algorithm] : undefined;
  if (!isCurve(algorithm) || curve === undefined) throw new HsmError('HSM_MECHANISM_UNAVAILABLE', `${algorithm} keys are not taken in`);
  return withExamined(connection, algorithm, 'derive', opens, (key) => {
    if (readAlgorithm(connection, key.object) !== algorithm) throw unsuitable(algorithm);
    const x = multiply(connection, key.object, algorithm, basePointOf(curve, algorithms[algorithm].signatureBytes / 2));
    return ['02', '03'].map((sign) => {
      const point = ECDH.convertKey(Buffer.concat([Buffer.from(sign, 'hex'), x]), curve, undefined, undefined, 'uncompressed') as Buffer;
      return spkiOf(algorithm, point);
    });
  });
}

/** The base point G: the public half of the private key 1. */
function basePointOf(curve: string, scalarBytes: number): Buffer {
  const one = createECDH(curve);
  one.setPrivateKey(Buffer.concat([Buffer.alloc(scalarBytes - 1), Buffer.from([1])]));
  return one.getPublicKey();
}

/** An RSA key whose public exponent is not too small (FIPS 186-5 §5.1). */
function strong(algorithm: Algorithm, spki: Buffer): Buffer {
  try {
    recipientOf(spki);
    return spki;
  } catch (cause) {
    throw unsuitable(algorithm, cause);
  }
}

function isConsistent(connection: Connection, key: KeyHandle, spki: Buffer): boolean {
  try {
    assertConsistent(connection, key, spki, 'sign');
    return true;
  } catch (error) {
    if (error instanceof HsmError && !error.retryable) return false;
    throw error;
  }
}

function withExamined<T>(
  connection: Connection,
  algorithm: Algorithm,
  does: 'mac' | 'derive' | 'sign',
  opens: Opens,
  act: (key: KeyHandle) => T,
): T {
  const object = opens(examinedKeyTemplate(algorithm, does));
  const key: KeyHandle = { object, algorithm, generation: connection.generation };
  try {
    return act(key);
  } finally {
    destroyQuietly(connection, key);
  }
}

/** A token that is alive and refuses to use the key says that it is none of these. */
const unusable = (error: HsmError, algorithm: Algorithm): HsmError => (error.retryable ? error : unsuitable(algorithm, error));

export const unsuitable = (algorithm: Algorithm, cause?: unknown) =>
  new HsmError('HSM_KEY_UNSUITABLE', `What was sent is no ${algorithm} key`, { cause });
