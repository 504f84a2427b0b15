import { createHash, createPublicKey, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { rowOf } from '../src/algorithms';
import { type Algorithm, type DigestScheme, type KeyHandle, schemesOf, selfTest, Token } from '../src/index';
import { mechanisms } from '../src/mechanisms';
import { keyPairTemplates } from '../src/templates';
import { caught, kryopticLibrary, openFreshOf } from './fresh-token';
import { verifiesOutside } from './outside';

const onKryoptic = kryopticLibrary ? test : test.skip;
let token: Token;
let root: KeyHandle;
beforeAll(() => {
  if (!kryopticLibrary) return;
  token = openFreshOf('kryoptic');
  token.generateRootKey('root');
  root = token.findTokenKey('root', 'secret');
});
afterAll(() => token?.close());

onKryoptic('it is known as what it is, and passes every self test', () => {
  expect(token.family).toBe('kryoptic');
  expect(new Set(Object.values(selfTest(token)))).toEqual(new Set(['passed']));
});

onKryoptic('it lists ECDSA and has no secp256k1, which is said by name', async () => {
  expect([token.supports('EC_P256'), token.supports('EC_SECP256K1')]).toEqual([true, false]);
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const lacking = { code: 'HSM_MECHANISM_UNAVAILABLE', message: expect.stringContaining('EC_SECP256K1') };
  expect(caught(() => token.importPublicKey('EC_SECP256K1', publicKey.export({ format: 'der', type: 'spki' })))).toMatchObject(lacking);
  expect(caught(() => token.generateSessionKeyPair('EC_SECP256K1'))).toMatchObject(lacking);
  // The token itself says so: when it no longer does, the row goes.
  const generate = (curve: 'EC_P256' | 'EC_SECP256K1') => {
    const { publicKey: ofPublic, privateKey: ofPrivate } = keyPairTemplates(curve, { usage: 'sign', extractable: false });
    return Token.connectionOf(token).call('generate', (p11, { objects }) =>
      p11.C_GenerateKeyPair(objects, { mechanism: mechanisms.CKM_EC_KEY_PAIR_GEN }, ofPublic, ofPrivate),
    );
  };
  expect(generate('EC_P256')).toMatchObject({ privateKey: expect.any(Buffer) });
  expect(caught(() => generate('EC_SECP256K1'))).toMatchObject({ code: 'HSM_OPERATION_FAILED' });
});

const wrapped = ['AES_128', 'AES_256', 'HMAC_SHA_256', 'HMAC_SHA_512', 'EC_P256', 'EC_P384', 'EC_P521', 'ED25519', 'RSA_2048'] as const;
onKryoptic.each(wrapped)(
  '%s: leaves it wrapped, comes back, and does what it is for',
  async (algorithm) => {
    const material = await token.generateWrappedAsync({ algorithm, wrappingKey: () => root });
    const message = Buffer.from('kept by another');
    for (const usage of rowOf(algorithm as Algorithm).usages) {
      const key = token.unwrap({ ...material, algorithm, wrappingKey: root, usage });
      if (usage === 'mac') expect(token.verifyMac(key, message, token.mac(key, message))).toBe(true);
      else if (usage === 'wrap') expect(token.unwrapValue(key, 'KWP', token.wrapValue(key, 'KWP', message))).toEqual(message);
      else if (usage === 'agree') expect(token.deriveSharedSecret(key, material.publicKeySpki!).length).toBeGreaterThan(31);
      else if (usage === 'encrypt' && algorithm.startsWith('AES')) {
        const sealed = token.encryptGcm(key, Buffer.alloc(12), message, message);
        expect(token.decryptGcm(key, Buffer.alloc(12), message, sealed)).toEqual(message);
        sealed[3]! ^= 1;
        expect(caught(() => token.decryptGcm(key, Buffer.alloc(12), message, sealed))).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED' });
      } else if (usage === 'sign') {
        const [scheme] = schemesOf(algorithm);
        if (algorithm === 'ED25519') {
          const imported = token.importPublicKey(algorithm, material.publicKeySpki!);
          expect(token.verifyMessage(imported, message, token.signMessage(key, message))).toBe(true);
        } else {
          const digest = createHash(`sha${scheme!.slice(2)}`)
            .update(message)
            .digest();
          const signature = token.signDigest(key, scheme as DigestScheme, digest);
          expect(verifiesOutside(scheme as DigestScheme, material.publicKeySpki!, message, signature)).toBe(true);
        }
      }
    }
  },
  30_000,
);

onKryoptic('RSA-OAEP with SHA-256: what is encrypted here opens at OpenSSL, and the other way round', async () => {
  const material = await token.generateWrappedAsync({ algorithm: 'RSA_2048', wrappingKey: () => root });
  const key = token.unwrap({ ...material, algorithm: 'RSA_2048', wrappingKey: root, usage: 'encrypt' });
  const secret = randomBytes(32);
  const own = createPublicKey({ key: material.publicKeySpki!, format: 'der', type: 'spki' });
  const ciphertext = publicEncrypt({ key: own, oaepHash: 'sha256' }, secret);
  expect(token.decryptOaep(key, ciphertext)).toEqual(secret);
  expect(await token.decryptOaepAsync(() => key, ciphertext)).toEqual(secret);
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const imported = token.importPublicKey('RSA_2048', other.publicKey.export({ format: 'der', type: 'spki' }), 'encrypt');
  expect(privateDecrypt({ key: other.privateKey, oaepHash: 'sha256' }, token.encryptOaep(imported, secret))).toEqual(secret);
  ciphertext[9]! ^= 1;
  expect(caught(() => token.decryptOaep(key, ciphertext))).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED' });
});

onKryoptic('keys of every length are wrapped as just that long', () => {
  const key = token.importKnownSecret('AES_256', randomBytes(32), 'wrap');
  for (const length of [1, 7, 8, 20, 33]) {
    const value = randomBytes(length);
    expect(token.unwrapValue(key, 'KWP', token.wrapValue(key, 'KWP', value))).toEqual(value);
  }
});
