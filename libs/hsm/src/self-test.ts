import { createHash, createPublicKey } from 'node:crypto';
import { rowOf, type SecretAlgorithm } from './algorithms';
import type { KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { gcmKnownAnswers, hmacKnownAnswers, signatureKnownAnswers } from './known-answers';
import { signatureSchemes } from './signature-schemes';
import { knownKeyTemplate } from './templates';
import { Token } from './token';

/**
 * `not-permitted`: the token lets no key value in (as FIPS tokens do), so its result was not compared with a known one. `unavailable`: the token lacks
 * the mechanism, so that nothing can use it either.
 */
export type SelfTestResult = 'passed' | 'not-permitted' | 'unavailable';
export type SelfTestReport = Record<
  keyof typeof gcmKnownAnswers | keyof typeof hmacKnownAnswers | keyof typeof signatureKnownAnswers | 'ECDSA-P256-pairwise' | 'random',
  SelfTestResult
>;

/**
 * Power-on self test: published known answers of AES-GCM, HMAC and signature verification, a pair-wise check (FIPS 140-3 IG 10.3.A) verified outside
 * the token, and a random generator that does not repeat. @throws HsmError HSM_SELF_TEST_FAILED on any mismatch
 */
export function selfTest(token: Token): SelfTestReport {
  const results: [string, SelfTestResult][] = [];
  for (const [name, answer] of Object.entries(gcmKnownAnswers)) results.push([name, testGcm(token, name, answer)]);
  for (const [name, answer] of Object.entries(hmacKnownAnswers)) results.push([name, testHmac(token, name, answer)]);
  for (const [name, answer] of Object.entries(signatureKnownAnswers)) results.push([name, testVerification(token, name, answer)]);
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
  return withKnownKey(token, answer.algorithm, bytes('key'), (key) => {
    const ciphertext = token.encryptGcm(key, bytes('iv'), bytes('aad'), bytes('plaintext'));
    assertRight(name, ciphertext.equals(Buffer.concat([bytes('ciphertext'), bytes('tag')])));
    assertRight(name, token.decryptGcm(key, bytes('iv'), bytes('aad'), ciphertext).equals(bytes('plaintext')));
  });
}

function testHmac(token: Token, name: string, answer: (typeof hmacKnownAnswers)[keyof typeof hmacKnownAnswers]): SelfTestResult {
  return withKnownKey(token, answer.algorithm, Buffer.from(answer.key, 'hex'), (key) => {
    assertRight(name, token.mac(key, answer.message).toString('hex') === answer.mac);
  });
}

/** A verifier that says yes to everything fails as well. */
function testVerification(
  token: Token,
  name: string,
  answer: (typeof signatureKnownAnswers)[keyof typeof signatureKnownAnswers],
): SelfTestResult {
  const { algorithm, scheme } = answer;
  if (!Token.connectionOf(token).hasMechanism(scheme === 'EdDSA' ? rowOf(algorithm).operate : signatureSchemes[scheme].mechanism))
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
    scheme === 'EdDSA'
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

function withKnownKey(token: Token, algorithm: SecretAlgorithm, value: Buffer, test: (key: KeyHandle) => void): SelfTestResult {
  const connection = Token.connectionOf(token);
  const { operate, usages } = rowOf(algorithm);
  if (!connection.hasMechanism(operate)) return 'unavailable';
  const attributes = knownKeyTemplate(value, algorithm, usages[0]);
  let object: Buffer;
  try {
    object = connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, attributes));
  } catch (error) {
    if (error instanceof HsmError && !error.retryable) return 'not-permitted';
    throw error;
  }
  const key = { object, algorithm, generation: token.generation };
  try {
    test(key);
  } finally {
    token.destroyObject(key);
  }
  return 'passed';
}

function assertRight(name: string, right: boolean): void {
  if (!right) throw new HsmError('HSM_SELF_TEST_FAILED', `${name} does not give the known answer`);
}
