import { z } from 'zod';
import { ApproversAsked, ChangeId } from './changes';
import { Classification, Environment, PrincipalId, principalPattern, printable, RoleId, Timestamp } from './primitives';

export const elevationLimits = {
  rules: 200,
  minutesMost: 10_080,
  breakGlassMinutesMost: 240,
  usesMost: 1_000_000,
  /** Break-glass that was not reviewed yet. */
  openReviews: 200,
  /** Distinct people who close a review; none of them had to do with it. */
  reviewers: 2,
  /** Whoever has to review is told so often. */
  toldEveryHours: 24,
  /** A grant that is over stays in the bundle for so long, for people to see. */
  sweptAfterMinutes: 10,
} as const;

const RuleId = z.string().regex(principalPattern, 'a rule id is 1 to 64 of a-z, 0-9 and -');
/** Roles, and groups as `group:tenant/id`: whoever has one of them. */
const Those = z.array(printable(200)).min(1).max(32);
const about = {
  id: RuleId,
  description: printable(500).optional(),
  /** Who may ask. */
  requesters: Those,
  ...ApproversAsked,
};
const bounds = {
  maxMinutes: z.int().min(1).max(elevationLimits.minutesMost),
  /** Only with so many uses or fewer, which have to be asked for. */
  maxUses: z.int().min(1).max(elevationLimits.usesMost).optional(),
  /** Whoever asks needs a session with a second factor. */
  mfa: z.boolean(),
};

/** Who may ask for a role for a time … */
export const RoleElevation = z.strictObject({ ...about, ...bounds, role: RoleId });
/** … or for actions on single keys, of all environments and classifications where these are left out. */
export const KeyElevation = z.strictObject({
  ...about,
  ...bounds,
  actions: z
    .array(z.string().regex(/^[a-z]{1,32}:[A-Za-z]{1,64}$/, 'not an action'))
    .min(1)
    .max(64),
  environments: z.array(Environment).min(1).max(Environment.options.length).optional(),
  classifications: z.array(Classification).min(1).max(Classification.options.length).optional(),
});
/** What may be asked for, by whom, for how long, and who has to approve. Where several match what is asked for, all of them hold. What none matches is refused. */
export const Elevation = z.union([RoleElevation, KeyElevation]);
export type Elevation = z.infer<typeof Elevation>;

/** Who may have a role at once in an emergency, with the approval of others, and who reviews it afterwards. Always with a second factor. */
export const BreakGlass = z.strictObject({
  ...about,
  role: RoleId,
  maxMinutes: z.int().min(1).max(elevationLimits.breakGlassMinutesMost),
  /** Who closes the review: two of these who had nothing to do with it. */
  reviewers: Those,
});
export type BreakGlass = z.infer<typeof BreakGlass>;

/** Of a grant that was asked for: by which change request, who approved it, and why. The policy service alone writes it. */
export const Elevated = z.strictObject({
  by: z.enum(['request', 'break-glass']),
  rules: z.array(RuleId).min(1).max(elevationLimits.rules),
  change: ChangeId,
  reason: printable(500),
  approvedBy: z.array(PrincipalId).min(1).max(99),
});
export type Elevated = z.infer<typeof Elevated>;

/** A break-glass that has to be reviewed. It stays in the bundle until two others closed it, whatever is published; its id is that of the grant. */
export const BreakGlassReview = z.strictObject({
  id: RuleId,
  rule: RuleId,
  principal: PrincipalId,
  role: RoleId,
  change: ChangeId,
  reason: printable(500),
  /** Who asked, and who approved. */
  involved: z.array(PrincipalId).min(2).max(100),
  from: Timestamp,
  until: Timestamp,
  /** As the rule had it; where the rule is there still, what it says now counts. */
  reviewers: Those,
  toldAt: Timestamp,
  closings: z.array(z.strictObject({ by: PrincipalId, reason: printable(500), at: Timestamp })).max(elevationLimits.reviewers),
});
export type BreakGlassReview = z.infer<typeof BreakGlassReview>;
