import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { inverse, multiply } from '../src/gf256';
import { combineSecret, splitSecret } from '../src/secret-sharing';
import { caught } from './fresh-token';

const split = (secret: Buffer, threshold: number, count: number) => splitSecret(secret, { threshold, count, random: randomBytes });
const elements = Array.from({ length: 256 }, (_, i) => i);

test('FIPS 197 §4.2: the products of {57} with {83} and {13}; every element but 0 has its inverse', () => {
  expect([multiply(0x57, 0x83), multiply(0x57, 0x13)]).toEqual([0xc1, 0xfe]);
  for (const element of elements.slice(1)) expect(multiply(element, inverse(element))).toBe(1);
  expect(inverse(0)).toBe(0);
});

test('any threshold of the shares gives the secret, in any order; more do as well', () => {
  const shape = fc.integer({ min: 2, max: 16 }).chain((count) => fc.tuple(fc.integer({ min: 2, max: count }), fc.constant(count)));
  const secrets = fc.uint8Array({ minLength: 1, maxLength: 64 });
  fc.assert(
    fc.property(
      secrets,
      shape.chain(([threshold, count]) =>
        fc.tuple(
          fc.constant({ threshold, count }),
          fc.shuffledSubarray([...Array(count).keys()], { minLength: threshold, maxLength: count }),
        ),
      ),
      (bytes, [{ threshold, count }, chosen]) => {
        const points = split(Buffer.from(bytes), threshold, count);
        expect(combineSecret(chosen.map((i) => points[i]!))).toEqual(Buffer.from(bytes));
      },
    ),
  );
});

test('one share less says nothing: over all coefficients, every value of it comes exactly once, whatever the secret', () => {
  for (const secret of [0, 0x53, 0xff]) {
    const seen = { 2: new Set<number>(), 3: new Set<number>() };
    for (const first of elements) {
      const [, second] = splitSecret(Buffer.from([secret]), { threshold: 2, count: 2, random: () => Buffer.from([first]) });
      seen[2].add(second!.value[0]!);
      for (const other of elements) {
        const points = splitSecret(Buffer.from([secret]), { threshold: 3, count: 3, random: () => Buffer.from([first, other]) });
        seen[3].add((points[0]!.value[0]! << 8) | points[2]!.value[0]!);
      }
    }
    expect([seen[2].size, seen[3].size]).toEqual([256, 65_536]);
  }
});

test('the bytes of the coefficients are asked of the given source, used once each, and overwritten', () => {
  const given: Buffer[] = [];
  const random = (bytes: number) => {
    given.push(randomBytes(bytes));
    return given.at(-1)!;
  };
  splitSecret(Buffer.alloc(32, 7), { threshold: 4, count: 5, random });
  expect(given).toEqual([Buffer.alloc(96)]);
});

test('a threshold of one is whole in one hand, and refused as one above the number of shares, or more than 16', () => {
  for (const [threshold, count] of [
    [1, 1],
    [1, 3],
    [4, 3],
    [2, 17],
    [0, 2],
    [2.5, 3],
    [Number.NaN, 3],
  ] as const)
    expect(caught(() => split(Buffer.alloc(32), threshold, count))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

test('points that cannot be of one secret are refused', () => {
  const [first, second] = split(Buffer.alloc(4, 1), 2, 3) as [{ index: number; value: Buffer }, { index: number; value: Buffer }];
  const wrongs = [[], [first, first], [first, { ...second, value: second.value.subarray(1) }], [first, { ...second, index: 0 }]];
  for (const wrong of wrongs) expect(caught(() => combineSecret(wrong))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});
