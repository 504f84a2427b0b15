import { z } from 'zod';
import { ApproversAsked, ChangeId, ChangeState } from './changes';
import { BreakGlassReview, elevationLimits } from './elevation';
import { GrantContext } from './grant-context';
import { defineOperation } from './operation';
import { Action, Grant } from './policy-bundle';
import { KeyId, PrincipalId, printable, RoleId, Timestamp } from './primitives';

const reason = printable(500);
const grantId = z.string().max(64);
/** The grant, and the revision of the bundle that it is in force with. */
const Granted = z.strictObject({ grant: Grant, revision: z.int() });

/** Access for a time, which is asked for and approved, and access in an emergency, which is reviewed. */
export const elevationOperations = {
  request: defineOperation({
    name: 'access.request',
    action: 'access:Request',
    summary:
      'A role, or one action on one key, for yourself and for a time. It needs approval first (ERR_APPROVAL_REQUIRED, `changes.request`); the time begins when the approved change is executed.',
    retry: 'never',
    input: {
      /** Either a role … */
      role: RoleId.optional(),
      /** … or an action and a key. */
      action: Action.optional(),
      key: KeyId.optional(),
      /** Only for requests with such an encryption context. */
      context: GrantContext.optional(),
      minutes: z.int().min(1).max(elevationLimits.minutesMost),
      uses: z.int().min(1).max(elevationLimits.usesMost).optional(),
      reason,
    },
    result: Granted,
  }),
  requests: defineOperation({
    name: 'access.requests',
    action: 'access:ReadGrants',
    summary: 'Requests for access, newest first: all of them for readers, else those that the caller made or may approve.',
    retry: 'safe',
    input: { state: ChangeState.optional(), before: Timestamp.optional(), limit: z.int().min(1).max(200).default(50) },
    result: z.strictObject({
      requests: z.array(
        z.strictObject({
          change: ChangeId,
          state: ChangeState,
          requester: PrincipalId,
          by: z.enum(['request', 'break-glass']),
          role: RoleId.optional(),
          action: Action.optional(),
          key: KeyId.optional(),
          minutes: z.int(),
          reason: z.string(),
          ...ApproversAsked,
          approvedBy: z.array(PrincipalId),
          requestedAt: Timestamp,
          expiresAt: Timestamp,
        }),
      ),
      next: Timestamp.optional(),
    }),
  }),
  listGrants: defineOperation({
    name: 'access.list-grants',
    action: 'access:ReadGrants',
    summary: 'Grants of the bundle in force that are not over: all of them for readers, else those of the caller.',
    retry: 'safe',
    input: { principal: PrincipalId.optional(), limit: z.int().min(1).max(500).default(200), after: grantId.optional() },
    result: z.strictObject({ grants: z.array(Grant), revision: z.int(), next: grantId.optional() }),
  }),
  revokeGrant: defineOperation({
    name: 'access.revoke-grant',
    action: 'access:RevokeGrant',
    summary: 'End a grant before its time. Its holder may always; it is in force nowhere when this is answered and the bundle has arrived.',
    retry: 'safe',
    input: { grant: grantId, reason },
    result: z.strictObject({
      grant: grantId,
      revision: z.int(),
      /** False where there is none of this id any more. */ changed: z.boolean(),
    }),
  }),
  breakGlass: defineOperation({
    name: 'access.break-glass',
    action: 'access:BreakGlass',
    summary:
      'In an emergency: a role for minutes, with the approval of others and a second factor. It raises an alert, and a review that two others have to close before you can do it again.',
    retry: 'never',
    input: { role: RoleId, minutes: z.int().min(1).max(elevationLimits.breakGlassMinutesMost), reason },
    result: Granted,
  }),
  breakGlassReviews: defineOperation({
    name: 'access.break-glass-reviews',
    action: 'access:ReadGrants',
    summary: 'Break-glass that has not been reviewed: all of it for readers and reviewers, else that of the caller.',
    retry: 'safe',
    input: {},
    result: z.strictObject({ reviews: z.array(BreakGlassReview) }),
  }),
  closeReview: defineOperation({
    name: 'access.close-review',
    action: 'access:CloseReview',
    summary: 'Say that a break-glass was looked into, as one of its reviewers who had nothing to do with it. Two people close it.',
    retry: 'safe',
    input: { review: grantId, reason },
    result: z.strictObject({ review: grantId, closed: z.boolean(), closedBy: z.array(PrincipalId), missing: z.int() }),
  }),
} as const;
