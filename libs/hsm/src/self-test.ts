import { createPublicKey, verify } from 'node:crypto';
import { HsmError } from './hsm-error';
import { knownKeyTemplate } from './templates';
import { Token } from './token';

/** AES-256-GCM with associated data: test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B. */
export const gcmKnownAnswer = {
  key: 'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
  iv: 'cafebabefacedbaddecaf888',
  aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
  plaintext: 'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  ciphertext: '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
  tag: '76fc6ece0f4e1768cddf8853bb2d551b',
};

export interface SelfTestReport {
  /** `not-permitted`: the token lets no key value in (as FIPS tokens do), so AES-GCM was not compared with a known answer. */
  gcmKnownAnswer: 'passed' | 'not-permitted';
  p256Pairwise: 'passed';
  random: 'passed';
}

/**
 * Power-on self test: AES-GCM against a known answer, a P-256 pair-wise check (FIPS 140-3 IG 10.3) verified outside the token, and a random
 * generator that does not repeat. @throws HsmError HSM_SELF_TEST_FAILED on any mismatch
 */
export function selfTest(token: Token): SelfTestReport {
  const report: SelfTestReport = { gcmKnownAnswer: testGcm(token), p256Pairwise: 'passed', random: 'passed' };
  testP256(token);
  if (token.random(32).equals(token.random(32))) throw new HsmError('HSM_SELF_TEST_FAILED', 'The random generator repeats itself');
  return report;
}

function testGcm(token: Token): SelfTestReport['gcmKnownAnswer'] {
  const [value, iv, aad, plaintext, expected] = (['key', 'iv', 'aad', 'plaintext', 'ciphertext'] as const).map((name) =>
    Buffer.from(gcmKnownAnswer[name], 'hex'),
  );
  const connection = Token.connectionOf(token);
  let object: Buffer;
  try {
    object = connection.call('generate', (p11, { objects }) => p11.C_CreateObject(objects, knownKeyTemplate(value!)));
  } catch (error) {
    if (error instanceof HsmError && !error.retryable) return 'not-permitted';
    throw error;
  }
  const key = { object, algorithm: 'AES_256', generation: token.generation } as const;
  try {
    const ciphertext = token.encryptGcm(key, iv!, aad!, plaintext!);
    const right = ciphertext.equals(Buffer.concat([expected!, Buffer.from(gcmKnownAnswer.tag, 'hex')]));
    if (!right || !token.decryptGcm(key, iv!, aad!, ciphertext).equals(plaintext!)) {
      throw new HsmError('HSM_SELF_TEST_FAILED', 'AES-256-GCM does not give the known answer');
    }
  } finally {
    token.destroyObject(key);
  }
  return 'passed';
}

function testP256(token: Token): void {
  const { privateKey, publicKeySpki } = token.generateSessionKeyPair('EC_P256');
  try {
    const digested = Buffer.from('7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a', 'hex');
    const signature = token.signDigestP256(privateKey, digested);
    const key = createPublicKey({ key: publicKeySpki, format: 'der', type: 'spki' });
    // SHA-256 of "abcdefg": node:crypto digests the message itself.
    const valid = verify('sha256', Buffer.from('abcdefg'), { key, dsaEncoding: 'ieee-p1363' }, signature);
    if (!valid) throw new HsmError('HSM_SELF_TEST_FAILED', 'A P-256 signature does not verify');
  } finally {
    token.destroyObject(privateKey);
  }
}
