import { expect, test } from '@jest/globals';
import { cryptoperiodIn, type RotationOptions, scheduleIn, windowIn } from '../src/commands/rotation-options';

const options = (more: Partial<RotationOptions>): RotationOptions => ({ usageThreshold: true, ...more });

test('a schedule is read from its options, with the defaults of the contract', () => {
  expect(scheduleIn(options({}))).toBeUndefined();
  expect(scheduleIn(options({ every: '90d' }))).toEqual({ everyDays: 90, timeZone: 'UTC', jitterMinutes: 60, onUsageThreshold: true });
  expect(
    scheduleIn(
      options({ cron: '0 3 1 * *', timeZone: 'Europe/Berlin', window: 'Mon-Fri 08:00-16:00', jitter: '2h', usageThreshold: false }),
    ),
  ).toEqual({
    cron: '0 3 1 * *',
    timeZone: 'Europe/Berlin',
    window: { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '16:00' },
    jitterMinutes: 120,
    onUsageThreshold: false,
  });
});

test.each([
  ['Sat,Sun 22:00-04:00', { days: ['sat', 'sun'], from: '22:00', to: '04:00' }],
  ['fri-MON 00:00-24:00', { days: ['mon', 'fri', 'sat', 'sun'], from: '00:00', to: '00:00' }],
  ['Wed 09:30-10:00', { days: ['wed'], from: '09:30', to: '10:00' }],
])('the window %s is read', (text, window) => {
  expect(windowIn(text)).toEqual(window);
});

test.each([
  [{ every: '90' }, /90d/],
  [{ every: '0d' }, /another schedule/],
  [{ every: '90d', cron: '0 3 1 * *' }, /one of --every and --cron/],
  [{ window: 'Mon-Fri 08:00-16:00' }, /--every or --cron/],
  [{ usageThreshold: false }, /--every or --cron/],
  [{ every: '90d', window: 'Mon-Fri' }, /--window such as/],
  [{ every: '90d', window: 'Foo-Fri 08:00-16:00' }, /days such as/],
  [{ every: '90d', window: 'Mon 08:00-25:00' }, /another schedule/],
  [{ every: '90d', jitter: '1d' }, /--jitter such as/],
  [{ cron: 'x; y' }, /another schedule/],
])('%j is refused as wrong usage', (more, message) => {
  expect(() => scheduleIn(options(more))).toThrow(message);
});

test('both periods are given, or none', () => {
  expect(cryptoperiodIn(options({}))).toBeUndefined();
  expect(cryptoperiodIn(options({ originatorDays: '365', recipientDays: '730' }))).toEqual({ originatorDays: 365, recipientDays: 730 });
  expect(() => cryptoperiodIn(options({ originatorDays: '365' }))).toThrow(/both/);
});
