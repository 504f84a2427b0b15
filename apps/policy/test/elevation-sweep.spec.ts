import type { BreakGlassReview, Grant, PolicyBundle } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { sweptOf } from '../src/elevation-sweep';

const nowMs = Date.parse('2026-06-01T12:00:00.000Z');
const at = (minutes: number) => new Date(nowMs + minutes * 60_000).toISOString();
const elevated = { by: 'request' as const, rules: ['r'], change: 'ch_AAAAAAAAAAAAAAAAAAAAAA', reason: 'x', approvedBy: ['sofia'] };
const grant = (id: string, until: number, asked = true): Grant => ({
  ...{ id, principal: 'otto', role: 'operator', revision: 1, notAfter: at(until) },
  ...(asked ? { elevated } : {}),
});
const review = (id: string, told: number) => ({ id, toldAt: at(told) }) as BreakGlassReview;
const bundleOf = (grants: Grant[], breakGlassReviews?: BreakGlassReview[]) =>
  ({ grants, ...(breakGlassReviews ? { breakGlassReviews } : {}) }) as PolicyBundle;

test('grants that were asked for and are over go, some minutes later; published ones stay', () => {
  const grants = [grant('over', -10), grant('just-over', -9), grant('in-force', 1), grant('published', -10_000, false)];
  const swept = sweptOf(bundleOf(grants), nowMs);
  expect(swept?.ended.map(({ id }) => id)).toEqual(['over']);
  expect(swept?.to.grants.map(({ id }) => id)).toEqual(['just-over', 'in-force', 'published']);
  expect(swept?.to).not.toHaveProperty('breakGlassReviews');
  // Whoever looks next finds nothing to do.
  expect(sweptOf(swept?.to as PolicyBundle, nowMs)).toBeUndefined();
});

test('of a review that is open its reviewers are told again once a day', () => {
  const day = 1_440;
  const bundle = bundleOf([], [review('due', -day), review('told', -day + 1)]);
  const swept = sweptOf(bundle, nowMs);
  expect(swept?.due.map(({ id }) => id)).toEqual(['due']);
  expect(swept?.to.breakGlassReviews).toEqual([review('due', 0), review('told', -day + 1)]);
  expect(sweptOf(swept?.to as PolicyBundle, nowMs)).toBeUndefined();
  expect(sweptOf(swept?.to as PolicyBundle, nowMs + day * 60_000)?.due.map(({ id }) => id)).toEqual(['due', 'told']);
});
