import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { derOfSignature, signatureOfDer } from '../src/ecdsa-der';

test.each([
  ['prime256v1', 64],
  ['secp384r1', 96],
  ['secp521r1', 132],
] as const)('%s: the two forms of one signature, both valid', (namedCurve, bytes) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  for (let i = 0; i < 50; i++) {
    const message = Buffer.from([i]);
    const der = sign('sha256', message, privateKey);
    const raw = signatureOfDer(der, bytes)!;
    expect(verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw)).toBe(true);
    expect(derOfSignature(raw)).toEqual(der);
  }
});

test('one DER of every pair of numbers, and no other bytes are read as one', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(64, 96, 132),
      fc.uint8Array({ minLength: 132, maxLength: 132 }),
      fc.nat(),
      fc.nat(255),
      (bytes, random, at, put) => {
        const raw = Buffer.from(random.subarray(0, bytes));
        raw[0] = 1;
        raw[bytes / 2] = 1;
        const der = derOfSignature(raw);
        expect(signatureOfDer(der, bytes)).toEqual(raw);
        const changed = Buffer.from(der);
        changed[at % der.length] = put;
        const read = signatureOfDer(changed, bytes);
        // Whatever is read is written the same again.
        if (read) expect(derOfSignature(read)).toEqual(changed);
      },
    ),
  );
});

test('zero, negative and over-long numbers, long forms and trailing bytes are refused', () => {
  const one = '020101';
  const spelled = [
    ['30060201010201', 'cut'],
    [`3006${one}${one}00`, 'bytes after it'],
    [`300702020001${one}`, 'a leading zero that need not be there'],
    [`3006020100${one}`, 'zero'],
    [`30060201ff${one}`, 'negative'],
    [`308106${one}${one}`, 'a length in long form'],
    [`3080${one}${one}0000`, 'an indefinite length'],
    [`30050200${one}`, 'an empty number'],
    [`3026${`0221${'01'.repeat(33)}`}${one}`, 'a number longer than the order'],
    ['', 'nothing'],
    ['30', 'a tag alone'],
  ];
  for (const [hex] of spelled) expect([hex, signatureOfDer(Buffer.from(hex!, 'hex'), 64)]).toEqual([hex, undefined]);
  expect(signatureOfDer(Buffer.from(`3006${one}${one}`, 'hex'), 64)).toHaveLength(64);
});
