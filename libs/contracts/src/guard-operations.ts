import { z } from 'zod';
import { defineOperation } from './operation';

/** A policy with `@quorum`, and how many could give the approval that it asks for. */
export const GuardShown = z.strictObject({
  policy: z.string(),
  quorum: z.int(),
  approvers: z.array(z.string()),
  /** People who are enabled, with the role or in the group, and with a key to approve with. */
  able: z.int(),
});
export type GuardShown = z.infer<typeof GuardShown>;

export const guardOperations = {
  listGuards: defineOperation({
    name: 'policy.list-guards',
    action: 'policy:Read',
    summary:
      'The policies that ask for the approval of others, and whether people enough could give it: one that so few could does not hold, and whoever publishes policies may change it alone.',
    retry: 'safe',
    input: {},
    result: z.strictObject({ revision: z.int(), guards: z.array(GuardShown.extend({ holds: z.boolean() })) }),
  }),
} as const;
