import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { algorithmNames, algorithmOf, algorithms, custodiesOf, familyOf, isPq } from '../src/algorithms';
import { releaseOf, supportOf, Token } from '../src/index';
import { mechanisms } from '../src/mechanisms';
import { schemesOf } from '../src/signature-schemes';
import { publicPartsOf, rsaSpkiOf, spkiOf } from '../src/spki';
import { families, openFreshOf } from './fresh-token';

test.each([
  ['EC_P256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['EC_P384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ['EC_P521', generateKeyPairSync('ec', { namedCurve: 'P-521' })],
  ['EC_SECP256K1', generateKeyPairSync('ec', { namedCurve: 'secp256k1' })],
  ['ED25519', generateKeyPairSync('ed25519')],
] as const)('the SPKI of a %s point is the one that node:crypto writes, wrapped in an OCTET STRING or bare', (algorithm, { publicKey }) => {
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const point = spki.subarray(-algorithms[algorithm].pointBytes);
  expect(spkiOf(algorithm, point)).toEqual(spki);
  const header = point.length < 0x80 ? [0x04, point.length] : [0x04, 0x81, point.length];
  expect(spkiOf(algorithm, Buffer.concat([Buffer.from(header), point]))).toEqual(spki);
  expect(publicPartsOf(algorithm, spki)).toEqual({ point });
});

test.each([
  ['RSA_2048', 2048, 65537],
  ['RSA_2048', 2048, 3],
  ['RSA_3072', 3072, 65537],
] as const)(
  'the SPKI of an %s key (e = %i) is the one that node:crypto writes, whatever zeros a token puts before the numbers',
  (algorithm, modulusLength, publicExponent) => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength, publicExponent });
    const spki = publicKey.export({ format: 'der', type: 'spki' });
    const { n, e } = publicKey.export({ format: 'jwk' });
    const [modulus, exponent] = [Buffer.from(n!, 'base64url'), Buffer.from(e!, 'base64url')];
    expect(rsaSpkiOf(algorithm, modulus, exponent)).toEqual(spki);
    expect(rsaSpkiOf(algorithm, Buffer.concat([Buffer.alloc(1), modulus]), Buffer.concat([Buffer.alloc(2), exponent]))).toEqual(spki);
    expect(publicPartsOf(algorithm, spki)).toEqual({ modulus, exponent });
  },
);

test('an SPKI of another algorithm or length, of a second DER form, or with a point off its curve is refused', () => {
  const spkiOfCurve = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).publicKey.export({ format: 'der', type: 'spki' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'der', type: 'spki' });
  const p256 = spkiOfCurve('P-256');
  const offCurve = Buffer.from(p256);
  offCurve[offCurve.length - 1]! ^= 1;
  for (const [algorithm, spki] of [
    ['EC_P256', spkiOfCurve('secp256k1')],
    ['EC_SECP256K1', p256],
    ['EC_P256', offCurve],
    ['EC_P256', Buffer.concat([p256, Buffer.alloc(1)])],
    ['EC_P256', rsa],
    ['RSA_2048', p256],
    ['RSA_3072', rsa],
    ['RSA_2048', rsa.subarray(0, -1)],
    ['RSA_2048', Buffer.concat([rsa, Buffer.alloc(1)])],
    ['ED25519', Buffer.alloc(0)],
  ] as const) {
    expect(() => publicPartsOf(algorithm, spki)).toThrow(expect.objectContaining({ code: 'HSM_ARGUMENT_INVALID' }));
  }
});

test('a point of another length is refused', () => {
  expect(() => spkiOf('EC_P256', Buffer.alloc(33))).toThrow(expect.objectContaining({ code: 'HSM_OPERATION_FAILED' }));
});

test('the algorithm of a found key follows from key type and length or curve; another length or curve is no algorithm', () => {
  expect(algorithmOf(0x1f, { keyBytes: 32 })).toBe('AES_256');
  expect(algorithmOf(0x1f, { keyBytes: 16 })).toBe('AES_128');
  expect(algorithmOf(0x1f, { keyBytes: 24 })).toBeUndefined();
  expect(algorithmOf(0x10, { keyBytes: 48 })).toBe('HMAC_SHA_384');
  expect(algorithmOf(0x00, { keyBytes: 384 })).toBe('RSA_3072');
  expect(algorithmOf(0x00, { keyBytes: 128 })).toBeUndefined();
  for (const name of ['EC_P256', 'EC_P384', 'EC_P521', 'EC_SECP256K1'] as const)
    expect(algorithmOf(0x03, { ecParams: Buffer.from(algorithms[name].ecParams, 'hex') })).toBe(name);
  expect(algorithmOf(0x40, { ecParams: Buffer.from(algorithms.ED25519.ecParams, 'hex') })).toBe('ED25519');
  expect(algorithmOf(0x40, { ecParams: Buffer.from(algorithms.ED25519.ecParamsAlias!, 'hex') })).toBe('ED25519');
  expect(algorithmOf(0x03, {})).toBeUndefined();
  expect(algorithmOf(0x03, { ecParams: Buffer.from('06052b81040021', 'hex') })).toBeUndefined();
});

test('SoftHSM keeps Ed25519 keys, and has no post-quantum ones; everything else can leave it wrapped', () => {
  expect(custodiesOf('ED25519', 'softhsm')).toEqual(['token']);
  expect(custodiesOf('ED25519', 'kryoptic')).toEqual(['wrapped', 'token']);
  for (const name of algorithmNames) if (name !== 'ED25519' && !isPq(name)) expect(custodiesOf(name, 'softhsm')).toContain('wrapped');
});

test.each(families)('%s: what the table says of the release is what the token itself says', (family) => {
  const token = openFreshOf(family);
  const has = (name: (typeof algorithmNames)[number]) => supportOf(name, family) !== undefined;
  const { major, minor } = Token.connectionOf(token).p11.C_GetInfo().libraryVersion;
  // Another release than the one of the table may have more, never less.
  const isThatRelease = releaseOf(family)?.includes(` ${major}.${minor}.`) ?? false;
  for (const name of algorithmNames) if (has(name) || isThatRelease) expect([name, token.supports(name)]).toEqual([name, has(name)]);
  for (const name of algorithmNames.filter(has)) {
    const { generate, mechanisms: used } = supportOf(name, family)!;
    for (const mechanism of [generate, ...Object.values(used).flat()])
      expect([name, mechanism, Token.connectionOf(token).hasMechanism(mechanisms[mechanism])]).toEqual([name, mechanism, true]);
  }
  token.close();
});

test('every signing algorithm has its JOSE names, and every scheme an algorithm', () => {
  expect(Object.fromEntries(algorithmNames.map((name) => [name, schemesOf(name)]).filter(([, schemes]) => schemes!.length > 0))).toEqual({
    ...Object.fromEntries(
      ['RSA_2048', 'RSA_3072', 'RSA_4096'].map((name) => [name, ['PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512']]),
    ),
    EC_P256: ['ES256'],
    EC_P384: ['ES384'],
    EC_P521: ['ES512'],
    EC_SECP256K1: ['ES256K'],
    ED25519: ['EdDSA'],
    ML_DSA_44: ['ML-DSA-44'],
    ML_DSA_65: ['ML-DSA-65'],
    ML_DSA_87: ['ML-DSA-87'],
    SLH_DSA_SHA2_128S: ['SLH-DSA-SHA2-128s'],
  });
});

test('the family is what library and token say about themselves', () => {
  expect(familyOf('SoftHSM project', 'SoftHSM v2')).toBe('softhsm');
  expect(familyOf('Kryoptic Project', 'Token')).toBe('kryoptic');
  expect(familyOf('Acme', 'Luna')).toBe('generic');
});
