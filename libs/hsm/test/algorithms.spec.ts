import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { algorithmOf, algorithms, familyOf } from '../src/algorithms';
import { spkiOf } from '../src/spki';

test.each([
  ['EC_P256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['ED25519', generateKeyPairSync('ed25519')],
] as const)('the SPKI of a %s point is the one that node:crypto writes, wrapped in an OCTET STRING or bare', (algorithm, { publicKey }) => {
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const point = spki.subarray(-algorithms[algorithm].pointBytes);
  expect(spkiOf(algorithm, point)).toEqual(spki);
  expect(spkiOf(algorithm, Buffer.concat([Buffer.from([0x04, point.length]), point]))).toEqual(spki);
});

test('a point of another length is refused', () => {
  expect(() => spkiOf('EC_P256', Buffer.alloc(33))).toThrow(expect.objectContaining({ code: 'HSM_OPERATION_FAILED' }));
});

test('the algorithm of a found key follows from key type and curve; an unknown curve is no algorithm', () => {
  expect(algorithmOf(0x1f, undefined)).toBe('AES_256');
  expect(algorithmOf(0x03, Buffer.from(algorithms.EC_P256.ecParams, 'hex'))).toBe('EC_P256');
  expect(algorithmOf(0x40, Buffer.from(algorithms.ED25519.ecParams, 'hex'))).toBe('ED25519');
  expect(algorithmOf(0x40, Buffer.from(algorithms.ED25519.ecParamsAlias, 'hex'))).toBe('ED25519');
  expect(algorithmOf(0x03, undefined)).toBeUndefined();
  expect(algorithmOf(0x03, Buffer.from('06052b81040022', 'hex'))).toBeUndefined();
});

test('the family is what library and token say about themselves', () => {
  expect(familyOf('SoftHSM project', 'SoftHSM v2')).toBe('softhsm');
  expect(familyOf('Kryoptic Project', 'Token')).toBe('kryoptic');
  expect(familyOf('Acme', 'Luna')).toBe('generic');
});
