import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type KeyHandle, Token } from '../src/index';
import { knownKeyTemplate } from '../src/templates';
import { caught, openFresh } from './fresh-token';

let token: Token;
let root: KeyHandle;
beforeAll(() => {
  token = openFresh();
  token.generateRootKey('root');
  root = token.findTokenKey('root', 'secret');
});
afterAll(() => token.close());

const known = (algorithm: 'HMAC_SHA_256' | 'HMAC_SHA_384' | 'HMAC_SHA_512', value: Buffer): KeyHandle => {
  const attributes = knownKeyTemplate(value, algorithm, 'mac');
  const object = Token.connectionOf(token).call('generate', (p11, { objects }) => p11.C_CreateObject(objects, attributes));
  return { object, algorithm, generation: token.generation };
};

test.each([
  ['HMAC_SHA_256', 32, 'sha256'],
  ['HMAC_SHA_384', 48, 'sha384'],
  ['HMAC_SHA_512', 64, 'sha512'],
] as const)('%s is what node:crypto makes of it', (algorithm, bytes, hash) => {
  const value = randomBytes(bytes);
  const key = known(algorithm, value);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (message) => {
      const mac = token.mac(key, Buffer.from(message));
      expect(mac).toEqual(createHmac(hash, value).update(message).digest());
      expect(token.verifyMac(key, Buffer.from(message), mac)).toBe(true);
    }),
    { numRuns: 50 },
  );
  expect(token.mac(key, Buffer.alloc(0))).toEqual(createHmac(hash, value).digest());
});

test('a MAC that is altered, cut, longer, or of another message is not valid', () => {
  const key = known('HMAC_SHA_384', randomBytes(48));
  const mac = token.mac(key, Buffer.from('message'));
  for (const byte of mac.keys()) {
    const tampered = Buffer.from(mac);
    tampered[byte]! ^= 1;
    expect(token.verifyMac(key, Buffer.from('message'), tampered)).toBe(false);
  }
  for (const given of [Buffer.alloc(0), mac.subarray(0, 32), Buffer.concat([mac, Buffer.alloc(1)])])
    expect(token.verifyMac(key, Buffer.from('message'), given)).toBe(false);
  expect(token.verifyMac(key, Buffer.from('messagf'), mac)).toBe(false);
  expect(token.verifyMac(key, Buffer.from('message'), mac)).toBe(true);
});

test('a MAC key neither encrypts, wraps nor signs, and no other key makes a MAC', () => {
  const material = token.generateWrapped({ algorithm: 'HMAC_SHA_256', wrappingKey: root });
  const key = token.unwrap({ ...material, algorithm: 'HMAC_SHA_256', wrappingKey: root, usage: 'mac' });
  const aes = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: root });
  const data = token.unwrap({ ...aes, algorithm: 'AES_256', wrappingKey: root, usage: 'encrypt' });
  const { generation } = token;
  const none = Buffer.alloc(0);
  const refusals = [
    () => token.encryptGcm(key, Buffer.alloc(12), none, none),
    () => token.decryptGcm(key, Buffer.alloc(12), none, Buffer.alloc(16)),
    () => token.signDigest(key, 'ES256', Buffer.alloc(32)),
    () => token.signMessage(key, none),
    () => token.mac(data, none),
    () => token.verifyMac(data, none, Buffer.alloc(32)),
    () => token.unwrap({ ...aes, algorithm: 'AES_256', wrappingKey: key, usage: 'encrypt' }),
    ...(['encrypt', 'sign', 'wrap'] as const).map(
      (usage) => () => token.unwrap({ ...material, algorithm: 'HMAC_SHA_256', wrappingKey: root, usage }),
    ),
    () => token.unwrap({ ...aes, algorithm: 'AES_256', wrappingKey: root, usage: 'mac' }),
  ];
  for (const refusal of refusals) expect(caught(refusal)).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
  expect(token.generation).toBe(generation);
});

test('sessions that are lost are an error, never "the MAC is wrong"', () => {
  const value = randomBytes(32);
  const key = known('HMAC_SHA_256', value);
  const connection = Token.connectionOf(token);
  connection.p11.C_CloseSession(connection.ready().operations);
  expect(caught(() => token.verifyMac(key, value, Buffer.alloc(32)))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  root = token.findTokenKey('root', 'secret');
});
