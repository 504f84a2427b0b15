import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { algorithms, type KeyUsage, rowOf, type SecretAlgorithm, usagesOf } from './algorithms';
import type { KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { agreementKnownAnswers, gcmKnownAnswers, hmacKnownAnswers, keyWrapKnownAnswers, signatureKnownAnswers } from './known-answers';
import { importKnownPrivate, importKnownSecret } from './known-keys';
import { type PostQuantumTest, testPostQuantum } from './self-test-pq';
import { assertRight, type SelfTestResult, withKnownKey } from './self-test-step';
import { isMessageScheme, signatureSchemes } from './signature-schemes';
import { Token } from './token';

export type SelfTestReport = Record<
  | keyof typeof gcmKnownAnswers
  | keyof typeof hmacKnownAnswers
  | keyof typeof keyWrapKnownAnswers
  | keyof typeof signatureKnownAnswers
  | keyof typeof agreementKnownAnswers
  | PostQuantumTest
  | 'ECDSA-P256-pairwise'
  | 'random',
  SelfTestResult
>;

/**
 * Power-on self test: published known answers of AES-GCM, HMAC, AES Key Wrap, ECDH, signature verification and the post-quantum algorithms, a
 * pair-wise check (FIPS 140-3 IG 10.3.A) verified outside the token, and a random generator that does not repeat. @throws HsmError HSM_SELF_TEST_FAILED on any mismatch
 */
export function selfTest(token: Token): SelfTestReport {
  const results: [string, SelfTestResult][] = [];
  for (const [name, answer] of Object.entries(gcmKnownAnswers)) results.push([name, testGcm(token, name, answer)]);
  for (const [name, answer] of Object.entries(hmacKnownAnswers)) results.push([name, testHmac(token, name, answer)]);
  for (const [name, answer] of Object.entries(signatureKnownAnswers)) results.push([name, testVerification(token, name, answer)]);
  for (const [name, answer] of Object.entries(keyWrapKnownAnswers)) results.push([name, testKeyWrap(token, name, answer)]);
  for (const [name, answer] of Object.entries(agreementKnownAnswers)) results.push([name, testAgreement(token, name, answer)]);
  results.push(...Object.entries(testPostQuantum(token)));
  results.push(...Object.entries(testPairAndRandom(token)));
  return Object.fromEntries(results) as SelfTestReport;
}

/** The part of it that a health check may repeat: it holds the event loop for about a millisecond, the whole for several. */
export function quickSelfTest(token: Token): Pick<SelfTestReport, 'AES-256-GCM' | 'ECDSA-P256-pairwise' | 'random'> {
  return { 'AES-256-GCM': testGcm(token, 'AES-256-GCM', gcmKnownAnswers['AES-256-GCM']), ...testPairAndRandom(token) };
}

function testPairAndRandom(token: Token): Pick<SelfTestReport, 'ECDSA-P256-pairwise' | 'random'> {
  // A pair is tested when it is generated.
  token.destroyObject(token.generateSessionKeyPair('EC_P256').privateKey);
  if (token.random(32).equals(token.random(32))) throw new HsmError('HSM_SELF_TEST_FAILED', 'The random generator repeats itself');
  return { 'ECDSA-P256-pairwise': 'passed', random: 'passed' };
}

function testGcm(token: Token, name: string, answer: (typeof gcmKnownAnswers)[keyof typeof gcmKnownAnswers]): SelfTestResult {
  const bytes = (field: 'key' | 'iv' | 'aad' | 'plaintext' | 'ciphertext' | 'tag') => Buffer.from(answer[field], 'hex');
  return withKnownSecret(token, answer.algorithm, bytes('key'), (key) => {
    const ciphertext = token.encryptGcm(key, bytes('iv'), bytes('aad'), bytes('plaintext'));
    assertRight(name, ciphertext.equals(Buffer.concat([bytes('ciphertext'), bytes('tag')])));
    assertRight(name, token.decryptGcm(key, bytes('iv'), bytes('aad'), ciphertext).equals(bytes('plaintext')));
  });
}

function testHmac(token: Token, name: string, answer: (typeof hmacKnownAnswers)[keyof typeof hmacKnownAnswers]): SelfTestResult {
  return withKnownSecret(token, answer.algorithm, Buffer.from(answer.key, 'hex'), (key) => {
    assertRight(name, token.mac(key, answer.message).toString('hex') === answer.mac);
  });
}

function testKeyWrap(token: Token, name: string, answer: (typeof keyWrapKnownAnswers)[keyof typeof keyWrapKnownAnswers]): SelfTestResult {
  const [value, wrapped] = [Buffer.from(answer.value, 'hex'), Buffer.from(answer.wrapped, 'hex')];
  const test = (key: KeyHandle): void => {
    assertRight(name, token.wrapValue(key, 'KW', value).equals(wrapped));
    assertRight(name, token.unwrapValue(key, 'KW', wrapped).equals(value));
  };
  return withKnownSecret(token, answer.algorithm, Buffer.from(answer.key, 'hex'), test, 'wrap');
}

function testAgreement(
  token: Token,
  name: string,
  answer: (typeof agreementKnownAnswers)[keyof typeof agreementKnownAnswers],
): SelfTestResult {
  const { algorithm, privateKey, publicKey, otherPublicKey, sharedSecret } = answer;
  const spki = (point: string) => Buffer.from(`${algorithms[algorithm].spkiPrefix}${point}`, 'hex');
  const jwk = createPublicKey({ key: spki(publicKey), format: 'der', type: 'spki' }).export({ format: 'jwk' });
  const key = createPrivateKey({ key: { ...jwk, d: Buffer.from(privateKey, 'hex').toString('base64url') }, format: 'jwk' });
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' });
  return withKnownKey(
    token,
    () => importKnownPrivate(Token.connectionOf(token), algorithm, pkcs8, 'agree'),
    (handle) => assertRight(name, token.deriveSharedSecret(handle, spki(otherPublicKey)).toString('hex') === sharedSecret),
  );
}

/** A verifier that says yes to everything fails as well. */
function testVerification(
  token: Token,
  name: string,
  answer: (typeof signatureKnownAnswers)[keyof typeof signatureKnownAnswers],
): SelfTestResult {
  const { algorithm, scheme } = answer;
  if (!Token.connectionOf(token).hasMechanism(isMessageScheme(scheme) ? rowOf(algorithm).operate : signatureSchemes[scheme].mechanism))
    return 'unavailable';
  const spki = createPublicKey({ key: answer.key, format: 'jwk' }).export({ format: 'der', type: 'spki' });
  let key: KeyHandle;
  try {
    key = token.importPublicKey(algorithm, spki);
  } catch (error) {
    // A curve or a modulus that the token does not know.
    if (error instanceof HsmError && !error.retryable) return 'unavailable';
    throw error;
  }
  const verifies = (input: Buffer, signature: Buffer): boolean =>
    isMessageScheme(scheme)
      ? token.verifyMessage(key, input, signature)
      : token.verifyDigest(key, scheme, createHash(signatureSchemes[scheme].hash).update(input).digest(), signature);
  try {
    const [input, signature] = [Buffer.from(answer.input), Buffer.from(answer.signature, 'base64url')];
    assertRight(name, verifies(input, signature));
    assertRight(name, !verifies(Buffer.concat([input, Buffer.from('.')]), signature));
  } finally {
    token.destroyObject(key);
  }
  return 'passed';
}

function withKnownSecret(
  token: Token,
  algorithm: SecretAlgorithm,
  value: Buffer,
  test: (key: KeyHandle) => void,
  usage: KeyUsage = usagesOf(algorithm)[0]!,
): SelfTestResult {
  const connection = Token.connectionOf(token);
  if (!connection.hasAlgorithm(algorithm)) return 'unavailable';
  return withKnownKey(token, () => importKnownSecret(connection, algorithm, value, usage), test);
}
