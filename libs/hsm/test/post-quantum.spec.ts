import { createPublicKey, decapsulate, encapsulate, generateKeyPairSync, sign, verify } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { algorithms, type PqAlgorithm } from '../src/algorithms';
import { type Algorithm, custodiesOf, schemesOf, type Token } from '../src/index';
import { caught, kryopticLibrary, openFresh, openFreshOf } from './fresh-token';

const signing = ['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87', 'SLH_DSA_SHA2_128S'] as const;
const kems = ['ML_KEM_768', 'ML_KEM_1024'] as const;
const all = [...signing, ...kems];
const outside = (spki: Buffer) => createPublicKey({ key: spki, format: 'der', type: 'spki' });
const message = Buffer.from('a contract for the next thirty years');
// Without the library these say so, by name, in the report.
const onKryoptic = kryopticLibrary ? test : test.skip;

let token: Token;
beforeAll(() => {
  if (kryopticLibrary) token = openFreshOf('kryoptic');
});
afterAll(() => token?.close());

test('SoftHSM has none of them: each is refused with the names of token and algorithm, before anything is made', async () => {
  const soft = openFresh();
  for (const algorithm of all) {
    const expected = { code: 'HSM_MECHANISM_UNAVAILABLE', message: expect.stringMatching(`${soft.label}.*${algorithm}`) };
    expect(custodiesOf(algorithm, 'softhsm')).toEqual(['token']);
    expect(caught(() => soft.generateSessionKeyPair(algorithm))).toMatchObject(expected);
    await expect(soft.generateTokenKeyPairAsync(`no-${algorithm}`, algorithm)).rejects.toMatchObject(expected);
  }
  soft.close();
});

onKryoptic.each(signing)(
  '%s: signs what OpenSSL verifies, verifies what OpenSSL signs, and nothing else',
  async (algorithm) => {
    const spki = await token.generateTokenKeyPairAsync(`key-${algorithm}`, algorithm);
    expect(outside(spki).asymmetricKeyType).toBe(algorithm.toLowerCase().replaceAll('_', '-'));
    const key = () => token.findTokenKey(`key-${algorithm}`, 'private');
    expect(key().algorithm).toBe(algorithm);
    const signature = await token.signMessageAsync(key, message);
    expect(signature).toHaveLength(algorithms[algorithm].outputBytes);
    expect(verify(null, message, outside(spki), signature)).toBe(true);
    expect(verify(null, Buffer.alloc(0), outside(spki), token.signMessage(key(), Buffer.alloc(0)))).toBe(true);

    const other = generateKeyPairSync(outside(spki).asymmetricKeyType as 'ml-dsa-44');
    const imported = token.importPublicKey(algorithm, other.publicKey.export({ format: 'der', type: 'spki' }));
    const theirs = sign(null, message, other.privateKey);
    expect(token.verifyMessage(imported, message, theirs)).toBe(true);
    expect(token.verifyMessage(imported, Buffer.from('another'), theirs)).toBe(false);
    theirs[7]! ^= 1;
    for (const wrong of [theirs, theirs.subarray(1), Buffer.alloc(0), signature])
      expect(token.verifyMessage(imported, message, wrong)).toBe(false);
  },
  60_000,
);

onKryoptic.each(kems)('%s: what is encapsulated here opens at OpenSSL, and the other way round', async (algorithm) => {
  const spki = await token.generateTokenKeyPairAsync(`key-${algorithm}`, algorithm);
  const key = token.findTokenKey(`key-${algorithm}`, 'private');
  const theirs = encapsulate(outside(spki));
  expect(token.decapsulate(key, Buffer.from(theirs.ciphertext))).toEqual(Buffer.from(theirs.sharedKey));

  const other = generateKeyPairSync(algorithm.toLowerCase().replaceAll('_', '-') as 'ml-kem-768');
  const imported = token.importPublicKey(algorithm, other.publicKey.export({ format: 'der', type: 'spki' }), 'encapsulate');
  const ours = token.encapsulate(imported);
  expect([ours.ciphertext.length, ours.sharedSecret.length]).toEqual([algorithms[algorithm].outputBytes, 32]);
  expect(Buffer.from(decapsulate(other.privateKey, ours.ciphertext))).toEqual(ours.sharedSecret);
  expect(token.encapsulate(imported).sharedSecret).not.toEqual(ours.sharedSecret);

  // Implicit rejection: another secret, and no error that would tell anything.
  const changed = Buffer.from(theirs.ciphertext);
  changed[5]! ^= 1;
  const rejected = token.decapsulate(key, changed);
  expect(rejected).toHaveLength(32);
  expect(rejected).not.toEqual(Buffer.from(theirs.sharedKey));
  for (const wrong of [changed.subarray(1), Buffer.alloc(0)])
    expect(caught(() => token.decapsulate(key, wrong))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

onKryoptic('a key does what it is for, and nothing else', () => {
  const { generation } = token;
  const dsa = token.generateSessionKeyPair('ML_DSA_44');
  const kem = token.generateSessionKeyPair('ML_KEM_768');
  const refused = { code: 'HSM_KEY_USE_REFUSED' };
  expect(caught(() => token.decapsulate(dsa.privateKey, Buffer.alloc(1088)))).toMatchObject(refused);
  expect(caught(() => token.encapsulate(token.importPublicKey('ML_DSA_44', dsa.publicKeySpki)))).toMatchObject(refused);
  expect(caught(() => token.signMessage(kem.privateKey, message))).toMatchObject(refused);
  expect(caught(() => token.signDigest(dsa.privateKey, 'ES256', Buffer.alloc(32)))).toMatchObject(refused);
  expect(schemesOf('ML_KEM_768')).toEqual([]);
  for (const spki of [kem.publicKeySpki, dsa.publicKeySpki.subarray(1), Buffer.concat([dsa.publicKeySpki, Buffer.alloc(1)])])
    expect(caught(() => token.importPublicKey('ML_DSA_44', spki))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  expect(token.generation).toBe(generation);
});

onKryoptic('their private halves stay in the token: none leaves it wrapped', async () => {
  token.generateRootKey('root');
  for (const algorithm of all satisfies readonly PqAlgorithm[]) {
    const attempt = token.generateWrappedAsync({
      algorithm: algorithm as Algorithm,
      wrappingKey: () => token.findTokenKey('root', 'secret'),
    });
    await expect(attempt).rejects.toMatchObject({ code: 'HSM_MECHANISM_UNAVAILABLE', message: expect.stringContaining(algorithm) });
  }
});
