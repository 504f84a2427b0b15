import { type KnownToken as Known, KnownToken, PolicyBundle } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { assuredTokens, floorOf, mismatchesOf, moduleShortfalls, standingOf, tokensOf, validateBundle } from '../src/index';
import { bundleOf } from './starter-set';

const hsm: Known = {
  ...{ label: 'customer', vendor: 'Example HSM', model: 'K7', firmware: '7.8.1', contact: 'psirt@vendor.example' },
  incidents: { terms: 'support contract 17, appendix C', notifyWithinHours: 24 },
  validation: {
    ...{ standard: 'FIPS 140-3', certificate: '4567', level: 3, firmware: ['7.8.0', '7.8.1'], validUntil: '2029-03-31', status: 'active' },
  },
};
const nowMs = Date.parse('2026-12-01T10:00:00.000Z');
const withValidation = (more: object): Known => KnownToken.parse({ ...hsm, validation: { ...hsm.validation, ...more } });
const stateOf = (token: Known | undefined, atMs = nowMs) => standingOf(token, atMs).state;

test('a validation counts until the end of its last day, and only with the firmware that it covers', () => {
  expect(standingOf(hsm, nowMs)).toMatchObject({ state: 'active', level: 3, why: expect.stringContaining('FIPS 140-3 certificate 4567') });
  const last = Date.parse('2029-03-31T23:59:59.999Z');
  expect(standingOf(hsm, last)).toMatchObject({ state: 'active', daysLeft: 1 });
  expect(stateOf(hsm, last + 1)).toBe('expired');
  expect(stateOf({ ...hsm, firmware: '7.9.0' })).toBe('not-covered');
  expect(stateOf(withValidation({ status: 'historical' }))).toBe('historical');
  expect(stateOf(withValidation({ status: 'revoked' }), last + 1)).toBe('revoked');
  expect(stateOf({ ...hsm, validation: { standard: 'none' } })).toBe('none');
  expect(stateOf(undefined)).toBe('unknown');
});

test('a record is refused that says what cannot be, and a bundle that has one label twice', () => {
  const refuses = (more: object) => !KnownToken.safeParse({ ...hsm, ...more }).success;
  expect(KnownToken.safeParse(hsm).success).toBe(true);
  expect(refuses({ validation: { ...hsm.validation, level: 5 } })).toBe(true);
  // CMVP: all of them are historical from the next day on.
  expect(refuses({ validation: { ...hsm.validation, standard: 'FIPS 140-2' } })).toBe(true);
  expect(refuses({ validation: { ...hsm.validation, standard: 'FIPS 140-2', validUntil: '2026-09-21' } })).toBe(false);
  expect(refuses({ validation: { ...hsm.validation, standard: 'Common Criteria' } })).toBe(true);
  expect(refuses({ validation: { ...hsm.validation, standard: 'Common Criteria', evaluation: 'EAL4+' } })).toBe(false);
  expect(refuses({ validation: { standard: 'none', level: 3 } })).toBe(true);
  expect(refuses({ validation: { ...hsm.validation, validUntil: '2029-02-30' } })).toBe(true);
  expect(refuses({ region: 'ch' })).toBe(true);
  const bundle = bundleOf([], { tokens: [hsm, hsm] });
  expect(validateBundle(bundle)).toEqual([expect.objectContaining({ where: 'tokens.1' })]);
  // One of before there were such records is what it was.
  expect(PolicyBundle.parse(bundleOf([]))).not.toHaveProperty('tokens');
});

test('a floor is met only by an active validation of its level or more; without one nothing is asked', () => {
  const level = fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const);
  const status = fc.constantFrom('active' as const, 'historical' as const, 'revoked' as const);
  const day = fc.integer({ min: -1_000, max: 1_000 });
  fc.assert(
    fc.property(level, level, status, day, fc.boolean(), (asked, has, is, days, covered) => {
      const validUntil = new Date(nowMs + days * 86_400_000).toISOString().slice(0, 10);
      const token = withValidation({ level: has, status: is, validUntil, firmware: [covered ? hsm.firmware : '1.0'] });
      const floor = floorOf([{ id: 'p', description: 'd', moduleLevel: asked }], {
        environment: 'production',
        classification: 'restricted',
      });
      const meets = has >= asked && is === 'active' && days >= 0 && covered;
      expect(assuredTokens([token], floor, nowMs)).toEqual(meets ? ['customer'] : []);
      expect(moduleShortfalls(['customer'], [token], floor, nowMs).length).toBe(meets ? 0 : 1);
    }),
  );
  expect(assuredTokens([], {}, nowMs)).toBeUndefined();
  expect(moduleShortfalls(['customer'], [], {}, nowMs)).toEqual([]);
});

test('the strictest profile counts, and a token without a record is below every floor', () => {
  const profiles = [
    { id: 'all', description: 'd', moduleLevel: 1 as const },
    { id: 'cards', description: 'd', classifications: ['restricted' as const], moduleLevel: 3 as const },
  ];
  const floor = (classification: 'internal' | 'restricted') => floorOf(profiles, { environment: 'production', classification });
  const second = withValidation({ level: 2 });
  expect(moduleShortfalls(['customer'], [second], floor('internal'), nowMs)).toEqual([]);
  expect(moduleShortfalls(['customer', 'pq'], [second], floor('restricted'), nowMs)).toMatchObject([
    {
      what: 'moduleLevel',
      profile: 'cards',
      why: expect.stringMatching(/level 3 is asked for, and token customer is validated at level 2/),
    },
    { profile: 'cards', why: expect.stringContaining('token pq has no record') },
  ]);
});

test('what is wrapped is in the tokens that have the roots, and what never leaves is in its own', () => {
  const places = [{ custody: 'token' as const, token: 'pq' }, { custody: 'wrapped' as const }, {}, { custody: 'wrapped' as const }];
  expect(tokensOf(places, ['customer'])).toEqual(['customer', 'pq']);
  expect(tokensOf([{}], ['customer'])).toEqual([]);
});

test('a token is compared with its record as far as PKCS#11 lets it say what it is', () => {
  const reported = { model: 'K7', firmware: '7.8', serialNumber: '0042' };
  expect(mismatchesOf(hsm, reported)).toEqual([]);
  expect(mismatchesOf({ ...hsm, serialNumber: '0041' }, { ...reported, firmware: '7.80', model: 'K8' }).map(({ what }) => what)).toEqual([
    'model',
    'firmware',
    'serialNumber',
  ]);
});
