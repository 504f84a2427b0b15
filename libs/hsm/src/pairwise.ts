import { constants, createHash, createPublicKey, encapsulate as encapsulateOutside, verify as verifyOutside } from 'node:crypto';
import type { PairAlgorithm } from './algorithms';
import type { Connection, KeyHandle, KeySource } from './connection';
import { decapsulate } from './encapsulation';
import { HsmError } from './hsm-error';
import { isMessageScheme, schemesOf, signatureSchemes } from './signature-schemes';
import { planDigest, planMessage, sign, signAsync, signMessageAsync } from './signatures';

const message = Buffer.from('Claviger pairwise consistency test');

/**
 * Pairwise consistency test (FIPS 140-3 IG 10.3.A) of a generated pair before anyone gets it: the private half signs in the token, and the SPKI that
 * will be given out verifies outside of it. @throws HsmError HSM_SELF_TEST_FAILED
 */
export function assertConsistent(connection: Connection, privateKey: KeyHandle, spki: Buffer): void {
  const scheme = schemeOf(privateKey.algorithm as PairAlgorithm);
  if (scheme === undefined) return assertDecapsulates(connection, privateKey, spki);
  const plan = isMessageScheme(scheme) ? planMessage(privateKey, message) : planDigest(privateKey, scheme, digestFor(scheme), 'signs');
  assertVerifies(connection, privateKey, spki, sign(connection, plan));
}

/** The same for RSA and SLH-DSA, off the event loop; other algorithms are quick enough on it. */
export async function assertConsistentAsync(connection: Connection, source: KeySource, spki: Buffer): Promise<void> {
  const key = source();
  const scheme = schemeOf(key.algorithm as PairAlgorithm);
  if (scheme?.startsWith('SLH')) return assertVerifies(connection, key, spki, await signMessageAsync(connection, source, message));
  if (!scheme?.startsWith('PS') || isMessageScheme(scheme)) return assertConsistent(connection, key, spki);
  assertVerifies(connection, key, spki, await signAsync(connection, source, scheme, digestFor(scheme)));
}

const schemeOf = (algorithm: PairAlgorithm) => schemesOf(algorithm)[0];
const digestFor = (scheme: keyof typeof signatureSchemes) => createHash(signatureSchemes[scheme].hash).update(message).digest();

function assertVerifies(connection: Connection, { algorithm }: KeyHandle, spki: Buffer, signature: Buffer): void {
  const scheme = schemeOf(algorithm as PairAlgorithm)!;
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const valid = isMessageScheme(scheme)
    ? verifyOutside(null, message, key, signature)
    : verifyOutside(
        signatureSchemes[scheme].hash,
        message,
        scheme.startsWith('PS')
          ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
          : { key, dsaEncoding: 'ieee-p1363' },
        signature,
      );
  if (!valid) throw mismatch(connection, algorithm);
}

/** A KEM's pair: what is encapsulated to the public half outside comes out of the private half in the token. */
function assertDecapsulates(connection: Connection, privateKey: KeyHandle, spki: Buffer): void {
  const { sharedKey, ciphertext } = encapsulateOutside(createPublicKey({ key: spki, format: 'der', type: 'spki' }));
  if (!decapsulate(connection, privateKey, Buffer.from(ciphertext)).equals(Buffer.from(sharedKey)))
    throw mismatch(connection, privateKey.algorithm);
}

const mismatch = (connection: Connection, algorithm: string) =>
  new HsmError('HSM_SELF_TEST_FAILED', `Token ${connection.tokenLabel}: the halves of a new ${algorithm} pair do not match`);
