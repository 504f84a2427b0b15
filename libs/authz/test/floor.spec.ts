import { Algorithm, algorithms, Classification, Environment, KeyProfile, type PolicyBundle, SaidOfKey } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { floorOf, type KeyFacts, missingNotes, shortfalls, validateBundle } from '../src/index';
import { bundleOf, starter } from './starter-set';

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const some = <T>(of: readonly T[]) => maybe(fc.subarray([...of], { minLength: 1 }));
const profile = fc
  .record({
    environments: some(Environment.options),
    classifications: some(Classification.options),
    rotateWithinDays: maybe(fc.integer({ min: 1, max: 400 })),
    originatorDaysMax: maybe(fc.integer({ min: 1, max: 400 })),
    strengthBitsMin: maybe(fc.constantFrom(112 as const, 128 as const, 192 as const, 256 as const)),
    algorithms: some(Algorithm.options),
    algorithmsRefused: some(Algorithm.options),
    deletionWaitDaysMin: maybe(fc.integer({ min: 7, max: 90 })),
    says: some(SaidOfKey.options),
  })
  .map((asks): Omit<KeyProfile, 'id'> => {
    const said = Object.entries(asks).filter(([, value]) => value !== undefined);
    return { description: 'drawn', ...Object.fromEntries(said) };
  });
const profiles = fc.array(profile, { maxLength: 5 }).map((drawn) => drawn.map((one, n): KeyProfile => ({ id: `p${n}`, ...one })));
const kind = fc.record({
  environment: fc.constantFrom(...Environment.options),
  classification: fc.constantFrom(...Classification.options),
});
const facts: fc.Arbitrary<KeyFacts> = fc
  .record({
    algorithm: fc.constantFrom(...Algorithm.options),
    originatorDays: fc.integer({ min: 1, max: 400 }),
    protectsAtMostDays: maybe(fc.integer({ min: 1, max: 400 })),
  })
  .map(({ algorithm, originatorDays, protectsAtMostDays }) => ({
    ...{ algorithm, cryptoperiod: { originatorDays, recipientDays: 1_000 } },
    ...(protectsAtMostDays === undefined ? {} : { protectsAtMostDays }),
  }));

/** Said anew, one profile at a time: a key is on the floor of many when it is on that of each. */
function isOn(key: KeyFacts, { environment, classification }: { environment: Environment; classification: Classification }) {
  return (p: KeyProfile): boolean => {
    if (p.environments && !p.environments.includes(environment)) return true;
    if (p.classifications && !p.classifications.includes(classification)) return true;
    const most = key.protectsAtMostDays ?? Number.POSITIVE_INFINITY;
    return (
      most <= (p.rotateWithinDays ?? Number.POSITIVE_INFINITY) &&
      key.cryptoperiod.originatorDays <= (p.originatorDaysMax ?? Number.POSITIVE_INFINITY) &&
      algorithms[key.algorithm].strengthBits >= (p.strengthBitsMin ?? 0) &&
      (p.algorithms?.includes(key.algorithm) ?? true) &&
      !p.algorithmsRefused?.includes(key.algorithm)
    );
  };
}

test('a key has no shortfall exactly when it is on the floor of each profile that means it, in whatever order they stand', () => {
  fc.assert(
    fc.property(profiles, kind, facts, (drawn, of, key) => {
      const found = shortfalls(key, floorOf(drawn, of));
      expect(found.length === 0).toBe(drawn.every(isOn(key, of)));
      expect(shortfalls(key, floorOf(drawn.toReversed(), of)).map(({ what }) => what)).toEqual(found.map(({ what }) => what));
      // Each is of a profile that asks for it.
      for (const { profile: id } of found) expect(drawn.filter((p) => !isOn(key, of)(p)).map((p) => p.id)).toContain(id);
    }),
    { numRuns: 500 },
  );
});

test('a further profile never makes a floor lower', () => {
  fc.assert(
    fc.property(profiles, profile, kind, facts, (drawn, one, of, key) => {
      const [before, after] = [floorOf(drawn, of), floorOf([...drawn, { id: 'one-more', ...one }], of)];
      const whats = shortfalls(key, after).map(({ what }) => what);
      for (const { what } of shortfalls(key, before)) expect(whats).toContain(what);
      expect(after.deletionWaitDaysMin?.value ?? 7).toBeGreaterThanOrEqual(before.deletionWaitDaysMin?.value ?? 7);
      for (const name of missingNotes({}, before)) expect(missingNotes({}, after)).toContain(name);
    }),
  );
});

test('the starter profiles have a restricted production key rotated every 90 days, and let in no RSA of 2048 bits for it', () => {
  const floor = floorOf(starter.profiles, { environment: 'production', classification: 'restricted' });
  expect(floor.rotateWithinDays).toEqual({ value: 90, profile: 'production-restricted' });
  expect(floor.deletionWaitDaysMin?.value).toBe(30);
  expect(floor.refused.get('RSA_2048')).toBe('restricted');
  expect(floor.approvals.destroy?.value).toBe(2);
  for (const environment of Environment.options)
    for (const classification of ['public', 'internal'] as const)
      expect(
        shortfalls(
          { algorithm: 'RSA_2048', cryptoperiod: { originatorDays: 730, recipientDays: 730 } },
          floorOf(starter.profiles, { environment, classification }),
        ),
      ).toEqual([]);
});

test('a bundle is refused whose profiles have one id twice, or let in no algorithm for some key', () => {
  const issues = (asked: PolicyBundle['profiles']) =>
    validateBundle(bundleOf([], { profiles: asked })).map(({ where, message }) => `${where}: ${message}`);
  const one = (id: string, more: Partial<KeyProfile>): KeyProfile => ({ id, description: 'x', ...more });
  expect(issues(starter.profiles)).toEqual([]);
  expect(issues([one('a', {}), one('a', {})])).toEqual(['profiles.1: the id a is used twice']);
  const only = one('a', { environments: ['production'], algorithms: ['RSA_2048'] });
  expect(issues([only, one('b', { classifications: ['restricted'], strengthBitsMin: 128 })])).toEqual([
    'profiles: let in no algorithm for a restricted production key',
  ]);
  expect(issues([one('a', { rotateWithinDays: 0 })])).toHaveLength(1);
});
