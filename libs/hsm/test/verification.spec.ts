import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openEpoch, Token, trustedSigner } from '../src/index';
import { caught, openFresh } from './fresh-token';

const message = Buffer.from('signed by another');
const digest = createHash('sha256').update(message).digest();
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spki = publicKey.export({ format: 'der', type: 'spki' });
const signature = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
const verifies = (key: Buffer, input: Buffer, by: Buffer) =>
  verify('sha256', input, { key: createPublicKey({ key, format: 'der', type: 'spki' }), dsaEncoding: 'ieee-p1363' }, by);

let token: Token;
beforeAll(() => {
  token = openFresh();
  token.generateTokenKeyPair('certifier', 'EC_P256');
});
afterAll(() => token.close());

test('the token verifies what node:crypto signed, and no altered digest or signature', () => {
  const key = token.importPublicKeyP256(spki);
  expect(token.verifyDigestP256(key, digest, signature)).toBe(true);
  for (const bit of [0, 255, 256, 511]) {
    const tampered = Buffer.from(signature);
    tampered[bit >> 3]! ^= 1 << (bit & 7);
    expect(token.verifyDigestP256(key, digest, tampered)).toBe(false);
  }
  expect(token.verifyDigestP256(key, createHash('sha256').update('other').digest(), signature)).toBe(false);
  for (const length of [0, 63, 65]) expect(token.verifyDigestP256(key, digest, Buffer.alloc(length))).toBe(false);
  expect(token.verifyDigestP256(key, digest, Buffer.alloc(64))).toBe(false);
  expect(token.verifyDigestP256(key, digest, signature)).toBe(true);
});

test('what is no P-256 SPKI is refused', () => {
  const ed25519 = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
  for (const bytes of [ed25519, spki.subarray(1), Buffer.alloc(0)]) {
    expect(caught(() => token.importPublicKeyP256(bytes))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  }
});

test('sessions that are lost are an error, never "the signature is wrong"', () => {
  const key = token.importPublicKeyP256(spki);
  const connection = Token.connectionOf(token);
  connection.p11.C_CloseSession(connection.ready().operations);
  expect(caught(() => token.verifyDigestP256(key, digest, signature))).toMatchObject({ code: 'HSM_SESSION_LOST', retryable: true });
  expect(token.verifyDigestP256(token.importPublicKeyP256(spki), digest, signature)).toBe(true);
});

test('a signer has the name that trust gives its public key; a key that nobody trusts is refused', () => {
  const own = token.publicKeySpki('certifier').toString('base64url');
  const trusted = { other: spki.toString('base64url'), 'certifier-1': own };
  const signer = trustedSigner(token, 'certifier', trusted);
  expect(signer.kid).toBe('certifier-1');
  expect(verifies(token.publicKeySpki('certifier'), message, signer.sign(message))).toBe(true);
  expect(verifies(token.publicKeySpki('certifier'), message, signer.signDigest(digest))).toBe(true);
  expect(caught(() => trustedSigner(token, 'certifier', { other: spki.toString('base64url') }))).toMatchObject({
    code: 'HSM_CONFIGURATION',
  });
});

test('an epoch signs with a key of its own that the certifier signs for; its key ends with the sessions, the certifier does not', () => {
  const certifier = trustedSigner(token, 'certifier', { c: token.publicKeySpki('certifier').toString('base64url') });
  const epoch = openEpoch(token, certifier);
  expect(epoch.batchPublicKey).not.toEqual(token.publicKeySpki('certifier'));
  expect(openEpoch(token, certifier).batchPublicKey).not.toEqual(epoch.batchPublicKey);
  expect(verifies(epoch.batchPublicKey, message, epoch.signBatch(digest) as Buffer)).toBe(true);
  expect(verifies(token.publicKeySpki('certifier'), message, epoch.certify(digest))).toBe(true);
  const connection = Token.connectionOf(token);
  connection.p11.C_CloseSession(connection.ready().operations);
  expect(caught(() => epoch.signBatch(digest))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(caught(() => epoch.signBatch(digest))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(verifies(token.publicKeySpki('certifier'), message, epoch.certify(digest))).toBe(true);
  expect(verifies(openEpoch(token, certifier).batchPublicKey, message, openEpoch(token, certifier).signBatch(digest) as Buffer)).toBe(
    false,
  );
});
