import type { RotationSchedule } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { claimMs, isQuick, longestBackOffMs, putOff, triedAgainAt } from '../src/due-bounds';
import { createKey, type Key, scheduleDeletion } from '../src/key';
import { dueAfter, dueAt, iso } from '../src/key-dates';
import { dayMs } from '../src/rotation-schedule';
import { about, made, now, nowMs } from './made-keys';

const every = (everyDays: number, more: Partial<RotationSchedule> = {}): RotationSchedule =>
  ({ everyDays, timeZone: 'UTC', jitterMinutes: 90, onUsageThreshold: true, ...more }) as RotationSchedule;
const keys: Record<string, Key> = {
  'without a schedule': createKey(about(), made(), now),
  'with a schedule': createKey(about({ schedule: every(30) }), made(), now),
  'with a schedule and a window': createKey(
    about({ schedule: every(10, { window: { days: ['mon', 'thu'], from: '22:00', to: '02:00' } }) }),
    made(),
    now,
  ),
  'that is deactivated at its end': createKey(
    about({ schedule: every(20), atEnd: 'deactivate', cryptoperiod: { originatorDays: 25, recipientDays: 50 } }),
    made(),
    now,
  ),
  'that waits for its activation': createKey(about(), {}, now, iso(nowMs + 5 * dayMs)),
  'that waits for its deletion': scheduleDeletion(createKey(about(), made(), now), 30, { by: 'ada', reason: 'd' }, nowMs),
};
const names = Object.keys(keys);
const keyOf = (name: string) => keys[name] as Key;

test.each(names)('what this service stores of a key %s puts off nothing, whenever it was stored and whenever it is looked at', (name) => {
  const key = keyOf(name);
  const time = fc.integer({ min: nowMs, max: nowMs + 60 * dayMs });
  fc.assert(
    fc.property(time, time, fc.integer({ min: -50_000, max: 50_000 }), (one, other, skew) => {
      const [stored, looked] = [Math.min(one, other), Math.max(one, other)];
      // As it was when the key was written.
      expect(putOff(key, { dueAt: dueAt(key) ?? null }, looked)).toEqual([]);
      // Looked after by a replica whose clock differs, which found nothing to do at that time.
      const after = dueAfter(key, stored + skew);
      const nothingCameMeanwhile = after === undefined || Date.parse(after) > looked;
      if (nothingCameMeanwhile && dueAt(key) !== undefined && !changeCame(key, stored + skew))
        expect(putOff(key, { dueAt: after ?? null }, looked)).toEqual([]);
    }),
  );
});
/** Then the replica has changed the key, and it is another one. */
const changeCame = (key: Key, atMs: number) =>
  [key.deletionAt, key.activationAt, key.rotation?.at].some((at) => at !== undefined && Date.parse(at) <= atMs) ||
  (key.atEnd === 'deactivate' && nowMs + key.cryptoperiod.originatorDays * dayMs <= atMs);

test.each(names)('of a key %s what is stored a day after what comes next, or not at all, is found before and after it has come', (name) => {
  const key = keyOf(name);
  const next = Date.parse(dueAfter(key, nowMs) as string);
  for (const later of [iso(next + dayMs), null]) expect(putOff(key, { dueAt: later }, next - 3_600_000)).toEqual(['dueAt']);
});

test('a destruction, activation or deactivation whose time has come is found, however far it was put off', () => {
  const ends: [string, number][] = [
    ['that waits for its deletion', 30],
    ['that waits for its activation', 5],
    ['that is deactivated at its end', 25],
  ];
  for (const [name, days] of ends) {
    const at = nowMs + days * dayMs;
    expect(putOff(keyOf(name), { dueAt: null }, at + 120_000)).toEqual(['dueAt']);
    expect(putOff(keyOf(name), { dueAt: iso(at + 365 * dayMs) }, at + 120_000)).toEqual(['dueAt']);
    expect(putOff(keyOf(name), { dueAt: iso(at) }, at + 120_000)).toEqual([]);
  }
});

test('nobody has a key in hand for longer than its change may take', () => {
  const held = (name: string, ms: number) =>
    putOff(keyOf(name), { dueAt: dueAt(keyOf(name)) ?? null, claimedUntil: iso(nowMs + ms) }, nowMs);
  expect(held('that waits for its deletion', claimMs)).toEqual([]);
  expect(held('that waits for its deletion', claimMs + 61_000)).toEqual(['claimedUntil']);
  expect(held('with a schedule', longestBackOffMs)).toEqual([]);
  expect(held('with a schedule', longestBackOffMs + 61_000)).toEqual(['claimedUntil']);
  expect(putOff(keyOf('with a schedule'), { dueAt: now, claimedUntil: 'for ever' }, nowMs)).toEqual(['claimedUntil']);
});

test('a rotation that fails is tried again after 1, 2, 4, 8 minutes, then every 15, and never after the key is to be deactivated', () => {
  const pauses = (name: string, atMs: number) =>
    [0, 1, 2, 3, 4, 5, 1_000].map((failures) => (triedAgainAt(keyOf(name), failures, atMs) - atMs) / 60_000);
  expect(pauses('with a schedule', nowMs)).toEqual([1, 2, 4, 8, 15, 15, 15]);
  expect(pauses('that is deactivated at its end', nowMs + 25 * dayMs - 180_000)).toEqual([1, 2, 3, 3, 3, 3, 3]);
});

test('quick is what takes no new material, now or at the end of its time', () => {
  expect(names.filter((name) => isQuick(keyOf(name)))).toEqual([
    'that is deactivated at its end',
    'that waits for its activation',
    'that waits for its deletion',
  ]);
});
