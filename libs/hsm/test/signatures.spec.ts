import { createHash, generateKeyPairSync, type KeyObject, sign as signOf, verify as verifyOf } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type DigestScheme, type KeyHandle, type PairAlgorithm, schemesOf, Token } from '../src/index';
import { caught, openFresh } from './fresh-token';
import { hashOf, signOutside, verifiesOutside } from './outside';

const outsidePairs = {
  RSA_2048: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  RSA_3072: () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
  RSA_4096: () => generateKeyPairSync('rsa', { modulusLength: 4096 }),
  EC_P256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EC_P384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  EC_P521: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  EC_SECP256K1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
} satisfies Partial<Record<PairAlgorithm, () => { publicKey: KeyObject; privateKey: KeyObject }>>;
type DigestAlgorithm = keyof typeof outsidePairs;
const digestAlgorithms = Object.keys(outsidePairs) as DigestAlgorithm[];

let token: Token;
const inside = new Map<PairAlgorithm, { privateKey: KeyHandle; publicKeySpki: Buffer }>();
const outside = new Map<PairAlgorithm, { privateKey: KeyObject; spki: Buffer }>();
beforeAll(async () => {
  token = openFresh();
  await Promise.all(
    [...digestAlgorithms, 'ED25519' as const].map(async (algorithm) => {
      inside.set(algorithm, await token.generateSessionKeyPairAsync(algorithm));
    }),
  );
  for (const algorithm of digestAlgorithms) {
    const { publicKey, privateKey } = outsidePairs[algorithm]();
    outside.set(algorithm, { privateKey, spki: publicKey.export({ format: 'der', type: 'spki' }) });
  }
});
afterAll(() => token.close());

const digestOf = (hash: string, message: Buffer) => createHash(hash).update(message).digest();
const every = digestAlgorithms.flatMap((algorithm) =>
  (schemesOf(algorithm) as DigestScheme[]).map((scheme) => [algorithm, scheme] as const),
);

test.each(every)('what an %s key signs with %s, node:crypto verifies, synchronously and not', async (algorithm, scheme) => {
  const { privateKey, publicKeySpki } = inside.get(algorithm)!;
  const message = Buffer.from(`${algorithm} ${scheme}`);
  const digest = digestOf(hashOf(scheme), message);
  const signatures = [token.signDigest(privateKey, scheme, digest), await token.signDigestAsync(() => privateKey, scheme, digest)];
  const key = token.importPublicKey(algorithm, publicKeySpki);
  for (const signature of signatures) {
    expect(verifiesOutside(scheme, publicKeySpki, message, signature)).toBe(true);
    expect(verifiesOutside(scheme, publicKeySpki, Buffer.from('other'), signature)).toBe(false);
    expect(token.verifyDigest(key, scheme, digest, signature)).toBe(true);
  }
});

test.each(every)('what node:crypto signs with %s and %s, the token verifies, and nothing altered', async (algorithm, scheme) => {
  const { privateKey, spki } = outside.get(algorithm)!;
  const message = Buffer.from(`${algorithm} ${scheme} from outside`);
  const digest = digestOf(hashOf(scheme), message);
  const signature = signOutside(scheme, privateKey, message);
  const key = token.importPublicKey(algorithm, spki);
  const both = async (over: Buffer, given: Buffer) => {
    const answer = token.verifyDigest(key, scheme, over, given);
    expect(await token.verifyDigestAsync(() => key, scheme, over, given)).toBe(answer);
    return answer;
  };
  expect(await both(digest, signature)).toBe(true);
  for (const byte of [0, signature.length >> 1, signature.length - 1]) {
    const tampered = Buffer.from(signature);
    tampered[byte]! ^= 1;
    expect(await both(digest, tampered)).toBe(false);
  }
  expect(await both(digestOf(hashOf(scheme), Buffer.from('other')), signature)).toBe(false);
  for (const length of [0, signature.length - 1, signature.length + 1]) expect(await both(digest, Buffer.alloc(length))).toBe(false);
  expect(await both(digest, Buffer.alloc(signature.length))).toBe(false);
  expect(await both(digest, Buffer.alloc(signature.length, 0xff))).toBe(false);
  expect(await both(digest, signature)).toBe(true);
});

test.each([
  ['EC_P256', 'ES256', ['sha384', 'sha512']],
  ['EC_SECP256K1', 'ES256K', ['sha512']],
  ['EC_P384', 'ES384', ['sha512']],
] as const)(
  'of a digest that is longer than the order of %s the leftmost bits count (SEC 1), here and at node:crypto',
  (algorithm, scheme, longer) => {
    const { privateKey, publicKeySpki } = inside.get(algorithm)!;
    const key = token.importPublicKey(algorithm, publicKeySpki);
    const others = outside.get(algorithm)!;
    const othersKey = token.importPublicKey(algorithm, others.spki);
    for (const hash of longer) {
      const message = Buffer.from(`over ${hash}`);
      const signature = token.signDigest(privateKey, scheme, digestOf(hash, message));
      expect(verifiesOutside(scheme, publicKeySpki, message, signature, hash)).toBe(true);
      expect(token.verifyDigest(key, scheme, digestOf(hash, message), signature)).toBe(true);
      expect(token.verifyDigest(othersKey, scheme, digestOf(hash, message), signOutside(scheme, others.privateKey, message, hash))).toBe(
        true,
      );
    }
  },
);

test('SoftHSM itself cuts a longer digest in the same way, so that what is cut here is cut alike', () => {
  const { privateKey, publicKeySpki } = inside.get('EC_P256')!;
  const message = Buffer.from('uncut');
  const signature = Token.connectionOf(token).call('sign', (p11, { operations }) => {
    p11.C_SignInit(operations, { mechanism: 0x1041 }, privateKey.object);
    return p11.C_Sign(operations, digestOf('sha512', message), Buffer.alloc(64));
  });
  expect(verifiesOutside('ES256', publicKeySpki, message, signature, 'sha512')).toBe(true);
});

test('others may sign a shorter digest with a longer curve: it is verified, but not made here', () => {
  const { privateKey, spki } = outside.get('EC_P384')!;
  const key = token.importPublicKey('EC_P384', spki);
  const message = Buffer.from('short');
  for (const hash of ['sha224', 'sha256']) {
    expect(token.verifyDigest(key, 'ES384', digestOf(hash, message), signOutside('ES384', privateKey, message, hash))).toBe(true);
    expect(caught(() => token.signDigest(inside.get('EC_P384')!.privateKey, 'ES384', digestOf(hash, message)))).toMatchObject({
      code: 'HSM_ARGUMENT_INVALID',
    });
  }
});

test('ECDSA signatures keep their leading zeros', () => {
  const { privateKey, publicKeySpki } = inside.get('EC_P521')!;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const signature = token.signDigest(privateKey, 'ES512', digestOf('sha512', Buffer.from(bytes)));
      expect(signature).toHaveLength(132);
      expect(verifiesOutside('ES512', publicKeySpki, Buffer.from(bytes), signature)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('EdDSA signs messages, an empty one too, as node:crypto does: the same key gives the same signature', () => {
  const { privateKey, publicKeySpki } = inside.get('ED25519')!;
  const key = token.importPublicKey('ED25519', publicKeySpki);
  const outsider = generateKeyPairSync('ed25519');
  const othersKey = token.importPublicKey('ED25519', outsider.publicKey.export({ format: 'der', type: 'spki' }));
  for (const message of [Buffer.alloc(0), Buffer.from('message'), Buffer.alloc(70_000, 7)]) {
    const signature = token.signMessage(privateKey, message);
    expect(verifyOf(null, message, { key: publicKeySpki, format: 'der', type: 'spki' }, signature)).toBe(true);
    expect(token.verifyMessage(key, message, signature)).toBe(true);
    expect(token.signEd25519(privateKey, message)).toEqual(signature);
    expect(token.verifyMessage(key, Buffer.concat([message, Buffer.from('.')]), signature)).toBe(false);
    expect(token.verifyMessage(key, message, signature.subarray(1))).toBe(false);
    expect(token.verifyMessage(othersKey, message, signature)).toBe(false);
    expect(token.verifyMessage(othersKey, message, signOf(null, message, outsider.privateKey))).toBe(true);
  }
});

test('a scheme that is not of the key is refused, and so is a digest that is not of the scheme', async () => {
  const keyOf = (algorithm: PairAlgorithm) => inside.get(algorithm)!.privateKey;
  const refused: [PairAlgorithm, DigestScheme][] = [
    ['EC_P256', 'ES384'],
    ['EC_P256', 'ES256K'],
    ['EC_SECP256K1', 'ES256'],
    ['EC_P521', 'PS512'],
    ['RSA_2048', 'ES256'],
    ['ED25519', 'ES256'],
    ['EC_P256', 'EdDSA' as DigestScheme],
    ['RSA_2048', 'none' as DigestScheme],
  ];
  for (const [algorithm, scheme] of refused) {
    const expected = { code: 'HSM_KEY_USE_REFUSED', ckr: undefined };
    expect(caught(() => token.signDigest(keyOf(algorithm), scheme, Buffer.alloc(32)))).toMatchObject(expected);
    expect(caught(() => token.verifyDigest(keyOf(algorithm), scheme, Buffer.alloc(32), Buffer.alloc(64)))).toMatchObject(expected);
    await expect(token.signDigestAsync(() => keyOf(algorithm), scheme, Buffer.alloc(32))).rejects.toMatchObject(expected);
    await expect(token.verifyDigestAsync(() => keyOf(algorithm), scheme, Buffer.alloc(32), Buffer.alloc(64))).rejects.toMatchObject(
      expected,
    );
  }
  expect(caught(() => token.signMessage(keyOf('EC_P256'), Buffer.alloc(32)))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
  for (const [algorithm, scheme, bytes] of [
    ['EC_P256', 'ES256', 20],
    ['EC_P256', 'ES256', 33],
    ['RSA_2048', 'PS256', 48],
    ['RSA_2048', 'RS512', 32],
    ['EC_P521', 'ES512', 0],
  ] as const) {
    expect(caught(() => token.signDigest(keyOf(algorithm), scheme, Buffer.alloc(bytes)))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  }
  expect(token.signDigest(keyOf('EC_P256'), 'ES256', Buffer.alloc(32))).toHaveLength(64);
});

test('a public key signs nothing and a private key verifies nothing', () => {
  const { privateKey, publicKeySpki } = inside.get('EC_P384')!;
  const publicKey = token.importPublicKey('EC_P384', publicKeySpki);
  const { generation } = token;
  expect(caught(() => token.signDigest(publicKey, 'ES384', Buffer.alloc(48)))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
  expect(caught(() => token.verifyDigest(privateKey, 'ES384', Buffer.alloc(48), Buffer.alloc(96)))).toMatchObject({
    code: 'HSM_KEY_USE_REFUSED',
  });
  expect(token.generation).toBe(generation);
});

test('PKCS#1 v1.5 and PSS are told apart', () => {
  const { privateKey, spki } = outside.get('RSA_2048')!;
  const key = token.importPublicKey('RSA_2048', spki);
  const message = Buffer.from('which');
  const digest = digestOf('sha256', message);
  expect(token.verifyDigest(key, 'RS256', digest, signOutside('PS256', privateKey, message))).toBe(false);
  expect(token.verifyDigest(key, 'PS256', digest, signOutside('RS256', privateKey, message))).toBe(false);
});
