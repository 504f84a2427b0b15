import { createPublicKey, decapsulate, encapsulate, generateKeyPairSync, sign, verify } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { algorithms, type PqAlgorithm } from '../src/algorithms';
import { type Algorithm, custodiesOf, HsmError, schemesOf, type Token } from '../src/index';
import { slhDsaKnownAnswer } from '../src/known-answers-pq';
import { type PqPrivateParts, pqPkcs8Of, pqPrivatePartsOf } from '../src/pq-private';
import { caught, kryopticLibrary, openFresh, openFreshOf } from './fresh-token';

const signing = ['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87', 'SLH_DSA_SHA2_128S'] as const;
const kems = ['ML_KEM_768', 'ML_KEM_1024'] as const;
const all = [...signing, ...kems];
const outside = (spki: Buffer) => createPublicKey({ key: spki, format: 'der', type: 'spki' });
const message = Buffer.from('a contract for the next thirty years');
// Without the library these say so, by name, in the report.
const onKryoptic = kryopticLibrary ? test : test.skip;

/** The private half of RFC 9909's example key. */
const slhDsaExample = {
  privateKey: Buffer.concat([
    Buffer.from('a2263bca45860836523160049523d621677fad90d51eb6067a327e0d1e64a501', 'hex'),
    Buffer.from(slhDsaKnownAnswer.publicKey, 'base64url'),
  ]),
  message: Buffer.from(slhDsaKnownAnswer.message, 'base64url'),
  signature: Buffer.from(slhDsaKnownAnswer.signature, 'base64url'),
};

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

onKryoptic.each(signing)('%s: a signature holds for its own context only', async (algorithm) => {
  const { privateKey, publicKeySpki } = await token.generateSessionKeyPairAsync(algorithm);
  const imported = token.importPublicKey(algorithm, publicKeySpki);
  const context = Buffer.from('orders');
  const signature = token.signMessage(privateKey, message, { context });
  const verifies = (given?: Buffer) => token.verifyMessage(imported, message, signature, given && { context: given });
  expect([verifies(context), verifies(Buffer.from('refunds')), verifies(Buffer.alloc(0)), verifies()]).toEqual([true, false, false, false]);
  const longest = { context: Buffer.alloc(255, 1) };
  expect(token.verifyMessage(imported, message, token.signMessage(privateKey, message, longest), longest)).toBe(true);
  for (const act of [() => token.signMessage(privateKey, message, { context: Buffer.alloc(256) }), () => verifies(Buffer.alloc(256))])
    expect(caught(act)).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

onKryoptic('a deterministic signature has one value, a hedged one has not; Ed25519 has neither context nor choice', () => {
  const { privateKey } = token.generateSessionKeyPair('ML_DSA_44');
  const deterministic = () => token.signMessage(privateKey, message, { deterministic: true });
  expect(deterministic()).toEqual(deterministic());
  expect(token.signMessage(privateKey, message)).not.toEqual(token.signMessage(privateKey, message));
  const edwards = token.generateSessionKeyPair('ED25519').privateKey;
  expect(caught(() => token.signMessage(edwards, message, { context: message }))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

onKryoptic('a known private half comes in as its seed, its bytes, or both; what is none, or of another length, is refused', () => {
  const other = generateKeyPairSync('ml-dsa-44');
  const spki = other.publicKey.export({ format: 'der', type: 'spki' });
  const both = pqPrivatePartsOf('ML_DSA_44', other.privateKey.export({ format: 'der', type: 'pkcs8' }));
  const { seed, value } = both as Required<typeof both>;
  const imported = token.importPublicKey('ML_DSA_44', spki);
  for (const parts of [{ seed }, { value }, { seed, value }]) {
    const key = token.importKnownPrivate('ML_DSA_44', pqPkcs8Of('ML_DSA_44', parts), 'sign');
    expect(token.verifyMessage(imported, message, token.signMessage(key, message))).toBe(true);
  }
  const spoilt = Buffer.from(value);
  spoilt.fill(0xff, 128, 200);
  const hostile: PqPrivateParts[] = [{ seed: seed.subarray(1) }, { value: value.subarray(1) }, { value: spoilt }, { seed, value: spoilt }];
  for (const parts of hostile)
    expect(caught(() => token.importKnownPrivate('ML_DSA_44', pqPkcs8Of('ML_DSA_44', parts), 'sign'))).toMatchObject({
      code: 'HSM_ARGUMENT_INVALID',
    });
  for (const pkcs8 of [Buffer.alloc(0), spki, pqPkcs8Of('ML_DSA_65', { seed })])
    expect(caught(() => token.importKnownPrivate('ML_DSA_44', pkcs8, 'sign'))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  expect(caught(() => token.importKnownPrivate('ML_DSA_44', pqPkcs8Of('ML_DSA_44', { seed }), 'encapsulate'))).toMatchObject({
    code: 'HSM_KEY_USE_REFUSED',
  });
});

onKryoptic('an SLH-DSA key that the world knows gives the signature that the world knows', () => {
  const { privateKey, message: signed, signature } = slhDsaExample;
  const key = token.importKnownPrivate('SLH_DSA_SHA2_128S', pqPkcs8Of('SLH_DSA_SHA2_128S', { value: privateKey }), 'sign');
  expect(token.signMessage(key, signed, { deterministic: true })).toEqual(signature);
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

onKryoptic(
  'whatever bytes come as key, signature, context or ciphertext: refused, and the sessions stay',
  () => {
    const { generation } = token;
    const dsa = token.generateSessionKeyPair('ML_DSA_44');
    const kem = token.generateSessionKeyPair('ML_KEM_768');
    const verifying = token.importPublicKey('ML_DSA_44', dsa.publicKeySpki);
    const bytes = fc.uint8Array({ maxLength: 3_000 }).map((array) => Buffer.from(array));
    /** As long as it should be, with a run of other bytes somewhere: what gets past every check of lengths. */
    const spoilt = (right: Buffer) =>
      fc.tuple(fc.nat(right.length - 1), fc.uint8Array({ minLength: 1, maxLength: 64 })).map(([at, run]) => {
        const changed = Buffer.from(right);
        changed.set(run.slice(0, right.length - at), at);
        return changed;
      });
    const signature = token.signMessage(dsa.privateKey, message);
    const { ciphertext } = token.encapsulate(token.importPublicKey('ML_KEM_768', kem.publicKeySpki, 'encapsulate'));
    const seedOf = (pair: 'ml-dsa-44' | 'ml-kem-768') =>
      generateKeyPairSync(pair as 'ml-dsa-44').privateKey.export({ format: 'der', type: 'pkcs8' });
    const expected = new Set(['HSM_ARGUMENT_INVALID', 'HSM_KEY_USE_REFUSED']);
    const refusedOr = <T>(act: () => T): T | undefined => {
      try {
        return act();
      } catch (error) {
        if (error instanceof HsmError && expected.has(error.code)) return undefined;
        throw error;
      }
    };
    const check = <T>(arbitrary: fc.Arbitrary<T>, act: (value: T) => void) => fc.assert(fc.property(arbitrary, act), { numRuns: 150 });
    check(fc.oneof(bytes, spoilt(signature)), (given) => {
      expect(token.verifyMessage(verifying, message, given)).toBe(given.equals(signature));
    });
    check(bytes, (context) => void refusedOr(() => token.verifyMessage(verifying, message, signature, { context })));
    check(fc.oneof(bytes, spoilt(ciphertext)), (given) => {
      expect(refusedOr(() => token.decapsulate(kem.privateKey, given))?.length ?? 32).toBe(32);
    });
    for (const [algorithm, spki, pkcs8, usage] of [
      ['ML_DSA_44', dsa.publicKeySpki, seedOf('ml-dsa-44'), 'sign'],
      ['ML_KEM_768', kem.publicKeySpki, seedOf('ml-kem-768'), 'encapsulate'],
    ] as const) {
      check(fc.oneof(bytes, spoilt(spki)), (given) => {
        const key = refusedOr(() => token.importPublicKey(algorithm, given, usage));
        if (key) token.destroyObject(key);
      });
      check(fc.oneof(bytes, spoilt(pkcs8)), (given) => {
        const key = refusedOr(() => token.importKnownPrivate(algorithm, given, usage));
        if (key) token.destroyObject(key);
      });
    }
    expect(token.generation).toBe(generation);
  },
  60_000,
);

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
