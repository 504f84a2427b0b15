import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type KeyHandle, Token } from '../src/index';
import { knownKeyTemplate, template } from '../src/templates';
import { caught, freshToken } from './fresh-token';
import { runInOtherProcess } from './other-process';

const fresh = freshToken();
const iv = Buffer.alloc(12, 1);
const aad = Buffer.from('context');
const digest = Buffer.from('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 'hex');
let token: Token;
let root: KeyHandle;
beforeAll(() => {
  token = Token.open(fresh);
  token.createCanary();
  token.generateRootKey('root');
  root = token.findTokenKey('root', 'secret');
});
afterAll(() => token.close());

const kekUnder = (rootKey: KeyHandle) => {
  const { wrapped, mechanism } = token.generateKek(rootKey);
  return token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: rootKey, usage: 'wrap' });
};
const flags = (
  key: KeyHandle,
  ...names: `CKA_${'EXTRACTABLE' | 'SENSITIVE' | 'ENCRYPT' | 'DECRYPT' | 'WRAP' | 'UNWRAP' | 'SIGN' | 'MODIFIABLE' | 'COPYABLE'}`[]
) => {
  const wanted = template(Object.fromEntries(names.map((name) => [name, undefined])));
  return Token.connectionOf(token)
    .call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, key.object, wanted))
    .map(({ value }) => value[0]);
};
const readValue = (key: KeyHandle) =>
  Token.connectionOf(token).call('read', (p11, { objects }) =>
    p11.C_GetAttributeValue(objects, key.object, template({ CKA_VALUE: undefined })),
  );

test('a wrapped AES key says how to unwrap it, and works the same each time it is unwrapped', () => {
  const kek = kekUnder(root);
  const { wrapped, mechanism, family, publicKeySpki } = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: kek });
  // RFC 5649: 32 bytes of key and 8 of integrity check.
  expect([wrapped.length, mechanism, family, publicKeySpki]).toEqual([40, 0x210a, 'softhsm', undefined]);
  const request = { wrapped, mechanism, algorithm: 'AES_256', wrappingKey: kek, usage: 'encrypt' } as const;
  const [first, second] = [token.unwrap(request), token.unwrap(request)];
  expect(token.decryptGcm(second, iv, aad, token.encryptGcm(first, iv, aad, Buffer.from('hello')))).toEqual(Buffer.from('hello'));
});

test('an unwrapped key does what it is for, cannot be widened, and never leaves again', () => {
  const kek = kekUnder(root);
  const aes = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: kek });
  const ec = token.generateWrapped({ algorithm: 'EC_P256', wrappingKey: kek });
  const data = token.unwrap({ ...aes, algorithm: 'AES_256', wrappingKey: kek, usage: 'encrypt' });
  const signer = token.unwrap({ ...ec, algorithm: 'EC_P256', wrappingKey: kek, usage: 'sign' });
  expect(flags(data, 'CKA_EXTRACTABLE', 'CKA_SENSITIVE', 'CKA_ENCRYPT', 'CKA_DECRYPT', 'CKA_WRAP', 'CKA_UNWRAP')).toEqual([
    0, 1, 1, 1, 0, 0,
  ]);
  expect(flags(kek, 'CKA_EXTRACTABLE', 'CKA_SENSITIVE', 'CKA_ENCRYPT', 'CKA_DECRYPT', 'CKA_WRAP', 'CKA_UNWRAP')).toEqual([
    0, 1, 0, 0, 1, 1,
  ]);
  expect(flags(signer, 'CKA_EXTRACTABLE', 'CKA_SENSITIVE', 'CKA_SIGN', 'CKA_DECRYPT', 'CKA_UNWRAP')).toEqual([0, 1, 1, 0, 0]);
  for (const key of [data, kek, signer]) {
    expect(flags(key, 'CKA_MODIFIABLE', 'CKA_COPYABLE')).toEqual([0, 0]);
    expect(caught(() => readValue(key))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED', ckr: 0x11 });
    const rewrap = () =>
      Token.connectionOf(token).call('wrap', (p11, { objects }) =>
        p11.C_WrapKey(objects, { mechanism: 0x210a }, root.object, key.object, Buffer.alloc(512)),
      );
    expect(caught(rewrap)).toMatchObject({ code: 'HSM_KEY_USE_REFUSED', ckr: 0x6a });
  }
});

test('a KEK cannot open as data what it wraps, and a data key cannot unwrap', () => {
  const kek = kekUnder(root);
  const { wrapped, mechanism } = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: kek });
  const data = token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: kek, usage: 'encrypt' });
  expect(caught(() => token.decryptGcm(kek, iv, aad, wrapped))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
  const byData = () => token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: data, usage: 'encrypt' });
  expect(caught(byData)).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
});

test('a wrapped P-256 key signs what its SPKI verifies', () => {
  const { publicKeySpki, ...material } = token.generateWrapped({ algorithm: 'EC_P256', wrappingKey: root });
  const key = token.unwrap({ ...material, algorithm: 'EC_P256', wrappingKey: root, usage: 'sign' });
  const publicKey = createPublicKey({ key: publicKeySpki!, format: 'der', type: 'spki' });
  expect(verify('sha256', Buffer.from('abc'), { key: publicKey, dsaEncoding: 'ieee-p1363' }, token.signDigestP256(key, digest))).toBe(true);
});

test('the wrapping is RFC 5649: node:crypto opens what was wrapped under a known key', async () => {
  const { createDecipheriv } = await import('node:crypto');
  const value = randomBytes(32);
  const wrappingTemplate = knownKeyTemplate(value).filter(({ type }) => type !== 0x106 && type !== 0x170 && type !== 0x171);
  const object = Token.connectionOf(token).call('generate', (p11, { objects }) =>
    p11.C_CreateObject(objects, [...wrappingTemplate, ...template({ CKA_WRAP: true })]),
  );
  const wrappingKey = { object, algorithm: 'AES_256', generation: token.generation } as const;
  const { wrapped } = token.generateWrapped({ algorithm: 'AES_256', wrappingKey });
  const decipher = createDecipheriv('id-aes256-wrap-pad', value, Buffer.from('a65959a6', 'hex'));
  expect(Buffer.concat([decipher.update(wrapped), decipher.final()])).toHaveLength(32);
});

test('an altered, cut or foreign blob is invalid on a token that is alive, and costs no session', () => {
  const { wrapped, mechanism } = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: root });
  const { generation } = token;
  const attempt = (blob: Buffer) =>
    caught(() => token.unwrap({ wrapped: blob, mechanism, algorithm: 'AES_256', wrappingKey: root, usage: 'encrypt' }));
  for (let byte = 0; byte < wrapped.length; byte++) {
    const tampered = Buffer.from(wrapped);
    tampered[byte]! ^= 0x80;
    expect(attempt(tampered)).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID', retryable: false });
  }
  for (const blob of [wrapped.subarray(0, 17), wrapped.subarray(0, 16), randomBytes(40)]) {
    expect(attempt(blob)).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
  }
  const otherKek = kekUnder(root);
  const foreign = () => token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: otherKek, usage: 'encrypt' });
  expect(caught(foreign)).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
  expect(token.generation).toBe(generation);
});

test('a blob does not unwrap as another algorithm, nor for a usage that its algorithm has not, nor by a mechanism that the token has not', () => {
  const aes = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: root });
  const ec = token.generateWrapped({ algorithm: 'EC_P256', wrappingKey: root });
  const { generation } = token;
  expect(caught(() => token.unwrap({ ...aes, algorithm: 'EC_P256', wrappingKey: root, usage: 'sign' }))).toMatchObject({
    code: 'HSM_WRAPPED_KEY_INVALID',
  });
  expect(caught(() => token.unwrap({ ...ec, algorithm: 'EC_P256', wrappingKey: root, usage: 'wrap' }))).toMatchObject({
    code: 'HSM_KEY_USE_REFUSED',
  });
  const kwp = () => token.unwrap({ ...aes, mechanism: 0x210b, algorithm: 'AES_256', wrappingKey: root, usage: 'encrypt' });
  expect(caught(kwp)).toMatchObject({ code: 'HSM_MECHANISM_UNAVAILABLE' });
  expect(token.generation).toBe(generation);
});

test('a P-256 blob unwrapped as AES is refused, not turned into a key of another length', () => {
  const ec = token.generateWrapped({ algorithm: 'EC_P256', wrappingKey: root });
  const asAes = () => token.unwrap({ ...ec, algorithm: 'AES_256', wrappingKey: root, usage: 'encrypt' });
  expect(caught(asAes)).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
});

test('generating leaves no object behind: neither the extractable key nor a public half', () => {
  const count = () =>
    Token.connectionOf(token).call('find', (p11, { objects }) => {
      p11.C_FindObjectsInit(objects, []);
      const found = p11.C_FindObjects(objects, 1000).length;
      p11.C_FindObjectsFinal(objects);
      return found;
    });
  const before = count();
  token.generateWrapped({ algorithm: 'AES_256', wrappingKey: root });
  token.generateWrapped({ algorithm: 'EC_P256', wrappingKey: root });
  expect(count()).toBe(before);
  token.destroyObject(kekUnder(root));
  expect(count()).toBe(before);
});

test('another process unwraps, decrypts and signs with what this one wrapped', async () => {
  const { wrapped, mechanism } = token.generateKek(root);
  const kek = token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: root, usage: 'wrap' });
  const aes = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: kek });
  const ec = token.generateWrapped({ algorithm: 'EC_P256', wrappingKey: kek });
  const data = token.unwrap({ ...aes, algorithm: 'AES_256', wrappingKey: kek, usage: 'encrypt' });
  const b64 = (bytes: Buffer) => bytes.toString('base64url');
  const answer = await runInOtherProcess('unwrap-and-use', {
    ...fresh,
    mechanism,
    kek: b64(wrapped),
    aes: b64(aes.wrapped),
    ec: b64(ec.wrapped),
    ciphertext: b64(token.encryptGcm(data, iv, aad, Buffer.from('for the other process'))),
    iv: b64(iv),
    aad: b64(aad),
    digest: b64(digest),
  });
  expect(Buffer.from(answer.plaintext!, 'base64url').toString()).toBe('for the other process');
  const publicKey = createPublicKey({ key: ec.publicKeySpki!, format: 'der', type: 'spki' });
  const signature = Buffer.from(answer.signature!, 'base64url');
  expect(verify('sha256', Buffer.from('abc'), { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
});
