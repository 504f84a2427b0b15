import { floorOf } from '@claviger/authz';
import { AtEnd, type KeyProfile, KeyUsage, RotationSchedule } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createKey, setRotation } from '../src/key';
import { protectsAtMostDays } from '../src/key-dates';
import { assertNotBelow, assertRotationNotBelow, assertWait, shortfallsOf, withDefaults, withRotation } from '../src/key-floor';
import { about, made, newKey, now } from './made-keys';

const profile = (more: Partial<KeyProfile>): KeyProfile => ({ id: 'strict', description: 'of a test', ...more });
const floor = (more: Partial<KeyProfile>) => floorOf([profile(more)], { environment: 'production', classification: 'internal' });
const every = (everyDays: number) => RotationSchedule.parse({ everyDays });
const cron = (text: string) => RotationSchedule.parse({ cron: text });
const refused = (code: string, text: string) => expect.objectContaining({ code, detail: expect.stringContaining(text) });
const thrown = (call: () => unknown) => {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
};

test('a key of which nobody said when it is rotated is on the floor of its profile, whatever else was said', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2_000 }),
      fc.integer({ min: 1, max: 2_000 }),
      fc.option(fc.constantFrom(...AtEnd.options), { nil: undefined }),
      fc.constantFrom(...KeyUsage.options),
      (rotateWithinDays, originatorDaysMax, atEnd, usage) => {
        const asked = floor({ rotateWithinDays, originatorDaysMax });
        const { usage: _, ...rest } = about();
        const filled = withDefaults({ ...rest, usage, ...(atEnd ? { atEnd } : {}) }, asked);
        // A schedule that comes after a deactivation is refused for itself.
        const key = createKey(filled, made(), now);
        expect(shortfallsOf(key, asked)).toEqual([]);
      },
    ),
  );
});

test('what was said and is less is refused with the profile and its number', () => {
  const asked = floor({ rotateWithinDays: 90, originatorDaysMax: 365, algorithmsRefused: ['RSA_2048'], strengthBitsMin: 128 });
  const key = (more: Parameters<typeof about>[0]) => createKey(withDefaults(about(more), asked), made(), now);
  expect(thrown(() => assertNotBelow(key({ schedule: every(91) }), asked))).toEqual(
    refused('ERR_BELOW_FLOOR', 'profile strict: a rotation at least every 90 days'),
  );
  expect(thrown(() => assertNotBelow(key({ cryptoperiod: { originatorDays: 366, recipientDays: 400 } }), asked))).toEqual(
    refused('ERR_BELOW_FLOOR', 'at most 365 days'),
  );
  expect(thrown(() => assertNotBelow(key({ algorithm: 'RSA_2048', usage: 'sign' }), asked))).toEqual(
    refused('ERR_BELOW_FLOOR', 'RSA_2048 is not let in; profile strict: 128 bits'),
  );
  expect(thrown(() => assertNotBelow(key({ schedule: every(90) }), asked))).toBeUndefined();
});

test('a rotation is judged by the longest time that a version protects: of a cron expression, or until its period ends', () => {
  const most = (more: Parameters<typeof about>[0]) => protectsAtMostDays(newKey(more));
  expect(most({})).toBeUndefined();
  expect(most({ schedule: every(30) })).toBe(30);
  expect(most({ schedule: cron('0 3 * * *') })).toBe(1);
  expect(most({ schedule: cron('0 3 1 * *') })).toBe(31);
  expect(most({ schedule: cron('0 3 1 1,4,7,10 *') })).toBe(92);
  expect(most({ schedule: cron('0 3 29 2 *'), atEnd: 'warn' })).toBeGreaterThan(365);
  const short = { originatorDays: 20, recipientDays: 30 };
  expect(most({ atEnd: 'deactivate', cryptoperiod: short })).toBe(20);
  expect(most({ schedule: every(30), cryptoperiod: short })).toBe(20);
  expect(most({ schedule: every(30), cryptoperiod: short, atEnd: 'warn' })).toBe(30);
});

test('a schedule that is taken away gives back that of the profile, and a key that is below for its algorithm can still be rotated better', () => {
  const asked = floor({ rotateWithinDays: 90, algorithmsRefused: ['RSA_2048'] });
  const old = newKey({ algorithm: 'RSA_2048', usage: 'sign', schedule: every(400) });
  expect(thrown(() => assertRotationNotBelow(setRotation(old, { schedule: every(91) }, now), asked))).toEqual(
    refused('ERR_BELOW_FLOOR', '90 days'),
  );
  const without = withRotation(setRotation(old, { schedule: null }, now), asked, now);
  expect(without.rotation).toMatchObject({ schedule: { everyDays: 90 }, at: expect.any(String) });
  expect(without.revision).toBe(old.revision + 1);
  expect(thrown(() => assertRotationNotBelow(without, asked))).toBeUndefined();
  expect(withRotation(without, asked, now)).toBe(without);
});

test('a deletion waits for as long as the profile asks', () => {
  const asked = floor({ deletionWaitDaysMin: 30 });
  expect(thrown(() => assertWait(newKey(), 29, asked))).toEqual(refused('ERR_BELOW_FLOOR', 'Profile strict asks that the deletion'));
  expect(thrown(() => assertWait(newKey(), 30, asked))).toBeUndefined();
  expect(thrown(() => assertWait(newKey(), 7, floor({})))).toBeUndefined();
});
