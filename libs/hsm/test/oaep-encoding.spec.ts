import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeOaep } from '../src/oaep-encoding';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const encode = (message: Buffer, hash: 'sha1' | 'sha256') => {
  const sent = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }, message);
  return privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, sent);
};

test.each(['sha1', 'sha256'] as const)('%s: gives back every message that OpenSSL encoded, of any length', (hash) => {
  const most = 256 - 2 * (hash === 'sha1' ? 20 : 32) - 2;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: most }), (message) => {
      expect(decodeOaep(encode(Buffer.from(message), hash), hash)).toEqual(Buffer.from(message));
    }),
    { numRuns: 60, examples: [[new Uint8Array(0)], [new Uint8Array(most)], [new Uint8Array(most).fill(1)]] },
  );
});

test('whatever is changed, it is no encoding: the first byte, the seed, the hash of the label, the padding', () => {
  const good = encode(Buffer.from('thirty-two bytes of key material'), 'sha256');
  fc.assert(
    fc.property(fc.nat(255), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const changed = Buffer.from(good);
      changed[at]! ^= bits;
      const decoded = decodeOaep(changed, 'sha256');
      // The message itself has no check in OAEP, unless its change reaches the seed, which the mask does.
      expect(decoded).toBeUndefined();
    }),
    { numRuns: 100, examples: [[0, 1]] },
  );
  expect(decodeOaep(good, 'sha1')).toBeUndefined();
  expect(decodeOaep(Buffer.alloc(256), 'sha256')).toBeUndefined();
});
