import { createPublicKey } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { algorithmNames, algorithms, isPair, isPq, rowOf } from '../src/algorithms';
import {
  type Algorithm,
  custodiesOf,
  type DigestScheme,
  type KeyHandle,
  type KeyUsage,
  schemesOf,
  Token,
  type WrappedKeyMaterial,
} from '../src/index';
import { caught, freshToken } from './fresh-token';
import { runInOtherProcess } from './other-process';
import { verifiesOutside } from './outside';

const fresh = freshToken();
const wrappable = algorithmNames.filter((name) => custodiesOf(name, 'softhsm').includes('wrapped'));
let token: Token;
let root: KeyHandle;
let kekMaterial: WrappedKeyMaterial;
let kek: KeyHandle;
const materials = new Map<Algorithm, WrappedKeyMaterial>();
beforeAll(async () => {
  token = Token.open(fresh);
  token.createCanary();
  token.generateRootKey('root');
  root = token.findTokenKey('root', 'secret');
  kekMaterial = token.generateKek(root);
  kek = token.unwrap({ ...kekMaterial, algorithm: 'AES_256', wrappingKey: root, usage: 'wrap' });
  await Promise.all(
    wrappable.map(async (algorithm) => materials.set(algorithm, await token.generateWrappedAsync({ algorithm, wrappingKey: () => kek }))),
  );
});
afterAll(() => token.close());

const objects = () =>
  Token.connectionOf(token).call('find', (p11, { objects: session }) => {
    p11.C_FindObjectsInit(session, []);
    const found = p11.C_FindObjects(session, 1000).length;
    p11.C_FindObjectsFinal(session);
    return found;
  });

test('every wrapped key works in another process, does exactly what it is for, and cannot be widened', async () => {
  const keys = wrappable.flatMap((algorithm) =>
    rowOf(algorithm).usages.map((usage) => {
      const { wrapped, publicKeySpki } = materials.get(algorithm)!;
      return { algorithm, usage, wrapped: wrapped.toString('base64url'), spki: publicKeySpki?.toString('base64url') };
    }),
  );
  const { mechanism } = kekMaterial;
  const input = { ...fresh, kek: kekMaterial.wrapped.toString('base64url'), mechanism, keys };
  const results = (await runInOtherProcess('use-all', input)) as unknown as Record<
    string,
    { result: string; flags: string; widened: string }
  >;
  const flags: Record<KeyUsage, string> = {
    encrypt: 'CKA_SENSITIVE CKA_DECRYPT CKA_ENCRYPT',
    wrap: 'CKA_SENSITIVE CKA_UNWRAP CKA_WRAP',
    mac: 'CKA_SENSITIVE CKA_SIGN CKA_VERIFY',
    sign: 'CKA_SENSITIVE CKA_SIGN',
    agree: 'CKA_SENSITIVE CKA_DERIVE',
    encapsulate: 'CKA_SENSITIVE CKA_DECAPSULATE',
  };
  const message = Buffer.from('used elsewhere');
  for (const { algorithm, usage } of keys) {
    const { result, ...state } = results[`${algorithm} ${usage}`]!;
    const expectedFlags = isPair(algorithm) && usage === 'encrypt' ? 'CKA_SENSITIVE CKA_DECRYPT' : flags[usage];
    expect([algorithm, usage, state]).toEqual([algorithm, usage, { flags: expectedFlags, widened: 'refused' }]);
    const made = Buffer.from(result, 'base64url');
    const { publicKeySpki, wrapped } = materials.get(algorithm)!;
    const here = () => token.unwrap({ wrapped, mechanism, algorithm, wrappingKey: kek, usage });
    if (usage === 'sign') expect(verifiesOutside(schemesOf(algorithm)[0] as DigestScheme, publicKeySpki!, message, made)).toBe(true);
    else if (usage === 'mac') expect(token.verifyMac(here(), message, made)).toBe(true);
    else if (usage === 'wrap') expect(made).toHaveLength(24);
    else if (usage === 'agree') expect(made).toEqual(token.deriveSharedSecret(here(), publicKeySpki!));
    else if (isPair(algorithm)) expect(result).toBe('HSM_KEY_USE_REFUSED');
    else expect(token.decryptGcm(here(), Buffer.alloc(12), message, made)).toEqual(message);
  }
});

test.each(wrappable)(
  '%s: the SPKI is one that node:crypto takes, and no object stays behind, made synchronously or not',
  async (algorithm) => {
    const before = objects();
    const { publicKeySpki, wrapped } = token.generateWrapped({ algorithm, wrappingKey: kek });
    await token.generateWrappedAsync({ algorithm, wrappingKey: () => kek });
    expect(objects()).toBe(before);
    if (!isPair(algorithm)) return expect(publicKeySpki).toBeUndefined();
    const { asymmetricKeyDetails } = createPublicKey({ key: publicKeySpki!, format: 'der', type: 'spki' });
    const row = algorithms[algorithm];
    if (row.kind === 'rsa') expect(asymmetricKeyDetails).toMatchObject({ modulusLength: row.modulusBits, publicExponent: 65537n });
    const [least, most] = row.wrappedBytes;
    expect(wrapped.length >= least && wrapped.length <= most).toBe(true);
  },
);

test('no blob unwraps as a key of another algorithm, except secrets of the same length', () => {
  const sameLength = new Set(['AES_256 HMAC_SHA_256', 'HMAC_SHA_256 AES_256']);
  const before = objects();
  const { generation } = token;
  for (const [of, { wrapped, mechanism }] of materials) {
    for (const as of wrappable) {
      if (as === of || sameLength.has(`${of} ${as}`)) continue;
      const attempt = () => token.unwrap({ wrapped, mechanism, algorithm: as, wrappingKey: kek, usage: rowOf(as).usages[0]! });
      expect([of, as, caught(attempt)]).toMatchObject([of, as, { code: 'HSM_WRAPPED_KEY_INVALID', retryable: false }]);
    }
  }
  expect(objects()).toBe(before);
  expect(token.generation).toBe(generation);
});

test('altered and cut blobs of pairs are invalid, and cost no session', () => {
  const { generation } = token;
  for (const algorithm of ['EC_P521', 'EC_SECP256K1', 'RSA_2048'] as const) {
    const { wrapped, mechanism } = materials.get(algorithm)!;
    const attempt = (blob: Buffer) => caught(() => token.unwrap({ wrapped: blob, mechanism, algorithm, wrappingKey: kek, usage: 'sign' }));
    for (const byte of [0, 8, wrapped.length >> 1, wrapped.length - 1]) {
      const tampered = Buffer.from(wrapped);
      tampered[byte]! ^= 1;
      expect(attempt(tampered)).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
    }
    expect(attempt(wrapped.subarray(0, -8))).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
  }
  expect(token.generation).toBe(generation);
});

test('SoftHSM cannot wrap Ed25519: it is said with the names of token and algorithm, before anything is generated', async () => {
  const before = objects();
  const expected = { code: 'HSM_MECHANISM_UNAVAILABLE', message: expect.stringMatching(`${fresh.tokenLabel}.*ED25519`) };
  expect(caught(() => token.generateWrapped({ algorithm: 'ED25519', wrappingKey: kek }))).toMatchObject(expected);
  await expect(token.generateWrappedAsync({ algorithm: 'ED25519', wrappingKey: () => kek })).rejects.toMatchObject(expected);
  expect(objects()).toBe(before);
});

test('token key pairs of every algorithm are found again with their algorithm, by either half', async () => {
  for (const algorithm of algorithmNames.filter(isPair).filter((name) => !isPq(name))) {
    const spki = await token.generateTokenKeyPairAsync(`pair-${algorithm}`, algorithm);
    expect(token.publicKeySpki(`pair-${algorithm}`)).toEqual(spki);
    expect(token.findTokenKey(`pair-${algorithm}`, 'private').algorithm).toBe(algorithm);
    expect(token.findTokenKey(`pair-${algorithm}`, 'public').algorithm).toBe(algorithm);
  }
  const again = token.generateTokenKeyPairAsync('pair-EC_P256', 'EC_P256');
  await expect(again).rejects.toMatchObject({ code: 'HSM_KEY_EXISTS' });
});

test('of two that create the same label at once, one is refused', async () => {
  const made = await Promise.allSettled([1, 2].map(() => token.generateTokenKeyPairAsync('twice', 'EC_P256')));
  expect(made.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(made[1]).toMatchObject({ reason: { code: 'HSM_KEY_EXISTS' } });
  expect(token.publicKeySpki('twice')).toBeDefined();
  const during = token.generateTokenKeyPairAsync('thrice', 'EC_P256');
  expect(caught(() => token.generateTokenKeyPair('thrice', 'EC_P256'))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  await during;
});
