import { z } from 'zod';
import { defineOperation } from './operation';
import { KeyId, PrincipalId, Timestamp } from './primitives';
import { Quota } from './quotas';

/** Counts of one window: `given` out to processes, of which those may hold some that they have not let through yet. `at` is the begin of the window. */
const counted = z.strictObject({
  principal: PrincipalId.optional(),
  keyId: KeyId.optional(),
  given: z.int(),
});

export const quotaOperations = {
  listQuotas: defineOperation({
    name: 'policy.list-quotas',
    action: 'policy:ReadQuotas',
    summary: 'The quotas in force, and what was given out of each in the window of now.',
    retry: 'safe',
    input: {},
    result: z.strictObject({
      quotas: z.array(
        z.strictObject({
          quota: Quota,
          /** When the window of now began. */
          since: Timestamp,
          /** How many are counted apart; absent where there are more than can be read at once. */
          counts: z.int().optional(),
          /** The highest of them. */
          highest: counted.optional(),
        }),
      ),
    }),
  }),
  showQuota: defineOperation({
    name: 'policy.show-quota',
    action: 'policy:ReadQuotas',
    summary:
      'One quota, and how much of it was given out in the window of now, to whom; the highest counts first. Of more than 1,024 counts, name a principal or a key.',
    retry: 'safe',
    input: { quota: z.string().max(64), principal: PrincipalId.optional(), keyId: KeyId.optional() },
    result: z.strictObject({ quota: Quota, since: Timestamp, until: Timestamp, counts: z.array(counted) }),
  }),
} as const;
