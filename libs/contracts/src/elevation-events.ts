import { z } from 'zod';
import { BreakGlassReview, Elevated } from './elevation';
import { KeyId, PrincipalId, RoleId, Timestamp } from './primitives';

/** What events say of a grant. */
export const AboutGrant = z.strictObject({
  ...{ grant: z.string(), principal: PrincipalId, role: RoleId.optional(), action: z.string().optional(), key: KeyId.optional() },
  ...{ from: Timestamp.optional(), until: Timestamp.optional(), elevated: Elevated.optional() },
});

export const AboutBreakGlass = BreakGlassReview.pick({
  principal: true,
  role: true,
  change: true,
  reason: true,
  involved: true,
  from: true,
  until: true,
}).extend({
  ...{ review: z.string(), reviewers: z.array(z.string()), closedBy: z.array(PrincipalId) },
});
