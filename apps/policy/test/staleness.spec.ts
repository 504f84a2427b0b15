import type { Assignment } from '@claviger/authz';
import type { Activity } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { judge, kept, login, type Standing, unusedIn } from '../src/staleness';

const staleness = { noticeDays: 60, removeAfterDays: 90, keep: [] };
const startMs = Date.parse('2026-01-01T00:00:00.000Z');
const dayMs = 86_400_000;
const day = (n: number) => new Date(startMs + n * dayMs).toISOString();
const always = { fromMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };
const role: Assignment = { id: 'role:kim:operator', principal: 'kim', period: always, kind: 'role', role: 'operator' };
const unused: Activity = { known: 'unused' };
const unknown: Activity = { known: 'unknown' };
const used = (n: number): Activity => ({ known: 'used', at: day(n), index: 1 });
const seen = (session: Activity, use: Activity) => ({ session, uses: new Map([[role.id, use]]) });
const at = (n: number, known: Standing | undefined, session: Activity, use: Activity, settings: Parameters<typeof judge>[4] = staleness) =>
  judge(known, 'kim', [role], seen(session, use), settings, startMs + n * dayMs);

test('what nobody uses is told after so many days, and taken away after so many more', () => {
  const first = at(0, undefined, used(0), unused);
  expect([first.notices, first.removals]).toEqual([[], []]);
  const told = at(60, first.standing, used(60), unused);
  expect(told.notices).toEqual([{ what: role.id, since: day(0), at: day(90) }]);
  const again = at(61, told.standing, used(61), unused);
  expect([again.notices, again.removals]).toEqual([[], []]);
  expect(unusedIn(again.standing, staleness, startMs + 61 * dayMs)).toEqual([
    { what: role.id, since: day(0), at: day(90), noticedAt: day(60), kept: false },
  ]);
  expect(at(90, again.standing, used(90), unused).removals).toEqual([{ what: role.id, since: day(0), at: day(90) }]);
});

test('told late, it goes late; used again, it begins anew; what is unknown changes nothing', () => {
  const { standing } = at(0, undefined, used(0), unused);
  const late = at(200, standing, used(200), unused);
  expect([late.notices[0]?.at, late.removals]).toEqual([day(230), []]);
  expect(at(229, late.standing, used(229), unused).removals).toEqual([]);
  expect(at(230, late.standing, used(230), unused).removals).toHaveLength(1);
  const again = at(231, late.standing, used(231), used(210));
  expect([again.removals, again.standing.watched[role.id]]).toEqual([[], { since: day(210) }]);
  const nobodyKnows = at(500, late.standing, unknown, unknown);
  expect([nobodyKnows.notices, nobodyKnows.removals, nobodyKnows.standing.watched[role.id]]).toEqual([
    [],
    [],
    late.standing.watched[role.id],
  ]);
});

test('who does not come at all is told once and disabled, and nothing is said of what it has', () => {
  const { standing } = at(0, undefined, used(0), unused);
  const told = at(60, standing, unused, unused);
  expect(told.notices).toEqual([{ what: login, since: day(0), at: day(90) }]);
  const gone = at(90, told.standing, unused, unused);
  expect(gone.removals).toEqual([{ what: login, since: day(0), at: day(90) }]);
  // It came back: what it has is told before it goes.
  const back = at(91, told.standing, used(91), unused);
  expect([back.notices.map(({ what }) => what), back.removals]).toEqual([[role.id], []]);
});

test('who is left alone is, and that something stays is remembered until it is used', () => {
  const { standing } = at(0, undefined, used(0), unused);
  const alone = { ...staleness, except: ['kim'] };
  expect([at(400, standing, unused, unused, alone).notices, at(400, standing, unused, unused, alone).removals]).toEqual([[], []]);
  const stays = kept(at(60, standing, used(60), unused).standing, [role.id], day(90));
  expect(unusedIn(stays, staleness, startMs + 90 * dayMs)[0]).toMatchObject({ kept: true });
  expect(at(91, stays, used(91), used(91)).standing.watched[role.id]).toEqual({ since: day(91) });
});

test('over any course of days nothing is taken away that was not told so many days before, or was used or unknown at the time', () => {
  const activity = fc.constantFrom('unused' as const, 'used' as const, 'unknown' as const);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 45 }), activity), { maxLength: 40 }), (course) => {
      let standing: Standing | undefined;
      let now = 0;
      let told: number | undefined;
      for (const [later, known] of course) {
        now += later;
        const result = at(now, standing, used(now), known === 'used' ? used(now) : { known });
        if (known === 'used') told = undefined;
        for (const { what } of result.notices) if (what === role.id) told = now;
        if (result.removals.length > 0) {
          expect(known).toBe('unused');
          expect(now - told!).toBeGreaterThanOrEqual(30);
        }
        standing = result.standing;
      }
    }),
    { numRuns: 300 },
  );
});
