import { algorithms, type PqAlgorithm } from './algorithms';
import type { KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { mlDsaKnownAnswer, mlKemKnownAnswer, slhDsaKnownAnswer } from './known-answers-pq';
import { importKnownPrivate } from './known-keys';
import { pqPkcs8Of } from './pq-private';
import { assertRight, type SelfTestResult, withKnownKey } from './self-test-step';
import { pqSpkiOf } from './spki';
import { Token } from './token';

export type PostQuantumTest =
  | 'ML-DSA-44-sign'
  | 'ML-DSA-44-verify'
  | 'SLH-DSA-SHA2-128s-verify'
  | 'ML-KEM-768-decapsulate'
  | 'ML-KEM-768-pairwise';

const bytes = (text: string) => Buffer.from(text, 'base64url');

/**
 * Known answers of the post-quantum algorithms, one parameter set for each (FIPS 140-3 IG 10.3.A), and the one of ML-KEM that needs no key from outside:
 * what is encapsulated to a fresh pair comes out of it again. Signing with SLH-DSA takes tenths of a second, so it is only verified.
 */
export function testPostQuantum(token: Token): Record<PostQuantumTest, SelfTestResult> {
  return {
    'ML-DSA-44-sign': testSigning(token, 'ML-DSA-44-sign'),
    'ML-DSA-44-verify': testVerifying(token, 'ML-DSA-44-verify', mlDsaKnownAnswer),
    'SLH-DSA-SHA2-128s-verify': testVerifying(token, 'SLH-DSA-SHA2-128s-verify', slhDsaKnownAnswer),
    'ML-KEM-768-decapsulate': testDecapsulation(token, 'ML-KEM-768-decapsulate'),
    'ML-KEM-768-pairwise': testKemPair(token, 'ML-KEM-768-pairwise'),
  };
}

function testSigning(token: Token, name: string): SelfTestResult {
  const { algorithm, seed, message, signature } = mlDsaKnownAnswer;
  return withSeed(token, algorithm, seed, 'sign', (key) =>
    assertRight(name, token.signMessage(key, bytes(message), { deterministic: true }).equals(bytes(signature))),
  );
}

/** A verifier that says yes to everything fails as well. */
function testVerifying(token: Token, name: string, answer: typeof mlDsaKnownAnswer | typeof slhDsaKnownAnswer): SelfTestResult {
  const { algorithm, publicKey, message, signature } = answer;
  return ifAvailable(token, algorithm, () => {
    const key = token.importPublicKey(algorithm, pqSpkiOf(algorithm, bytes(publicKey)));
    try {
      assertRight(name, token.verifyMessage(key, bytes(message), bytes(signature)));
      assertRight(name, !token.verifyMessage(key, Buffer.concat([bytes(message), Buffer.from('.')]), bytes(signature)));
    } finally {
      token.destroyObject(key);
    }
  });
}

function testDecapsulation(token: Token, name: string): SelfTestResult {
  const { algorithm, seed, ciphertext, sharedSecret } = mlKemKnownAnswer;
  return withSeed(token, algorithm, seed, 'encapsulate', (key) => {
    const changed = bytes(ciphertext);
    assertRight(name, token.decapsulate(key, changed).equals(bytes(sharedSecret)));
    changed.writeUInt8(changed.readUInt8(0) ^ 1, 0);
    // Implicit rejection (FIPS 203 §6.3).
    assertRight(name, !token.decapsulate(key, changed).equals(bytes(sharedSecret)));
  });
}

function testKemPair(token: Token, name: string): SelfTestResult {
  const { algorithm } = mlKemKnownAnswer;
  return ifAvailable(token, algorithm, () => {
    const pair = token.generateSessionKeyPair(algorithm);
    const publicKey = token.importPublicKey(algorithm, pair.publicKeySpki, 'encapsulate');
    try {
      const { ciphertext, sharedSecret } = token.encapsulate(publicKey);
      assertRight(name, token.decapsulate(pair.privateKey, ciphertext).equals(sharedSecret));
    } finally {
      token.destroyObject(publicKey);
      token.destroyObject(pair.privateKey);
    }
  });
}

function withSeed(
  token: Token,
  algorithm: PqAlgorithm,
  seed: string,
  usage: (typeof algorithms)[PqAlgorithm]['usages'][number],
  test: (key: KeyHandle) => void,
): SelfTestResult {
  const connection = Token.connectionOf(token);
  if (!connection.hasAlgorithm(algorithm)) return 'unavailable';
  const pkcs8 = pqPkcs8Of(algorithm, { seed: bytes(seed) });
  return withKnownKey(token, () => importKnownPrivate(connection, algorithm, pkcs8, usage), test);
}

function ifAvailable(token: Token, algorithm: PqAlgorithm, test: () => void): SelfTestResult {
  if (!token.supports(algorithm)) return 'unavailable';
  try {
    test();
  } catch (error) {
    // A parameter set that the token does not know.
    if (error instanceof HsmError && error.code === 'HSM_MECHANISM_UNAVAILABLE') return 'unavailable';
    throw error;
  }
  return 'passed';
}
