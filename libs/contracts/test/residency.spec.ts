import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isWider, Residency, residesIn } from '../src/index';

const region = fc.constantFrom('eu', 'ch', 'us', 'in');
const residency = fc.option(fc.uniqueArray(region, { minLength: 1 }), { nil: undefined });
const place = fc.option(region, { nil: undefined });

test('what is not wider lets a key be nowhere that it could not be before, and what is wider does', () => {
  fc.assert(
    fc.property(residency, residency, (from, to) => {
      const newly = ['eu', 'ch', 'us', 'in', 'elsewhere'].some((at) => residesIn(to, at) && !residesIn(from, at));
      expect(isWider(from, to)).toBe(newly);
    }),
  );
});

test('a place of which nobody said where it is has only keys that may be anywhere', () => {
  fc.assert(
    fc.property(residency, place, (of, at) => {
      expect(residesIn(of, at)).toBe(of === undefined || (at !== undefined && of.includes(at)));
    }),
  );
  expect(Residency.safeParse(['eu', 'eu']).success).toBe(false);
  expect(Residency.safeParse([]).success).toBe(false);
});
