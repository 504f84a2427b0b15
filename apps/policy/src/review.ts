import { type Assignment, assignmentsOf, rolesGiven } from '@claviger/authz';
import {
  type CloudEvent,
  cloudEvent,
  groupIn,
  type PolicyBundle,
  PrincipalId,
  ProblemError,
  ReviewId,
  ReviewItem,
  type ReviewScope,
  ReviewScope as ReviewScopeSchema,
  type ReviewSummary,
  reviewLimits,
  Timestamp,
} from '@claviger/contracts';
import { z } from 'zod';

/** A campaign, as it is stored. */
export const Review = z.strictObject({
  id: ReviewId,
  revision: z.int().min(1),
  name: z.string(),
  scope: ReviewScopeSchema,
  reviewers: z.array(z.string()),
  state: z.enum(['open', 'completed']),
  startedAt: Timestamp,
  startedBy: PrincipalId,
  dueAt: Timestamp,
  reason: z.string(),
  /** That it is overdue was told. */
  overdueTold: z.boolean(),
  items: z.array(ReviewItem).max(reviewLimits.items),
  completed: z.strictObject({ at: Timestamp, by: PrincipalId, revision: z.int(), taken: z.int() }).optional(),
});
export type Review = z.infer<typeof Review>;

/** What is reviewed: assignments of enabled principals that are not over. */
export function inScope(bundle: PolicyBundle, scope: ReviewScope, nowMs: number): Assignment[] {
  const disabled = new Set(bundle.principals.filter((principal) => principal.disabled).map(({ id }) => id));
  return assignmentsOf(bundle).filter((assignment) => {
    if (disabled.has(assignment.principal) || assignment.period.untilMs <= nowMs) return false;
    if ('role' in scope) return rolesGiven(assignment).includes(scope.role);
    if ('group' in scope) return assignment.kind === 'group' && assignment.groups.includes(scope.group);
    if ('tenant' in scope) return assignment.kind === 'group' && assignment.group.startsWith(`${scope.tenant}/`);
    return true;
  });
}

export const itemOf = (assignment: Assignment): ReviewItem => {
  const { id, principal, kind, period } = assignment;
  return {
    ...{ assignment: id, principal, kind, roles: [...rolesGiven(assignment)] },
    ...(kind === 'group' ? { group: assignment.group } : {}),
    ...(kind === 'role-grant' || kind === 'key-grant' ? { grant: assignment.grant } : {}),
    ...(kind === 'key-grant' ? { action: assignment.action, key: assignment.key } : {}),
    ...(Number.isFinite(period.fromMs) ? { notBefore: new Date(period.fromMs).toISOString() } : {}),
    ...(Number.isFinite(period.untilMs) ? { notAfter: new Date(period.untilMs).toISOString() } : {}),
  };
};

/** Throws ERR_NOT_FOUND for a reviewer, role, group or tenant that is not there, ERR_MALFORMED_REQUEST for a date or a number of items that cannot be. */
export function startReview(
  id: string,
  asked: Pick<Review, 'name' | 'scope' | 'reviewers' | 'dueAt' | 'reason' | 'startedBy'>,
  bundle: PolicyBundle,
  nowMs: number,
): Review {
  const { scope, reviewers, dueAt } = asked;
  const people = new Set(bundle.principals.filter(({ kind, disabled }) => kind === 'person' && !disabled).map((principal) => principal.id));
  const groups = new Set((bundle.groups ?? []).map(({ tenant, id: group }) => `${tenant}/${group}`));
  for (const reviewer of reviewers) {
    const group = groupIn(reviewer);
    if (group === undefined ? !people.has(reviewer) : !groups.has(group))
      throw new ProblemError('ERR_NOT_FOUND', `${reviewer} is no enabled person and no group.`);
  }
  if (Date.parse(dueAt) <= nowMs) throw new ProblemError('ERR_MALFORMED_REQUEST', 'dueAt is in the past.');
  if ('group' in scope && !groups.has(scope.group)) throw new ProblemError('ERR_NOT_FOUND', `There is no group ${scope.group}.`);
  if ('role' in scope && !bundle.roles.some((role) => role.id === scope.role))
    throw new ProblemError('ERR_NOT_FOUND', `There is no role ${scope.role}.`);
  const items = inScope(bundle, scope, nowMs).map(itemOf);
  if (items.length === 0) throw new ProblemError('ERR_NOT_FOUND', 'Nobody has anything of that scope.');
  if (items.length > reviewLimits.items)
    throw new ProblemError(
      'ERR_MALFORMED_REQUEST',
      `${items.length} assignments are more than ${reviewLimits.items}: review a role, a group or a tenant.`,
    );
  const startedAt = new Date(nowMs).toISOString();
  return { id, revision: 1, ...asked, state: 'open', startedAt, overdueTold: false, items };
}

/** Who decides: somebody who is named, or is in a group that is. */
export const isReviewer = ({ reviewers }: Pick<Review, 'reviewers'>, principal: string, groups: readonly string[]): boolean =>
  reviewers.some((reviewer) => {
    const group = groupIn(reviewer);
    return group === undefined ? reviewer === principal : groups.includes(group);
  });

export interface Decided {
  assignment: string;
  decision: 'keep' | 'revoke';
  reason: string;
}

/** `isSelf`: whether that principal is the one who decides, under whatever name. Throws ERR_REVIEW_CLOSED, ERR_NOT_FOUND, ERR_SELF_REVIEW. */
export function decideReview(
  review: Review,
  decisions: readonly Decided[],
  by: string,
  at: string,
  isSelf: (principal: string) => boolean,
): Review {
  assertOpen(review);
  const decided = new Map(decisions.map((each) => [each.assignment, each]));
  const known = new Set(review.items.map(({ assignment }) => assignment));
  for (const assignment of decided.keys())
    if (!known.has(assignment)) throw new ProblemError('ERR_NOT_FOUND', `${assignment} is not in this review.`);
  const items = review.items.map((item) => {
    const found = decided.get(item.assignment);
    if (!found) return item;
    if (isSelf(item.principal)) throw new ProblemError('ERR_SELF_REVIEW', `${item.assignment} is your own.`);
    return { ...item, decision: { decision: found.decision, by, at, reason: found.reason } };
  });
  return { ...review, items };
}

/** Every item with what becomes of it. Throws ERR_REVIEW_CLOSED, ERR_REVIEW_INCOMPLETE. */
export function settled(review: Review, undecided: 'refuse' | 'keep' | 'revoke', by: string, at: string, reason: string): Review {
  assertOpen(review);
  const open = review.items.filter(({ decision }) => !decision);
  if (undecided === 'refuse' && open.length > 0)
    throw new ProblemError('ERR_REVIEW_INCOMPLETE', `${open.length} of ${review.items.length} assignments are not decided.`);
  const items = review.items.map((item) =>
    item.decision || undecided === 'refuse' ? item : { ...item, decision: { decision: undecided, by, at, reason } },
  );
  return { ...review, items };
}

export const revokedIn = (review: Review): Set<string> =>
  new Set(review.items.flatMap(({ assignment, decision }) => (decision?.decision === 'revoke' ? [assignment] : [])));

export function summaryOf(review: Review, nowMs: number): ReviewSummary {
  const { id, name, scope, reviewers, state, startedAt, startedBy, dueAt, items, completed } = review;
  const count = (decision?: string) => items.filter((item) => item.decision?.decision === decision).length;
  return {
    ...{ reviewId: id, name, scope, reviewers, state, startedAt, startedBy, dueAt },
    overdue: state === 'open' && Date.parse(dueAt) <= nowMs,
    ...{ items: items.length, kept: count('keep'), revoked: count('revoke'), undecided: count(undefined) },
    ...(completed ? { completed } : {}),
  };
}

type ReviewEvent = 'io.claviger.access.review-started' | 'io.claviger.access.review-overdue' | 'io.claviger.access.review-completed';

/** Its id is the same however often it is told. */
export const reviewEvent = (type: ReviewEvent, review: Review, by: string, time: string): CloudEvent => {
  const { id, name, reviewers, dueAt, items } = review;
  const undecided = items.filter(({ decision }) => !decision).length;
  const data = { reviewId: id, name, reviewers, dueAt, items: items.length, undecided, by };
  return cloudEvent(type, { id: `${id}.${type.split('.').at(-1)}`, source: 'claviger/policy', time, subject: id, data });
};

/** When it is to be looked after: at its due date, until that is told. */
export const reviewDueAt = ({ state, overdueTold, dueAt }: Review): string | null => (state === 'open' && !overdueTold ? dueAt : null);

function assertOpen({ id, state }: Review): void {
  if (state !== 'open') throw new ProblemError('ERR_REVIEW_CLOSED', `${id} is completed.`);
}
