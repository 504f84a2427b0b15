import { constants, createPublicKey, generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type KeyHandle, Token } from '../src/index';
import { caught, openFresh } from './fresh-token';

let token: Token;
let publicKey: KeyHandle;
let privateKey: KeyHandle;
let spki: Buffer;
const outsider = generateKeyPairSync('rsa', { modulusLength: 2048 });
beforeAll(async () => {
  token = openFresh();
  token.generateRootKey('root');
  const root = () => token.findTokenKey('root', 'secret');
  const material = await token.generateWrappedAsync({ algorithm: 'RSA_2048', wrappingKey: root });
  spki = material.publicKeySpki!;
  publicKey = token.importPublicKey('RSA_2048', spki, 'encrypt');
  privateKey = token.unwrap({ ...material, algorithm: 'RSA_2048', wrappingKey: root(), usage: 'encrypt' });
});
afterAll(() => token.close());

/** SoftHSM takes SHA-1 only; a stand-in for a token that can is this one, asked for SHA-1 where it was asked for SHA-256. */
async function withOaepOfAnotherHash<T>(act: () => Promise<T> | T): Promise<T> {
  const { p11 } = Token.connectionOf(token);
  const [encryptInit, decryptInit] = [p11.C_EncryptInit, p11.C_DecryptInit];
  const other = (mechanism: Parameters<typeof encryptInit>[1]) =>
    typeof mechanism === 'object' && mechanism.mechanism === 9
      ? ({ ...mechanism, parameter: { ...(mechanism.parameter as object), hashAlg: 0x220, mgf: 1 } } as never)
      : mechanism;
  p11.C_EncryptInit = (session, mechanism, key) => encryptInit.call(p11, session, other(mechanism), key);
  p11.C_DecryptInit = (session, mechanism, key) => decryptInit.call(p11, session, other(mechanism), key);
  try {
    return await act();
  } finally {
    p11.C_EncryptInit = encryptInit;
    p11.C_DecryptInit = decryptInit;
  }
}

test('SoftHSM lists RSA-OAEP and takes no SHA-256 in it: that is a mechanism it lacks, said with token and algorithm', async () => {
  expect(Token.connectionOf(token).hasMechanism(9)).toBe(true);
  const { generation } = token;
  const expected = {
    code: 'HSM_MECHANISM_UNAVAILABLE',
    ckr: 7,
    retryable: false,
    message: expect.stringMatching(`${token.label}.*RSA_2048`),
  };
  expect(caught(() => token.encryptOaep(publicKey, Buffer.alloc(32)))).toMatchObject(expected);
  expect(caught(() => token.decryptOaep(privateKey, Buffer.alloc(256)))).toMatchObject(expected);
  await expect(token.decryptOaepAsync(() => privateKey, Buffer.alloc(256))).rejects.toMatchObject(expected);
  expect(token.generation).toBe(generation);
});

test('a token without the mechanism is not asked', () => {
  const connection = Token.connectionOf(token);
  const has = connection.hasMechanism;
  connection.hasMechanism = (mechanism) => mechanism !== 9 && has.call(connection, mechanism);
  expect(caught(() => token.encryptOaep(publicKey, Buffer.alloc(32)))).toMatchObject({ code: 'HSM_MECHANISM_UNAVAILABLE', ckr: undefined });
  connection.hasMechanism = has;
});

test('on a token that can, what is encrypted here opens at node:crypto, and the other way round', async () => {
  await withOaepOfAnotherHash(async () => {
    const plaintext = Buffer.from('a content key of 32 bytes, or so');
    const outside = token.importPublicKey('RSA_2048', outsider.publicKey.export({ format: 'der', type: 'spki' }), 'encrypt');
    const opened = privateDecrypt(
      { key: outsider.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING },
      token.encryptOaep(outside, plaintext),
    );
    expect(opened).toEqual(plaintext);
    const own = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    const ciphertext = publicEncrypt({ key: own, padding: constants.RSA_PKCS1_OAEP_PADDING }, plaintext);
    expect(token.decryptOaep(privateKey, ciphertext)).toEqual(plaintext);
    expect(await token.decryptOaepAsync(() => privateKey, ciphertext)).toEqual(plaintext);
    ciphertext[9]! ^= 1;
    for (const wrong of [ciphertext, ciphertext.subarray(1), Buffer.alloc(0), Buffer.alloc(256, 0xff)]) {
      const expected = { code: 'HSM_AUTHENTICATION_FAILED', retryable: false };
      expect(caught(() => token.decryptOaep(privateKey, wrong))).toMatchObject(expected);
      await expect(token.decryptOaepAsync(() => privateKey, wrong)).rejects.toMatchObject(expected);
    }
  });
});

test('a plaintext that is empty or too long is refused', () => {
  for (const bytes of [0, 191])
    expect(caught(() => token.encryptOaep(publicKey, Buffer.alloc(bytes)))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

test('a key for encryption signs and verifies nothing, one for signatures decrypts nothing, others do no OAEP', async () => {
  const { generation } = token;
  const signing = await token.generateSessionKeyPairAsync('RSA_2048');
  const { privateKey: ec } = token.generateSessionKeyPair('EC_P256');
  const refused = { code: 'HSM_KEY_USE_REFUSED' };
  expect(caught(() => token.signDigest(privateKey, 'PS256', Buffer.alloc(32)))).toMatchObject(refused);
  expect(caught(() => token.signDigest(privateKey, 'RS256', Buffer.alloc(32)))).toMatchObject(refused);
  expect(caught(() => token.verifyDigest(publicKey, 'PS256', Buffer.alloc(32), Buffer.alloc(256)))).toMatchObject(refused);
  expect(caught(() => token.encryptOaep(ec, Buffer.alloc(32)))).toMatchObject(refused);
  expect(caught(() => token.importPublicKey('EC_P256', spki, 'encrypt'))).toMatchObject(refused);
  await withOaepOfAnotherHash(() => {
    expect(caught(() => token.decryptOaep(signing.privateKey, Buffer.alloc(256)))).toMatchObject(refused);
    expect(caught(() => token.encryptOaep(token.importPublicKey('RSA_2048', spki, 'sign'), Buffer.alloc(32)))).toMatchObject(refused);
  });
  expect(token.generation).toBe(generation);
});
