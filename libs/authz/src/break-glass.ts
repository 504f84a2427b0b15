import { type BreakGlassReview, elevationLimits, type Grant, type PolicyBundle, type Principal, ProblemError } from '@claviger/contracts';
import { strictest } from './approval';
import { isSamePerson } from './approval-keys';
import type { ElevationDecision, Requester } from './elevation';

type Rules = Pick<PolicyBundle, 'breakGlass' | 'breakGlassReviews'>;

/**
 * By which rules a role may be had in an emergency, and whose approval it needs. Throws ERR_ELEVATION_REFUSED, ERR_SECOND_FACTOR_REQUIRED,
 * ERR_REVIEW_OPEN while somebody has not been reviewed.
 */
export function decideBreakGlass(
  { breakGlass = [], breakGlassReviews = [] }: Rules,
  { role, minutes }: { role: string; minutes: number },
  requester: Requester,
): ElevationDecision & { readonly reviewers: readonly string[] } {
  const matching = breakGlass.filter((rule) => rule.role === role && rule.requesters.some((entry) => requester.is(entry)));
  if (matching.length === 0) throw refused(`No rule of breakGlass lets you have the role ${role}.`);
  const mostMinutes = Math.min(...matching.map(({ maxMinutes }) => maxMinutes));
  if (minutes > mostMinutes) throw refused(`You may have the role ${role} for ${mostMinutes} minutes at most.`);
  if (!requester.mfa) throw new ProblemError('ERR_SECOND_FACTOR_REQUIRED', 'Break-glass always does.');
  const open = breakGlassReviews.find(({ principal }) => principal === requester.id);
  if (open) throw new ProblemError('ERR_REVIEW_OPEN', `The review ${open.id}, of ${open.from}, has ${open.closings.length} of 2 people.`);
  const rule = strictest(matching);
  const [first] = matching as [(typeof matching)[number]];
  const reviewers = first.reviewers.filter((entry) => matching.every((one) => one.reviewers.includes(entry)));
  if (!rule || reviewers.length === 0)
    throw refused(`The rules ${matching.map(({ id }) => id).join(', ')} name nobody who could approve, or review, all of it.`);
  return { ...rule, rules: matching.map(({ id }) => id), reviewers };
}

/** The review that a grant of break-glass brings with it. */
export function reviewOf(grant: Grant, reviewers: readonly string[], nowMs: number): BreakGlassReview {
  if (!grant.elevated || !('role' in grant)) throw new Error('a grant that nobody asked for has no review');
  const { change, reason, rules, approvedBy } = grant.elevated;
  const at = new Date(nowMs).toISOString();
  return {
    ...{ id: grant.id, rule: rules[0] as string, principal: grant.principal, role: grant.role, change, reason },
    ...{ involved: [grant.principal, ...approvedBy], from: at, until: grant.notAfter ?? at },
    ...{ reviewers: [...reviewers], toldAt: at, closings: [] },
  };
}

/** Who closes it: what its rule says now, or said then where the rule is gone. */
export const reviewersOf = ({ rule, reviewers }: BreakGlassReview, { breakGlass = [] }: Pick<Rules, 'breakGlass'>): readonly string[] =>
  breakGlass.find(({ id }) => id === rule)?.reviewers ?? reviewers;

export interface Closer {
  readonly id: string;
  is(entry: string): boolean;
}

/** Why somebody cannot close a review, in words; undefined when they can. `principalOf`: by the bundle in force. */
export function whyNotClose(
  review: BreakGlassReview,
  bundle: Pick<Rules, 'breakGlass'>,
  closer: Closer,
  principalOf: (id: string) => Principal | undefined,
): string | undefined {
  const own = principalOf(closer.id);
  if (own?.kind !== 'person') return 'Reviewers are people.';
  const isSame = (id: string) => {
    const other = principalOf(id);
    return id === closer.id || (other !== undefined && isSamePerson(own, other));
  };
  if (review.involved.some(isSame)) return 'You asked for it, or approved it.';
  if (review.closings.some(({ by }) => by !== closer.id && isSame(by))) return 'You did already, under another name.';
  if (!reviewersOf(review, bundle).some((entry) => closer.is(entry))) return `You are none of ${reviewersOf(review, bundle).join(', ')}.`;
  return undefined;
}

/** One more who looked into it, or the same review where it was the same person. Two close it. */
export function closedBy(review: BreakGlassReview, by: string, reason: string, nowMs: number): BreakGlassReview {
  if (review.closings.some((closing) => closing.by === by)) return review;
  return { ...review, closings: [...review.closings, { by, reason, at: new Date(nowMs).toISOString() }] };
}

export const isClosed = ({ closings }: BreakGlassReview): boolean =>
  new Set(closings.map(({ by }) => by)).size >= elevationLimits.reviewers;

/** The bundle with the review as it is now; without it when it is closed. */
export function withReview<B extends Pick<PolicyBundle, 'breakGlassReviews'>>(bundle: B, review: BreakGlassReview): B {
  const { breakGlassReviews = [], ...rest } = bundle;
  const others = breakGlassReviews.filter(({ id }) => id !== review.id);
  const left = isClosed(review) ? others : [...others, review];
  return { ...rest, ...(left.length > 0 ? { breakGlassReviews: left } : {}) } as B;
}

/** Whether its reviewers are to be told again. */
export const isDue = ({ toldAt }: BreakGlassReview, nowMs: number): boolean =>
  Date.parse(toldAt) + elevationLimits.toldEveryHours * 3_600_000 <= nowMs;

const refused = (why: string) => new ProblemError('ERR_ELEVATION_REFUSED', why);
