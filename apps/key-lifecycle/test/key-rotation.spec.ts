import { cryptoperiods, KeyDescription, KeyView, type RotationSchedule } from '@claviger/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  activateKey,
  cancelDeletion,
  compromiseKey,
  createKey,
  deactivateKey,
  destroyKey,
  type Key,
  resumeKey,
  rotateKey,
  scheduleDeletion,
  setRotation,
  suspendKey,
} from '../src/key';
import { dueAfter, dueAt, dueChange, iso, nextChange, nextOf, originatorPeriodEnd } from '../src/key-dates';
import { describeKey, viewKey } from '../src/key-description';
import { dayMs } from '../src/rotation-schedule';
import { nothingTold, warning } from '../src/warnings';
import { about, made, newKey, now, nowMs } from './made-keys';

const later = (days: number) => nowMs + days * dayMs;
const every = (everyDays: number, more: Partial<RotationSchedule> = {}) =>
  ({ everyDays, timeZone: 'UTC', jitterMinutes: 0, onUsageThreshold: true, ...more }) as RotationSchedule;
const scheduled = newKey({ schedule: every(90) });
const refusal = (act: () => unknown) => expect(act).toThrow(/^ERR_MALFORMED_REQUEST/);

describe('given a key', () => {
  test('its periods are those of its usage, count from its activation, and are told', () => {
    const key = newKey({ keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA' });
    const described = KeyDescription.parse(describeKey(key));
    expect(described).toMatchObject({
      cryptoperiod: cryptoperiods.encrypt,
      atEnd: 'warn',
      originatorPeriodEndsAt: iso(later(730)),
      next: { event: 'end-period', at: iso(later(730)) },
      versions: [{ activatedAt: now, recipientPeriodEndsAt: iso(later(1_825)) }],
    });
    expect(KeyView.parse(viewKey(key))).not.toHaveProperty('cryptoperiod');
    const waits = createKey(about(), made(), now, iso(later(10)));
    expect([originatorPeriodEnd(waits), describeKey(waits).next]).toEqual([undefined, { event: 'activate', at: iso(later(10)) }]);
    expect(originatorPeriodEnd(activateKey(waits, 'a', iso(later(10))))).toBe(later(740));
  });
  test('frozen and thawed, its time goes on: it counts from the first activation', () => {
    let key = scheduled;
    for (let n = 0; n < 60; n++) key = resumeKey(suspendKey(key, false, 's', iso(later(n))), 'r', iso(later(n)));
    expect(originatorPeriodEnd(key)).toBe(later(730));
    expect(nextChange(key)).toEqual({ change: 'rotate', atMs: later(90) });
  });
  test('when it gets periods and a schedule, they count from where it is; when it gets them again, nothing changes', () => {
    const set = setRotation(newKey(), { schedule: every(30), cryptoperiod: { originatorDays: 60, recipientDays: 90 } }, iso(later(10)));
    expect(set).toMatchObject({ revision: 2, rotation: { at: iso(later(30)) } });
    expect(setRotation(set, { schedule: every(30), cryptoperiod: set.cryptoperiod }, iso(later(20)))).toBe(set);
    expect(setRotation(set, { atEnd: 'warn' }, iso(later(20)))).toMatchObject({ revision: 3, rotation: { at: iso(later(30)) } });
    expect(setRotation(set, { schedule: null, cryptoperiod: null }, now)).toMatchObject({ cryptoperiod: cryptoperiods.encrypt });
    expect(setRotation(set, { schedule: null }, now)).not.toHaveProperty('rotation');
  });
  test('when a schedule is set that an old key has missed, it is rotated next, and not before now', () => {
    expect(setRotation(newKey(), { schedule: every(30) }, iso(later(100))).rotation?.at).toBe(iso(later(100)));
    const yearly = { cron: '0 0 1 1 *', timeZone: 'UTC', jitterMinutes: 0, onUsageThreshold: true };
    expect(setRotation(newKey(), { schedule: yearly }, '2028-06-01T00:00:00.000Z').rotation?.at).toBe('2029-01-01T00:00:00.000Z');
  });
  test('what makes no sense is refused, when it is created and when it is set', () => {
    refusal(() => newKey({ schedule: every(1, { timeZone: 'Mars/Olympus' }) }));
    refusal(() => setRotation(newKey(), { schedule: { ...every(1), cron: 'x' } as RotationSchedule }, now));
    refusal(() => newKey({ schedule: every(730), atEnd: 'deactivate' }));
    refusal(() => setRotation(scheduled, { cryptoperiod: { originatorDays: 90, recipientDays: 90 }, atEnd: 'deactivate' }, now));
    expect(setRotation(scheduled, { atEnd: 'deactivate' }, now).atEnd).toBe('deactivate');
  });
});

describe('given a key with a schedule', () => {
  test('it is due to the millisecond, and a rotation on demand moves the next', () => {
    expect([dueChange(scheduled, later(90) - 1), dueChange(scheduled, later(90))]).toEqual([undefined, 'rotate']);
    const rotated = rotateKey(scheduled, made(2), 'on demand', iso(later(50)));
    expect([dueChange(rotated, later(90)), nextOf(rotated)]).toEqual([undefined, { event: 'rotate', at: iso(later(140)) }]);
  });
  test.each([
    ['suspended', (key: Key) => suspendKey(key, true, 's', now)],
    ['deactivated', (key: Key) => deactivateKey(key, 'd', now)],
    ['compromised', (key: Key) => compromiseKey(key, undefined, 'c', now)],
    ['back from its deletion', (key: Key) => cancelDeletion(scheduleDeletion(key, 7, { by: 'ada', reason: 'd' }, nowMs))],
  ])('when it is %s, nothing happens to it by itself', (_what, change) => {
    const frozen = change(scheduled);
    expect([nextChange(frozen), dueChange(frozen, later(9_000)), dueAt(frozen)]).toEqual([undefined, undefined, undefined]);
  });
  test('when it waits for its deletion, that alone is due', () => {
    const deleting = scheduleDeletion(scheduled, 90, { by: 'ada', reason: 'd' }, nowMs);
    expect([dueChange(deleting, later(90) - 1), dueChange(deleting, later(90))]).toEqual([undefined, 'destroy']);
    expect(nextChange(destroyKey(deleting, later(90)))).toBeUndefined();
  });
  test('when it is resumed after its time, it is rotated then', () => {
    const resumed = resumeKey(suspendKey(scheduled, false, 's', now), 'r', iso(later(200)));
    expect(dueChange(resumed, later(200))).toBe('rotate');
  });
  test('when its window is over, it waits for the next opening', () => {
    // Noon of a Sunday.
    const window = { days: ['sun' as const], from: '08:00', to: '16:00' };
    const key = newKey({ schedule: every(7, { window }) });
    expect(key.rotation?.at).toBe(iso(later(7)));
    expect([dueChange(key, later(7)), dueChange(key, later(8)), dueChange(key, later(14))]).toEqual(['rotate', undefined, 'rotate']);
    expect(dueAfter(key, later(8))).toBe('2026-03-15T08:00:00.000Z');
  });
});

describe('given a key at the end of its originator usage period', () => {
  const period = { originatorDays: 40, recipientDays: 40 };
  const ends = (more: object) => newKey({ cryptoperiod: period, ...more });
  test('it is rotated where it has a schedule that comes later, and by default', () => {
    const key = ends({ schedule: every(90) });
    expect(describeKey(key)).toMatchObject({ atEnd: 'rotate', next: { event: 'rotate', at: iso(later(40)) } });
    expect(dueChange(key, later(40))).toBe('rotate');
  });
  test('it is rotated without a schedule too, when that is asked for', () => {
    const { next } = describeKey(ends({ atEnd: 'rotate' }));
    expect(next?.event).toBe('rotate');
    expect(Date.parse(next?.at as string) - later(40)).toBeLessThan(3_600_000);
  });
  test('it is deactivated when that is asked for, whatever else waits', () => {
    expect(dueChange(ends({ atEnd: 'deactivate' }), later(40))).toBe('deactivate');
    const waits = ends({ atEnd: 'deactivate', schedule: every(30) });
    expect([dueChange(waits, later(30)), dueChange(waits, later(40))]).toEqual(['rotate', 'deactivate']);
    const closed = ends({ atEnd: 'deactivate', schedule: every(30, { window: { days: ['tue'], from: '00:00', to: '00:00' } }) });
    expect([dueChange(closed, later(34)), dueAfter(closed, later(34))]).toEqual([undefined, '2026-04-07T00:00:00.000Z']);
  });
  test('else it is told, and goes on to protect', () => {
    const key = ends({});
    expect(dueChange(key, later(400))).toBeUndefined();
    expect(warning(key, nothingTold(key.keyId), later(40))?.event.data).toMatchObject({ days: 0, atEnd: 'warn', version: 1 });
  });
});

describe('warnings', () => {
  /** Looks at the key at these times, in days from now, as sweeps do. */
  function toldOf(key: Key, days: number[]): number[] {
    let told = nothingTold(key.keyId);
    return days.flatMap((day) => {
      const due = warning(key, told, later(day));
      if (due) told = due.told;
      return due ? [(due.event.data as { days: number }).days] : [];
    });
  }
  test('come 30, 7 and 1 days before the end, once each, however often somebody looks', () => {
    expect(toldOf(newKey(), [0, 699, 700, 701, 722, 723, 724, 728, 729, 729.5, 730, 731])).toEqual([30, 7, 1, 0]);
    expect(toldOf(scheduled, [700, 730, 731])).toEqual([30, 1]);
  });
  test('that nobody looked at in time are not made up for: the last one counts', () => {
    expect(toldOf(newKey(), [725, 729])).toEqual([7, 1]);
    expect(toldOf(newKey({ cryptoperiod: { originatorDays: 20, recipientDays: 20 } }), [0, 10, 13, 14, 19])).toEqual([7, 1]);
  });
  test('begin anew for a new version and for an end that was moved', () => {
    const key = newKey();
    const { told } = warning(key, nothingTold(key.keyId), later(729)) as { told: ReturnType<typeof nothingTold> };
    const rotated = rotateKey(key, made(2), 'r', iso(later(729)));
    expect([warning(rotated, told, later(729)), warning(rotated, told, later(729 + 700))?.event.data]).toMatchObject([
      undefined,
      { days: 30, version: 2 },
    ]);
    const moved = setRotation(key, { cryptoperiod: { originatorDays: 735, recipientDays: 735 } }, iso(later(729)));
    expect(warning(moved, told, later(729))?.event.data).toMatchObject({ days: 7 });
  });
  test('come before a deletion, and of nothing that is frozen or gone', () => {
    const deleting = scheduleDeletion(newKey(), 90, { by: 'ada', reason: 'd' }, nowMs);
    expect(toldOf(deleting, [0, 60, 61, 83, 89, 90])).toEqual([30, 7, 1]);
    expect(toldOf(destroyKey(deleting, later(90)), [90])).toEqual([]);
    expect(toldOf(suspendKey(newKey(), false, 's', now), [729])).toEqual([]);
  });
});

test('whatever happens to a key, it is looked at in time: before a sweep would do or tell something, and after one never again for nothing', () => {
  const settings = fc.record({
    schedule: fc.option(
      fc
        .record({ days: fc.integer({ min: 1, max: 400 }), jitter: fc.integer({ min: 0, max: 1_440 }) })
        .map(({ days, jitter }) => every(days, { jitterMinutes: jitter })),
      { nil: null },
    ),
    cryptoperiod: fc.integer({ min: 1, max: 400 }).map((days) => ({ originatorDays: days, recipientDays: 800 })),
    atEnd: fc.constantFrom(null, 'rotate' as const, 'warn' as const, 'deactivate' as const),
  });
  const command = fc.oneof(
    settings.map((set) => (key: Key, at: number) => setRotation(key, set, iso(at))),
    fc.constant((key: Key, at: number) => rotateKey(key, made(), 'r', iso(at))),
    fc.constant((key: Key, at: number) => suspendKey(key, false, 's', iso(at))),
    fc.constant((key: Key, at: number) => resumeKey(key, 'r', iso(at))),
    fc.constant((key: Key, at: number) => scheduleDeletion(key, 30, { by: 'ada', reason: 'd' }, at)),
    fc.constant((key: Key) => cancelDeletion(key)),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(command, fc.integer({ min: 0, max: 200 })), { maxLength: 12 }), (steps) => {
      let key = newKey();
      let atMs = nowMs;
      for (const [apply, days] of steps) {
        atMs += days * dayMs;
        try {
          key = apply(key, atMs);
        } catch (error) {
          expect(String(error)).toContain('ERR_');
        }
        const due = dueAt(key);
        for (const day of [0, 1, 7, 30, 100, 400, 800]) {
          const time = atMs + day * dayMs;
          const [change, told] = [dueChange(key, time), warning(key, nothingTold(key.keyId), time)];
          if (change || told) expect(Date.parse(due as string)).toBeLessThanOrEqual(time);
          const again = dueAfter(key, time);
          if (again !== undefined) expect(Date.parse(again)).toBeGreaterThan(time);
          // What comes later is not slept through.
          const next = nextChange(key);
          if (next && next.atMs > time) expect(Date.parse(again as string)).toBeLessThanOrEqual(next.atMs);
        }
        if (due === undefined) expect(nextChange(key)).toBeUndefined();
      }
    }),
    { numRuns: 300 },
  );
});
