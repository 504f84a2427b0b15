import { expect, test } from '@jest/globals';
import { Cryptoperiod, cryptoperiods, KeyUsage, RotationSchedule } from '../src/index';

test('every kind of key has periods within those of NIST, table 1: at most two years to protect (three to sign), and three more to process', () => {
  expect(Object.keys(cryptoperiods).sort()).toEqual([...KeyUsage.options].sort());
  for (const usage of KeyUsage.options) {
    const { originatorDays, recipientDays } = Cryptoperiod.parse(cryptoperiods[usage]);
    expect(originatorDays).toBeLessThanOrEqual(365 * (usage === 'sign' ? 3 : 2));
    expect(recipientDays - originatorDays).toBeLessThanOrEqual(365 * 3);
  }
});

test('nothing may be protected for longer than it can be processed', () => {
  expect(Cryptoperiod.safeParse({ originatorDays: 10, recipientDays: 9 }).success).toBe(false);
  expect(Cryptoperiod.safeParse({ originatorDays: 10, recipientDays: 10 }).success).toBe(true);
});

test('a schedule has a period or an expression, never both, and says all of itself once it is read', () => {
  expect(RotationSchedule.parse({ everyDays: 90 })).toEqual({ everyDays: 90, timeZone: 'UTC', jitterMinutes: 60, onUsageThreshold: true });
  for (const wrong of [
    {},
    { everyDays: 90, cron: '0 3 1 * *' },
    { everyDays: 0 },
    { cron: '0 3 1 * *', window: { days: [], from: '08:00', to: '16:00' } },
  ])
    expect(RotationSchedule.safeParse(wrong).success).toBe(false);
});
