import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { KeyHandle, KeyWrapScheme, Token } from '../src/index';
import { caught, openFresh } from './fresh-token';

let token: Token;
let key: KeyHandle;
const value = randomBytes(32);
beforeAll(() => {
  token = openFresh();
  key = token.importKnownSecret('AES_256', value, 'wrap');
});
afterAll(() => token.close());

const ciphers = { KW: ['id-aes256-wrap', 'a6a6a6a6a6a6a6a6'], KWP: ['id-aes256-wrap-pad', 'a65959a6'] } as const;
const outside = (scheme: KeyWrapScheme, make: typeof createCipheriv | typeof createDecipheriv, bytes: Buffer) => {
  const [name, iv] = ciphers[scheme];
  const cipher = make(name, value, Buffer.from(iv, 'hex'));
  return Buffer.concat([cipher.update(bytes), cipher.final()]);
};

test('RFC 3394 §4.6: 256 bits of key data with a 256-bit KEK', () => {
  const kek = token.importKnownSecret(
    'AES_256',
    Buffer.from('000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F', 'hex'),
    'wrap',
  );
  const data = Buffer.from('00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F', 'hex');
  const wrapped = '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21';
  expect(token.wrapValue(kek, 'KW', data).toString('hex')).toBe(wrapped);
  expect(token.unwrapValue(kek, 'KW', Buffer.from(wrapped, 'hex'))).toEqual(data);
});

test('what is wrapped here opens at node:crypto, and the other way round, in every length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 2400 }), (array) => {
      const bytes = Buffer.from(array);
      if (bytes.length % 8 === 0) expect(outside('KWP', createDecipheriv, token.wrapValue(key, 'KWP', bytes))).toEqual(bytes);
      expect(token.unwrapValue(key, 'KWP', outside('KWP', createCipheriv, bytes))).toEqual(bytes);
      if (bytes.length < 16 || bytes.length % 8 !== 0) return;
      expect(outside('KW', createDecipheriv, token.wrapValue(key, 'KW', bytes))).toEqual(bytes);
      expect(token.unwrapValue(key, 'KW', outside('KW', createCipheriv, bytes))).toEqual(bytes);
    }),
    { numRuns: 60, examples: [[new Uint8Array(1)], [new Uint8Array(8)], [new Uint8Array(16)], [new Uint8Array(2400)]] },
  );
});

test('SoftHSM would wrap a key of 20 bytes as one of 24: it is said, with the name of the token', () => {
  const expected = { code: 'HSM_MECHANISM_UNAVAILABLE', message: expect.stringContaining(token.label) };
  for (const bytes of [1, 7, 20]) expect(caught(() => token.wrapValue(key, 'KWP', Buffer.alloc(bytes)))).toMatchObject(expected);
});

test('a blob that is not intact, or of the other scheme, gives one answer, and costs no session', () => {
  const { generation } = token;
  const bytes = randomBytes(32);
  for (const scheme of ['KW', 'KWP'] as const) {
    const wrapped = token.wrapValue(key, scheme, bytes);
    const flipped = Buffer.from(wrapped);
    flipped[11]! ^= 1;
    const other = scheme === 'KW' ? 'KWP' : 'KW';
    const wrongs: [KeyWrapScheme, Buffer][] = [
      [scheme, flipped],
      [scheme, wrapped.subarray(8)],
      [scheme, wrapped.subarray(1)],
      [scheme, Buffer.alloc(0)],
      [scheme, Buffer.alloc(8)],
      [scheme, Buffer.alloc(16)],
      [other, wrapped],
    ];
    for (const [as, blob] of wrongs)
      expect(caught(() => token.unwrapValue(key, as, blob))).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED', retryable: false });
  }
  expect(token.generation).toBe(generation);
});

test('KW takes 16 bytes or more in steps of 8, and says so', () => {
  for (const bytes of [0, 8, 15, 17, 20])
    expect(caught(() => token.wrapValue(key, 'KW', Buffer.alloc(bytes)))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  expect(caught(() => token.wrapValue(key, 'KWP', Buffer.alloc(0)))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

test('a key to encrypt or to sign wraps nothing, and a key to wrap encrypts nothing', () => {
  const encrypting = token.importKnownSecret('AES_256', randomBytes(32), 'encrypt');
  const mac = token.importKnownSecret('HMAC_SHA_256', randomBytes(32), 'mac');
  const refused = { code: 'HSM_KEY_USE_REFUSED' };
  for (const wrong of [encrypting, mac]) {
    expect(caught(() => token.wrapValue(wrong, 'KWP', Buffer.alloc(16)))).toMatchObject(refused);
    expect(caught(() => token.unwrapValue(wrong, 'KWP', Buffer.alloc(24)))).toMatchObject(refused);
  }
  expect(caught(() => token.encryptGcm(key, Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(16)))).toMatchObject(refused);
});
