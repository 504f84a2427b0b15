import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Token } from '../src/index';
import { caught, openFresh } from './fresh-token';

let token: Token;
beforeAll(() => {
  token = openFresh();
  token.generateRootKey('root');
});
afterAll(() => token.close());

const curves = [
  ['EC_P256', 'prime256v1', 32],
  ['EC_P384', 'secp384r1', 48],
  ['EC_P521', 'secp521r1', 66],
] as const;
const spkiOf = (key: KeyObject) => key.export({ format: 'der', type: 'spki' });
const inToken = (algorithm: (typeof curves)[number][0], usage: 'sign' | 'agree') => {
  const wrappingKey = token.findTokenKey('root', 'secret');
  const material = token.generateWrapped({ algorithm, wrappingKey });
  return { spki: material.publicKeySpki!, key: token.unwrap({ ...material, algorithm, wrappingKey, usage }) };
};

test.each(curves)('%s: both sides come to the same secret, as long as the field', (algorithm, namedCurve, bytes) => {
  const { spki, key } = inToken(algorithm, 'agree');
  // A leading zero is one in 256: with as many tries as this, one is there nearly always.
  for (let i = 0; i < 300; i++) {
    const other = generateKeyPairSync('ec', { namedCurve });
    const theirs = diffieHellman({ privateKey: other.privateKey, publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }) });
    const ours = token.deriveSharedSecret(key, spkiOf(other.publicKey));
    expect(ours.length).toBe(bytes);
    expect(ours).toEqual(theirs);
  }
});

test('a point off the curve, of another curve, or none at all never reaches the token', () => {
  const { key, spki } = inToken('EC_P256', 'agree');
  const { generation } = token;
  const off = Buffer.from(spki);
  off[off.length - 1]! ^= 1;
  const infinity = Buffer.concat([spki.subarray(0, 26), Buffer.alloc(65)]);
  const others = [off, infinity, spki.subarray(1), Buffer.alloc(0), inToken('EC_P384', 'agree').spki];
  for (const wrong of others) expect(caught(() => token.deriveSharedSecret(key, wrong))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  expect(token.generation).toBe(generation);
});

test('a key to sign agrees on nothing, one to agree signs nothing, and other algorithms do not at all', () => {
  const signing = inToken('EC_P256', 'sign');
  const agreeing = inToken('EC_P256', 'agree');
  const refused = { code: 'HSM_KEY_USE_REFUSED' };
  expect(caught(() => token.deriveSharedSecret(signing.key, agreeing.spki))).toMatchObject(refused);
  expect(caught(() => token.signDigest(agreeing.key, 'ES256', Buffer.alloc(32)))).toMatchObject(refused);
  expect(caught(() => token.deriveSharedSecret(token.generateSessionKeyPair('EC_SECP256K1').privateKey, agreeing.spki))).toMatchObject(
    refused,
  );
  expect(caught(() => token.deriveSharedSecret(token.generateSessionKeyPair('ED25519').privateKey, agreeing.spki))).toMatchObject(refused);
});
