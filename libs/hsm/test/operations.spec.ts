import { createCipheriv, createPublicKey, randomBytes, verify } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type KeyHandle, Token } from '../src/index';
import { knownKeyTemplate } from '../src/templates';
import { caught, openFresh } from './fresh-token';

let token: Token;
let key: KeyHandle;
const value = randomBytes(32);
beforeAll(() => {
  token = openFresh();
  const object = Token.connectionOf(token).call('generate', (p11, { objects }) => p11.C_CreateObject(objects, knownKeyTemplate(value)));
  key = { object, algorithm: 'AES_256', generation: token.generation };
});
afterAll(() => token.close());

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const iv12 = fc.uint8Array({ minLength: 12, maxLength: 12 }).map((array) => Buffer.from(array));

test('what is encrypted is what node:crypto makes of it, and decrypts to itself', () => {
  fc.assert(
    fc.property(iv12, bytes(64), bytes(9000), (iv, aad, plaintext) => {
      const ciphertext = token.encryptGcm(key, iv, aad, plaintext);
      const cipher = createCipheriv('aes-256-gcm', value, iv).setAAD(aad);
      expect(ciphertext).toEqual(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
      expect(token.decryptGcm(key, iv, aad, ciphertext)).toEqual(plaintext);
    }),
    { numRuns: 200 },
  );
});

test('a result stays as it is when the next call is made', () => {
  const iv = Buffer.alloc(12, 7);
  const first = token.encryptGcm(key, iv, Buffer.alloc(0), Buffer.from('first'));
  const copy = Buffer.from(first);
  for (let n = 0; n < 1000; n++) token.encryptGcm(key, iv, Buffer.alloc(0), Buffer.from(`other ${n}`));
  expect(first).toEqual(copy);
});

test('any flipped bit, other IV or other associated data fails as authentication, and the token goes on', () => {
  const [iv, aad, plaintext] = [randomBytes(12), Buffer.from('context'), Buffer.from('payload')];
  const ciphertext = token.encryptGcm(key, iv, aad, plaintext);
  const { generation } = token;
  for (let bit = 0; bit < ciphertext.length * 8; bit++) {
    const tampered = Buffer.from(ciphertext);
    tampered[bit >> 3]! ^= 1 << (bit & 7);
    expect(caught(() => token.decryptGcm(key, iv, aad, tampered))).toMatchObject({
      code: 'HSM_AUTHENTICATION_FAILED',
      retryable: false,
      ckr: 5,
    });
  }
  expect(caught(() => token.decryptGcm(key, randomBytes(12), aad, ciphertext))).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED' });
  expect(caught(() => token.decryptGcm(key, iv, Buffer.from('other'), ciphertext))).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED' });
  expect(caught(() => token.decryptGcm(key, iv, aad, ciphertext.subarray(0, 15)))).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED' });
  expect(token.generation).toBe(generation);
  expect(token.decryptGcm(key, iv, aad, ciphertext)).toEqual(plaintext);
});

test('a wrong argument is refused and does not block the session for the next call', () => {
  const iv = Buffer.alloc(12);
  expect(caught(() => token.encryptGcm(key, Buffer.alloc(16), iv, iv))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  const notBytes = 'text' as unknown as Buffer;
  expect(caught(() => token.encryptGcm(key, iv, Buffer.alloc(0), notBytes))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  expect(token.encryptGcm(key, iv, Buffer.alloc(0), Buffer.from('fine'))).toHaveLength(20);
});

test('an AES key makes no signature', () => {
  expect(caught(() => token.signDigestP256(key, Buffer.alloc(32)))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
});

test('a session key pair signs what node:crypto verifies', () => {
  const { privateKey, publicKeySpki } = token.generateSessionKeyPair('EC_P256');
  const message = Buffer.from('abc');
  const digest = Buffer.from('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 'hex');
  const signature = token.signDigestP256(privateKey, digest);
  expect(signature).toHaveLength(64);
  const publicKey = createPublicKey({ key: publicKeySpki, format: 'der', type: 'spki' });
  expect(verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
});

test('random bytes come in the length asked for', () => {
  for (const length of [1, 32, 1024]) expect(token.random(length)).toHaveLength(length);
});
