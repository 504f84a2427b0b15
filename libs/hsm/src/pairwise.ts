import {
  constants,
  createHash,
  createPublicKey,
  diffieHellman,
  encapsulate as encapsulateOutside,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  verify as verifyOutside,
} from 'node:crypto';
import { deriveSharedSecret } from './agreement';
import type { KeyUsage, PairAlgorithm } from './algorithms';
import type { Connection, KeyHandle, KeySource } from './connection';
import { decapsulate } from './encapsulation';
import { HsmError } from './hsm-error';
import { decryptOaep, decryptOaepAsync } from './oaep';
import { isMessageScheme, schemesOf, signatureSchemes } from './signature-schemes';
import { planDigest, planMessage, sign, signAsync, signMessageAsync } from './signatures';

const message = Buffer.from('Claviger pairwise consistency test');

/**
 * Pairwise consistency test (FIPS 140-3 IG 10.3.A) of a generated pair before anyone gets it: what the private half does in the token for `usage`
 * fits, outside of it, the SPKI that will be given out. @throws HsmError HSM_SELF_TEST_FAILED
 */
export function assertConsistent(connection: Connection, privateKey: KeyHandle, spki: Buffer, usage: KeyUsage): void {
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (usage === 'encapsulate') return assertDecapsulates(connection, privateKey, publicKey);
  if (usage === 'agree') return assertAgrees(connection, privateKey, publicKey);
  if (usage === 'encrypt') return assertSame(connection, privateKey, decryptOaep(connection, privateKey, oaepOutside(publicKey)), message);
  const scheme = schemeOf(privateKey.algorithm as PairAlgorithm)!;
  const plan = isMessageScheme(scheme) ? planMessage(privateKey, message) : planDigest(privateKey, scheme, digestFor(scheme), 'signs');
  assertVerifies(connection, privateKey, publicKey, sign(connection, plan));
}

/** The same for RSA and SLH-DSA, off the event loop; other algorithms are quick enough on it. */
export async function assertConsistentAsync(connection: Connection, source: KeySource, spki: Buffer, usage: KeyUsage): Promise<void> {
  const key = source();
  const scheme = usage === 'sign' ? schemeOf(key.algorithm as PairAlgorithm) : undefined;
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (usage === 'encrypt') {
    const opened = await decryptOaepAsync(connection, source, oaepOutside(publicKey));
    return assertSame(connection, key, opened, message);
  }
  if (scheme?.startsWith('SLH')) return assertVerifies(connection, key, publicKey, await signMessageAsync(connection, source, message));
  if (!scheme?.startsWith('PS') || isMessageScheme(scheme)) return assertConsistent(connection, key, spki, usage);
  assertVerifies(connection, key, publicKey, await signAsync(connection, source, scheme, digestFor(scheme)));
}

const schemeOf = (algorithm: PairAlgorithm) => schemesOf(algorithm)[0];
const digestFor = (scheme: keyof typeof signatureSchemes) => createHash(signatureSchemes[scheme].hash).update(message).digest();

function assertVerifies(connection: Connection, privateKey: KeyHandle, key: KeyObject, signature: Buffer): void {
  const scheme = schemeOf(privateKey.algorithm as PairAlgorithm)!;
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
  if (!valid) throw mismatch(connection, privateKey);
}

/** A KEM's pair: what is encapsulated to the public half outside comes out of the private half in the token. */
function assertDecapsulates(connection: Connection, privateKey: KeyHandle, publicKey: KeyObject): void {
  const { sharedKey, ciphertext } = encapsulateOutside(publicKey);
  assertSame(connection, privateKey, decapsulate(connection, privateKey, Buffer.from(ciphertext)), Buffer.from(sharedKey));
}

/** A pair for key agreement: with another one that is made outside, both sides get the same. */
function assertAgrees(connection: Connection, privateKey: KeyHandle, publicKey: KeyObject): void {
  const other = generateKeyPairSync('ec', { namedCurve: publicKey.asymmetricKeyDetails?.namedCurve as string });
  const inside = deriveSharedSecret(connection, privateKey, other.publicKey.export({ format: 'der', type: 'spki' }));
  assertSame(connection, privateKey, inside, diffieHellman({ privateKey: other.privateKey, publicKey }));
}

const oaepOutside = (key: KeyObject): Buffer =>
  publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, message);

function assertSame(connection: Connection, privateKey: KeyHandle, inside: Buffer, outside: Buffer): void {
  if (!inside.equals(outside)) throw mismatch(connection, privateKey);
}

const mismatch = (connection: Connection, { algorithm }: KeyHandle) =>
  new HsmError('HSM_SELF_TEST_FAILED', `Token ${connection.tokenLabel}: the halves of a new ${algorithm} pair do not match`);
