import { createCipheriv, createHmac, createPublicKey, verify } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { quickSelfTest, selfTest, Token } from '../src/index';
import { gcmKnownAnswers, hmacKnownAnswers, signatureKnownAnswers } from '../src/known-answers';
import { caught, openFresh } from './fresh-token';

test('a sound token passes, test by test', () => {
  const token = openFresh();
  expect(selfTest(token)).toEqual({
    'AES-128-GCM': 'passed',
    'AES-256-GCM': 'passed',
    'HMAC-SHA-256': 'passed',
    'HMAC-SHA-384': 'passed',
    'HMAC-SHA-512': 'passed',
    'AES-KW': 'passed',
    'ECDH-P256': 'passed',
    'ECDSA-P256-verify': 'passed',
    'Ed25519-verify': 'passed',
    'RSA-PKCS1-verify': 'passed',
    'RSA-PSS-verify': 'passed',
    'ML-DSA-44-sign': 'unavailable',
    'ML-DSA-44-verify': 'unavailable',
    'SLH-DSA-SHA2-128s-verify': 'unavailable',
    'ML-KEM-768-decapsulate': 'unavailable',
    'ML-KEM-768-pairwise': 'unavailable',
    'ECDSA-P256-pairwise': 'passed',
    random: 'passed',
  });
  expect(quickSelfTest(token)).toEqual({ 'AES-256-GCM': 'passed', 'ECDSA-P256-pairwise': 'passed', random: 'passed' });
  token.close();
});

test('the known answers are the published ones, by node:crypto too', () => {
  for (const { key, iv, aad, plaintext, ciphertext, tag } of Object.values(gcmKnownAnswers)) {
    const cipher = createCipheriv(key.length === 32 ? 'aes-128-gcm' : 'aes-256-gcm', Buffer.from(key, 'hex'), Buffer.from(iv, 'hex'));
    cipher.setAAD(Buffer.from(aad, 'hex'));
    expect(Buffer.concat([cipher.update(plaintext, 'hex'), cipher.final()]).toString('hex')).toBe(ciphertext);
    expect(cipher.getAuthTag().toString('hex')).toBe(tag);
  }
  for (const { algorithm, key, message, mac } of Object.values(hmacKnownAnswers)) {
    const hash = algorithm.replace('HMAC_SHA_', 'sha');
    expect(createHmac(hash, Buffer.from(key, 'hex')).update(message).digest('hex')).toBe(mac);
  }
  for (const { key, scheme, input, signature } of Object.values(signatureKnownAnswers)) {
    const publicKey = createPublicKey({ key, format: 'jwk' });
    const hash = scheme === 'EdDSA' ? null : `sha${scheme.slice(2)}`;
    const options =
      scheme === 'PS384' ? { key: publicKey, padding: 6, saltLength: -1 } : { key: publicKey, dsaEncoding: 'ieee-p1363' as const };
    expect(verify(hash, Buffer.from(input), options, Buffer.from(signature, 'base64url'))).toBe(true);
  }
});

/** A real token one of whose results is spoilt on the way, as a broken one would. */
function withFault(method: 'C_Encrypt' | 'C_Sign' | 'C_Verify' | 'C_GenerateRandom', spoil: (result: Buffer) => unknown) {
  const token = openFresh();
  const { p11 } = Token.connectionOf(token);
  const sound: (...args: unknown[]) => Buffer = p11[method].bind(p11) as never;
  Object.assign(p11, {
    [method]: (...args: unknown[]): unknown => {
      const result: Buffer = sound(...args);
      return spoil(result) ?? result;
    },
  });
  const error = caught(() => selfTest(token));
  Object.assign(p11, { [method]: sound });
  token.close();
  return error;
}

const flip = (byte: number) => (result: Buffer) => {
  result.writeUInt8(result.readUInt8(byte) ^ 1, byte);
};

test.each([
  ['a wrong ciphertext', 'C_Encrypt', flip(0), 'AES-128-GCM does not give'],
  ['a wrong MAC', 'C_Sign', flip(30), 'HMAC-SHA-256 does not give'],
  ['a verifier that refuses', 'C_Verify', (): unknown => false, 'ECDSA-P256-verify does not give'],
  ['a stuck random generator', 'C_GenerateRandom', (result: Buffer): unknown => void result.fill(7), 'random generator repeats'],
] as const)('%s is found', (_, method, spoil, message) => {
  expect(withFault(method, spoil)).toMatchObject({ code: 'HSM_SELF_TEST_FAILED', message: expect.stringMatching(message) });
});

test('a verifier that takes every signature is found', () => {
  const token = openFresh();
  const { p11 } = Token.connectionOf(token);
  const sound = p11.C_Verify;
  p11.C_Verify = ((...args: Parameters<typeof sound>) => {
    try {
      sound.apply(p11, args);
    } catch {}
    return true;
  }) as typeof sound;
  expect(caught(() => selfTest(token))).toMatchObject({ code: 'HSM_SELF_TEST_FAILED' });
  p11.C_Verify = sound;
  token.close();
});
