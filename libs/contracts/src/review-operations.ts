import { z } from 'zod';
import { GroupName, GroupRef, Tenant } from './groups';
import { Activity } from './last-activities';
import { defineOperation } from './operation';
import { Action, GrantId } from './policy-bundle';
import { KeyId, PrincipalId, printable, RoleId, Timestamp } from './primitives';

export const reviewLimits = { items: 5_000, page: 50, decisions: 100, reviewers: 50, open: 100 } as const;

export const ReviewId = z.string().regex(/^ar_[A-Za-z0-9]{22}$/, 'a review id is ar_ and 22 letters and digits');
/** One thing that somebody was given: `role:PRINCIPAL:ROLE`, `group:PRINCIPAL:TENANT/ID` or `grant:ID`. */
export const AssignmentId = z.string().regex(/^(?:role|group|grant):[a-z0-9:/-]{1,250}$/, 'an assignment is named as `reviews show` does');

/** Whose access: everybody's, or that which gives a role, is in a group, or is by the groups of a tenant. */
export const ReviewScope = z.union([
  z.strictObject({ all: z.literal(true) }),
  z.strictObject({ role: RoleId }),
  z.strictObject({ group: GroupName }),
  z.strictObject({ tenant: Tenant }),
]);
export type ReviewScope = z.infer<typeof ReviewScope>;

export const ReviewDecision = z.enum(['keep', 'revoke']);

/** One assignment, as it was when the review began, and what was decided. */
export const ReviewItem = z.strictObject({
  assignment: AssignmentId,
  principal: PrincipalId,
  kind: z.enum(['role', 'group', 'role-grant', 'key-grant']),
  /** Roles that it gives. */
  roles: z.array(RoleId),
  group: GroupName.optional(),
  grant: GrantId.optional(),
  action: Action.optional(),
  key: KeyId.optional(),
  /** Of a grant. */
  notBefore: Timestamp.optional(),
  notAfter: Timestamp.optional(),
  decision: z.strictObject({ decision: ReviewDecision, by: PrincipalId, at: Timestamp, reason: z.string() }).optional(),
});
export type ReviewItem = z.infer<typeof ReviewItem>;

export const ReviewSummary = z.strictObject({
  reviewId: ReviewId,
  name: z.string(),
  scope: ReviewScope,
  /** Principals, and groups as `group:tenant/id`. */
  reviewers: z.array(z.string()),
  state: z.enum(['open', 'completed']),
  startedAt: Timestamp,
  startedBy: PrincipalId,
  dueAt: Timestamp,
  overdue: z.boolean(),
  items: z.int(),
  kept: z.int(),
  revoked: z.int(),
  undecided: z.int(),
  completed: z.strictObject({ at: Timestamp, by: PrincipalId, revision: z.int(), taken: z.int() }).optional(),
});
export type ReviewSummary = z.infer<typeof ReviewSummary>;

const reason = printable(500);

export const reviewOperations = {
  startReview: defineOperation({
    name: 'access.start-review',
    action: 'access:StartReview',
    summary: 'A campaign: who has what now, for reviewers to keep or revoke until the due date.',
    retry: 'never',
    input: {
      name: printable(200),
      scope: ReviewScope,
      reviewers: z
        .array(z.union([PrincipalId, GroupRef]))
        .min(1)
        .max(reviewLimits.reviewers),
      dueAt: Timestamp,
      reason,
    },
    result: ReviewSummary,
  }),
  listReviews: defineOperation({
    name: 'access.list-reviews',
    action: 'access:ReadReviews',
    summary: 'Reviews of access, the newest first.',
    retry: 'safe',
    input: { state: z.enum(['open', 'completed']).optional() },
    result: z.strictObject({ reviews: z.array(ReviewSummary) }),
  }),
  showReview: defineOperation({
    name: 'access.show-review',
    action: 'access:ReadReviews',
    summary: 'A page of a review: each assignment with when it was last used, by the ledger, and what was decided.',
    retry: 'safe',
    input: {
      reviewId: ReviewId,
      /** Items before this one are passed over. */
      from: z.int().min(0).default(0),
      limit: z.int().min(1).max(reviewLimits.page).default(reviewLimits.page),
      undecided: z.boolean().default(false),
      /** Left out, nobody asks the ledger. */
      lastUse: z.boolean().default(true),
    },
    result: z.strictObject({
      review: ReviewSummary,
      items: z.array(
        z.strictObject({
          ...ReviewItem.shape,
          /** `unused`: not since `unusedSince`. `unknown`: it cannot be told; that is not `unused`. */
          lastUse: Activity,
          /** It is not there any more. */
          gone: z.boolean(),
        }),
      ),
      unusedSince: Timestamp,
      /** Where the next page begins; absent at the end. */
      next: z.int().optional(),
    }),
  }),
  decideReview: defineOperation({
    name: 'access.decide-review',
    action: 'access:DecideReview',
    summary:
      'As one of its reviewers, keep or revoke assignments of others. A later decision replaces an earlier one, until the review is completed.',
    retry: 'safe',
    input: {
      reviewId: ReviewId,
      decisions: z
        .array(z.strictObject({ assignment: AssignmentId, decision: ReviewDecision, reason }))
        .min(1)
        .max(reviewLimits.decisions),
    },
    result: ReviewSummary,
  }),
  completeReview: defineOperation({
    name: 'access.complete-review',
    action: 'access:CompleteReview',
    summary: 'Take away what was revoked, in one publication of the policies, and close the review.',
    retry: 'safe',
    input: { reviewId: ReviewId, undecided: z.enum(['refuse', 'keep', 'revoke']).default('refuse'), reason },
    result: ReviewSummary,
  }),
} as const;
