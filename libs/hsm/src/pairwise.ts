import { constants, createHash, createPublicKey, verify as verifyOutside } from 'node:crypto';
import type { PairAlgorithm } from './algorithms';
import type { Connection, KeyHandle, KeySource } from './connection';
import { HsmError } from './hsm-error';
import { type DigestScheme, schemesOf, signatureSchemes } from './signature-schemes';
import { planDigest, planMessage, sign, signAsync } from './signatures';

const message = Buffer.from('Claviger pairwise consistency test');

/**
 * Pairwise consistency test (FIPS 140-3 IG 10.3.A) of a generated pair before anyone gets it: the private half signs in the token, and the SPKI that
 * will be given out verifies outside of it. @throws HsmError HSM_SELF_TEST_FAILED
 */
export function assertConsistent(connection: Connection, privateKey: KeyHandle, spki: Buffer): void {
  const scheme = schemeOf(privateKey.algorithm as PairAlgorithm);
  const plan = scheme === 'EdDSA' ? planMessage(privateKey, message) : planDigest(privateKey, scheme, digestFor(scheme), 'signs');
  assertVerifies(connection, privateKey, spki, sign(connection, plan));
}

/** The same for RSA, off the event loop; other algorithms are quick enough on it. */
export async function assertConsistentAsync(connection: Connection, source: KeySource, spki: Buffer): Promise<void> {
  const key = source();
  const scheme = schemeOf(key.algorithm as PairAlgorithm);
  if (!scheme.startsWith('PS')) return assertConsistent(connection, key, spki);
  const digestScheme = scheme as DigestScheme;
  assertVerifies(connection, key, spki, await signAsync(connection, source, digestScheme, digestFor(digestScheme)));
}

const schemeOf = (algorithm: PairAlgorithm) => schemesOf(algorithm)[0]!;
const digestFor = (scheme: DigestScheme) => createHash(signatureSchemes[scheme].hash).update(message).digest();

function assertVerifies(connection: Connection, { algorithm }: KeyHandle, spki: Buffer, signature: Buffer): void {
  const scheme = schemeOf(algorithm as PairAlgorithm);
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const valid =
    scheme === 'EdDSA'
      ? verifyOutside(null, message, key, signature)
      : verifyOutside(
          signatureSchemes[scheme].hash,
          message,
          scheme.startsWith('PS')
            ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
            : { key, dsaEncoding: 'ieee-p1363' },
          signature,
        );
  if (!valid)
    throw new HsmError('HSM_SELF_TEST_FAILED', `Token ${connection.tokenLabel}: the halves of a new ${algorithm} pair do not match`);
}
