import { z } from 'zod';
import { defineOperation } from './operation';
import { KeyId, PrincipalId, Timestamp } from './primitives';

export const activityLimits = { questions: 10, uses: 40, actions: 120, policies: 200 } as const;

/** `unused`: the ledger has no such record since the instant asked about. `unknown`: it could not be told in the time there was; that is not `unused`. */
export const Activity = z.strictObject({
  known: z.enum(['used', 'unused', 'unknown']),
  at: Timestamp.optional(),
  /** Of the leaf in the ledger. */
  index: z.int().min(0).optional(),
});
export type Activity = z.infer<typeof Activity>;

/** One way in which access is used: one of these actions, by one of these policies where they are given, on this key where it is given. */
export const UseAsked = z.strictObject({
  id: z.string().min(1).max(256),
  actions: z.array(z.string().max(64)).min(1).max(activityLimits.actions),
  policies: z.array(z.string().max(64)).max(activityLimits.policies).optional(),
  keyId: KeyId.optional(),
});
export type UseAsked = z.infer<typeof UseAsked>;

export const ActivityQuestion = z.strictObject({
  principal: PrincipalId,
  since: Timestamp,
  uses: z.array(UseAsked).max(activityLimits.uses),
});
export type ActivityQuestion = z.infer<typeof ActivityQuestion>;

export const ActivityAnswer = z.strictObject({
  principal: PrincipalId,
  /** When it last opened a session. */
  session: Activity,
  uses: z.array(z.strictObject({ id: z.string(), activity: Activity })),
});
export type ActivityAnswer = z.infer<typeof ActivityAnswer>;

export const lastActivities = defineOperation({
  name: 'audit.last-activities',
  action: 'internal',
  summary: 'When principals last opened a session, and last used what they have, by the ledger.',
  retry: 'safe',
  input: { questions: z.array(ActivityQuestion).min(1).max(activityLimits.questions) },
  result: z.strictObject({ answers: z.array(ActivityAnswer) }),
});
