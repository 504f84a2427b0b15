import { type RotationSchedule, Weekday } from '@claviger/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { assertSchedule, dayMs, isOpen, rotationOf, settled } from '../src/rotation-schedule';
import { instantOf, wallClock } from '../src/wall-clock';

const hourMs = 3_600_000;
const minuteMs = 60_000;
const at = (time: string) => Date.parse(time);
/** Summer time of every kind: at night, at midnight, by half an hour, in the other half of the year, none. */
const timeZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'America/Santiago', 'Australia/Lord_Howe', 'Asia/Kathmandu');
const instant = fc.integer({ min: at('2026-01-01T00:00:00Z'), max: at('2031-01-01T00:00:00Z') });
const keyId = fc.stringMatching(/^k_[A-Za-z0-9]{22}$/);
const two = (n: number) => String(n).padStart(2, '0');
const clock = fc.integer({ min: 0, max: 1_439 }).map((minutes) => `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`);
const window = fc.record({ days: fc.subarray(Weekday.options, { minLength: 1 }), from: clock, to: clock });
const whenever = fc.record({
  timeZone,
  window: fc.option(window, { nil: undefined }),
  jitterMinutes: fc.integer({ min: 0, max: 1_440 }),
  onUsageThreshold: fc.boolean(),
});
const cron = fc.constantFrom(
  '0 3 * * *',
  '30 2 * * 7',
  '0 0 1 * *',
  '15 23 L * *',
  '0 12 1 1,7 *',
  '0 2 * * 1-5',
  '59 23 31 12 *',
  '0 0 29 2 *',
);
const schedule: fc.Arbitrary<RotationSchedule> = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 800 }), whenever).map(([everyDays, more]) => ({ everyDays, ...more })),
  fc.tuple(cron, whenever).map(([expression, more]) => ({ cron: expression, ...more })),
);

/** What a person there reads from calendar and clock, by another way than the code under test. */
function reads(zone: string, ms: number): { day: Weekday; minutes: number } {
  const text = new Intl.DateTimeFormat('en-GB', { timeZone: zone, weekday: 'short', hour: '2-digit', minute: '2-digit' }).format(ms);
  const [, day = '', hour, minute] = /^(\w{3}).* (\d\d):(\d\d)$/.exec(text) ?? [];
  return { day: day.toLowerCase() as Weekday, minutes: Number(hour) * 60 + Number(minute) };
}
function inWindow({ timeZone: zone, window: w }: RotationSchedule, ms: number): boolean {
  if (!w) return true;
  const minutesOf = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
  const [from, to] = [minutesOf(w.from), minutesOf(w.to)];
  const { day, minutes } = reads(zone, ms);
  const yesterday = Weekday.options[(Weekday.options.indexOf(day) + 6) % 7] as Weekday;
  if (from < to) return w.days.includes(day) && from <= minutes && minutes < to;
  return (w.days.includes(day) && from <= minutes) || (w.days.includes(yesterday) && minutes < to);
}
/** Longest time until a window opens: a week, or two where the hour that it is open is left out, and what the clock is put by. */
const longestWaitMs = 14 * dayMs + 3 * hourMs;

describe('for every schedule, key, time zone and time', () => {
  test('the next rotation is after now, inside the window, and not farther from its time than jitter and window explain', () => {
    fc.assert(
      fc.property(schedule, keyId, instant, fc.integer({ min: 0, max: 900 }), (s, id, nowMs, ageDays) => {
        const sinceMs = nowMs - ageDays * dayMs;
        const next = rotationOf(s, id, sinceMs, nowMs);
        expect(next).toBeGreaterThanOrEqual(nowMs);
        expect(inWindow(s, next)).toBe(true);
        expect(isOpen(s, next)).toBe(true);
        const without = rotationOf({ ...s, jitterMinutes: 0, window: undefined } as RotationSchedule, id, sinceMs, nowMs);
        expect(without).toBe('cron' in s ? without : Math.max(sinceMs + s.everyDays * dayMs, nowMs));
        expect(next).toBeGreaterThanOrEqual(without);
        expect(next - without).toBeLessThanOrEqual(2 * s.jitterMinutes * minuteMs + (s.window ? longestWaitMs : 0));
        if (!s.window) expect(next - without).toBeLessThanOrEqual(s.jitterMinutes * minuteMs);
      }),
      { numRuns: 300 },
    );
  });

  test('no opening is skipped: between a time and where it moves to, the window is closed but for the jitter', () => {
    fc.assert(
      fc.property(whenever, keyId, instant, (more, id, atMs) => {
        const s: RotationSchedule = { everyDays: 1, ...more, jitterMinutes: 0 };
        const next = settled(s, id, atMs);
        for (let ms = atMs; ms < next; ms += 7 * minuteMs) {
          // An hour that comes twice has a second opening, which is not used.
          const again = wallClock(s.timeZone, ms) < wallClock(s.timeZone, ms - 3 * hourMs) + 3 * hourMs;
          if (!again) expect([new Date(ms).toISOString(), isOpen(s, ms)]).toEqual([new Date(ms).toISOString(), false]);
          if (!again) expect(inWindow(s, ms)).toBe(false);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('where the window is open by calendar and clock it is open, but for an hour that comes a second time', () => {
    fc.assert(
      fc.property(whenever, instant, (more, atMs) => {
        const s: RotationSchedule = { everyDays: 1, ...more };
        if (isOpen(s, atMs)) expect(inWindow(s, atMs)).toBe(true);
        const changed = wallClock(s.timeZone, atMs + 30 * hourMs) - wallClock(s.timeZone, atMs - 30 * hourMs) !== 60 * hourMs;
        if (!changed) expect(isOpen(s, atMs)).toBe(inWindow(s, atMs));
      }),
      { numRuns: 500 },
    );
  });

  test('the same key has the same share of the jitter', () => {
    fc.assert(
      fc.property(schedule, keyId, instant, (s, id, nowMs) => {
        expect(rotationOf(s, id, nowMs, nowMs)).toBe(rotationOf(s, id, nowMs, nowMs));
      }),
    );
  });

  test('a time of the clock is found again, or is one that is left out', () => {
    fc.assert(
      fc.property(timeZone, instant, (zone, ms) => {
        const wall = wallClock(zone, ms);
        // The first of two that show the same.
        expect(instantOf(zone, wall)).toBeLessThanOrEqual(ms);
        expect(wallClock(zone, instantOf(zone, wall))).toBe(wall);
      }),
    );
  });
});

const office = { days: ['mon', 'tue', 'wed', 'thu', 'fri'] as Weekday[], from: '08:00', to: '16:00' };
const berlin = (more: object) => ({ timeZone: 'Europe/Berlin', jitterMinutes: 0, onUsageThreshold: true, ...more }) as RotationSchedule;
const id = 'k_AAAAAAAAAAAAAAAAAAAAAA';

test.each([
  ['inside it stays', '2027-01-04T08:00:00Z', '2027-01-04T08:00:00Z'],
  ['at the opening it stays', '2027-01-04T07:00:00Z', '2027-01-04T07:00:00Z'],
  ['before it waits for the morning', '2027-01-04T06:59:00Z', '2027-01-04T07:00:00Z'],
  ['at the end it is outside', '2027-01-04T15:00:00Z', '2027-01-05T07:00:00Z'],
  ['on Friday evening it waits for Monday', '2027-01-08T20:00:00Z', '2027-01-11T07:00:00Z'],
  ['over the change to summer time the clock there counts', '2027-03-26T20:00:00Z', '2027-03-29T06:00:00Z'],
])('a window of Mon-Fri 08:00-16:00 in Berlin: %s', (_what, time, moved) => {
  expect(new Date(settled(berlin({ window: office }), id, at(time))).toISOString().replace('.000', '')).toBe(moved);
});

test('a window over midnight belongs to the day on which it opens; an hour that is left out does not open', () => {
  const night = { days: ['sat'] as Weekday[], from: '22:00', to: '04:00' };
  expect(isOpen(berlin({ window: night }), at('2027-01-10T02:59:00Z'))).toBe(true);
  expect(isOpen(berlin({ window: night }), at('2027-01-10T21:30:00Z'))).toBe(false);
  const left = { days: ['sun'] as Weekday[], from: '02:00', to: '02:30' };
  expect(new Date(settled(berlin({ window: left }), id, at('2027-03-27T00:00:00Z'))).toISOString()).toBe('2027-04-04T00:00:00.000Z');
});

test('a cron expression follows the clock of its time zone over both changes', () => {
  const daily = berlin({ cron: '0 3 * * *' });
  const next = (time: string) => new Date(rotationOf(daily, id, 0, at(time))).toISOString();
  expect(next('2027-03-27T12:00:00Z')).toBe('2027-03-28T01:00:00.000Z');
  expect(next('2027-10-30T12:00:00Z')).toBe('2027-10-31T02:00:00.000Z');
});

test('a thousand keys with one schedule are spread over the jitter, also where they all wait for one opening', () => {
  const ids = Array.from({ length: 1_000 }, (_, n) => `k_${String(n).padStart(22, '0')}`);
  for (const time of ['2027-01-04T09:00:00Z', '2027-01-09T09:00:00Z']) {
    const s = berlin({ everyDays: 1, window: office, jitterMinutes: 60 });
    const times = ids.map((one) => settled(s, one, at(time)));
    const perMinute = new Map<number, number>();
    for (const ms of times) perMinute.set(Math.floor(ms / minuteMs), (perMinute.get(Math.floor(ms / minuteMs)) ?? 0) + 1);
    expect(perMinute.size).toBe(60);
    expect(Math.max(...perMinute.values())).toBeLessThan(40);
    expect(Math.max(...times) - Math.min(...times)).toBeLessThan(60 * minuteMs);
  }
});

test.each([
  ['a time zone that there is not', { everyDays: 90, timeZone: 'Mars/Olympus' }, /Mars\/Olympus is no time zone/],
  ['an expression that is none', { cron: '61 0 * * *' }, /no cron expression/],
  ['one with seconds', { cron: '0 0 3 * * *' }, /no cron expression/],
  ['one that never comes', { cron: '0 0 31 2 *' }, /never comes/],
  ['one that comes twice a day', { cron: '0 3,15 1 * *' }, /more than once a day/],
  ['one that comes every minute', { cron: '* * * * *' }, /more than once a day/],
])('%s is refused', (_what, more, message) => {
  expect(() => assertSchedule(berlin(more), at('2027-01-01T00:00:00Z'))).toThrow(message);
});

test('an ordinary schedule is taken', () => {
  for (const more of [
    { everyDays: 90 },
    { cron: '0 3 1 */3 *' },
    { cron: '30 2 * * *' },
    { cron: '0 3 * * MON-FRI' },
    { cron: '0 0 29 2 *' },
  ])
    assertSchedule(berlin(more), at('2027-03-20T00:00:00Z'));
});
