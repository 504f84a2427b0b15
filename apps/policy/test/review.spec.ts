import { bundleFormat, type PolicyBundle } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { decideReview, inScope, isReviewer, reviewDueAt, revokedIn, settled, startReview, summaryOf } from '../src/review';
import { bundleAfter } from '../src/review-completion';
import { newReviewId } from '../src/review-id';
import { principal } from './policy-system';

const nowMs = Date.parse('2026-06-01T12:00:00.000Z');
const at = (days: number) => new Date(nowMs + days * 86_400_000).toISOString();
const group = (name: string, members: string[], roles: string[] = []) => {
  const [tenant, id] = name.split('/') as [string, string];
  return { id, tenant, members, roles, revision: 1 };
};
const bundle: PolicyBundle = {
  ...{ format: bundleFormat, revision: 7, policies: 'x', schema: 'x', publishedAt: at(-1) },
  roles: ['security-officer', 'key-administrator', 'auditor', 'operator'].map((id) => ({ id, description: id, revision: 1 })),
  principals: [
    principal('sam', { roles: ['security-officer'] }),
    principal('kim', { roles: ['key-administrator', 'operator'] }),
    principal('gone', { roles: ['operator'], disabled: true }),
    principal('noor'),
    principal('robot', { kind: 'service', roles: ['operator'] }),
  ],
  groups: [group('acme/ops', ['group:acme/night'], ['operator']), group('acme/night', ['noor']), group('other/ops', ['kim'])],
  grants: [
    { id: 'over', principal: 'kim', role: 'auditor', notAfter: at(-1), revision: 1 },
    { id: 'later', principal: 'noor', role: 'auditor', notBefore: at(3), revision: 1 },
  ],
};
const asked = {
  name: 'yearly',
  scope: { all: true as const },
  reviewers: ['sam', 'group:acme/night'],
  dueAt: at(30),
  reason: 'r',
  startedBy: 'sam',
};
const begun = (more: Partial<Parameters<typeof startReview>[1]> = {}) => startReview(newReviewId(), { ...asked, ...more }, bundle, nowMs);
const nobody = () => false;
const decision = (assignment: string, what: 'keep' | 'revoke') => ({ assignment, decision: what, reason: 'r' });

test('a review is of what enabled principals have that is not over, by everybody, role, group or tenant', () => {
  const ids = (scope: Parameters<typeof inScope>[1]) => inScope(bundle, scope, nowMs).map(({ id }) => id);
  expect(ids({ all: true })).toEqual([
    ...['role:sam:security-officer', 'role:kim:key-administrator', 'role:kim:operator', 'group:kim:other/ops'],
    ...['group:noor:acme/night', 'grant:later', 'role:robot:operator'],
  ]);
  expect(ids({ role: 'operator' })).toEqual(['role:kim:operator', 'group:noor:acme/night', 'role:robot:operator']);
  expect(ids({ group: 'acme/ops' })).toEqual(['group:noor:acme/night']);
  expect(ids({ tenant: 'other' })).toEqual(['group:kim:other/ops']);
});

test.each([
  ['a reviewer who is nobody', { reviewers: ['eve'] }, 'ERR_NOT_FOUND'],
  ['a service as reviewer', { reviewers: ['robot'] }, 'ERR_NOT_FOUND'],
  ['a reviewer who is disabled', { reviewers: ['gone'] }, 'ERR_NOT_FOUND'],
  ['a group of another tenant', { reviewers: ['group:other/night'] }, 'ERR_NOT_FOUND'],
  ['a role that is not there', { scope: { role: 'wizard' } }, 'ERR_NOT_FOUND'],
  ['a due date in the past', { dueAt: at(-1) }, 'ERR_MALFORMED_REQUEST'],
])('no review begins with %s', (_, more, code) => {
  expect(() => begun(more)).toThrow(expect.objectContaining({ code }));
});

test('reviewers are those who are named, and those in the groups that are', () => {
  const review = begun();
  expect([
    isReviewer(review, 'sam', []),
    isReviewer(review, 'noor', ['acme/night', 'acme/ops']),
    isReviewer(review, 'kim', ['other/ops']),
  ]).toEqual([...[true, true, false]]);
});

test('nobody decides about herself, under whatever name; a later decision replaces an earlier one', () => {
  const review = begun();
  const own = [decision('role:kim:operator', 'keep'), decision('role:sam:security-officer', 'keep')];
  expect(() => decideReview(review, own, 'sam', at(1), (id) => id === 'sam')).toThrow(expect.objectContaining({ code: 'ERR_SELF_REVIEW' }));
  expect(() => decideReview(review, [decision('role:kim:auditor', 'keep')], 'sam', at(1), nobody)).toThrow(
    expect.objectContaining({ code: 'ERR_NOT_FOUND' }),
  );
  const first = decideReview(review, [decision('role:kim:operator', 'revoke')], 'sam', at(1), nobody);
  const second = decideReview(first, [decision('role:kim:operator', 'keep')], 'noor', at(2), nobody);
  expect([revokedIn(first), revokedIn(second)]).toEqual([new Set(['role:kim:operator']), new Set()]);
  expect(second.items.find(({ assignment }) => assignment === 'role:kim:operator')?.decision).toMatchObject({ by: 'noor', at: at(2) });
  expect(summaryOf(second, nowMs)).toMatchObject({ items: 7, kept: 1, revoked: 0, undecided: 6, overdue: false });
  expect(summaryOf(second, nowMs + 31 * 86_400_000)).toMatchObject({ overdue: true });
});

test('what is not decided stops a completion, unless it is said what becomes of it', () => {
  const review = decideReview(begun(), [decision('role:kim:operator', 'revoke')], 'sam', at(1), nobody);
  expect(() => settled(review, 'refuse', 'sam', at(2), 'r')).toThrow(expect.objectContaining({ code: 'ERR_REVIEW_INCOMPLETE' }));
  expect(revokedIn(settled(review, 'keep', 'sam', at(2), 'r')).size).toBe(1);
  expect(revokedIn(settled(review, 'revoke', 'sam', at(2), 'r')).size).toBe(7);
  const closed = { ...review, state: 'completed' as const };
  expect(() => settled(closed, 'keep', 'sam', at(2), 'r')).toThrow(expect.objectContaining({ code: 'ERR_REVIEW_CLOSED' }));
  expect(() => decideReview(closed, [], 'sam', at(2), nobody)).toThrow(expect.objectContaining({ code: 'ERR_REVIEW_CLOSED' }));
  expect([reviewDueAt(review), reviewDueAt(closed), reviewDueAt({ ...review, overdueTold: true })]).toEqual([review.dueAt, null, null]);
});

test('completing takes away what was revoked and is there still, never from the last security officer, and twice it changes nothing', () => {
  const review = decideReview(
    begun(),
    [decision('role:kim:operator', 'revoke'), decision('group:noor:acme/night', 'revoke'), decision('grant:later', 'revoke')],
    'sam',
    at(1),
    nobody,
  );
  const after = bundleAfter(review, bundle)!;
  expect(after.principals.find(({ id }) => id === 'kim')?.roles).toEqual(['key-administrator']);
  expect(after.groups?.map(({ members }) => members)).toEqual([['group:acme/night'], [], ['kim']]);
  expect(after.grants.map(({ id }) => id)).toEqual(['over']);
  expect(bundleAfter(review, after)).toBeUndefined();
  const everything = settled(begun(), 'revoke', 'sam', at(2), 'r');
  expect(() => bundleAfter(everything, bundle)).toThrow(expect.objectContaining({ code: 'ERR_LAST_HOLDER' }));
});
