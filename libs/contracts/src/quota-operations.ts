import { z } from 'zod';
import { defineOperation } from './operation';
import { KeyId, PrincipalId, Timestamp } from './primitives';
import { Quota } from './quotas';

/** `given`: out of the limit to processes, of which those that live may hold some that they have not let through yet. What was returned is not in it. */
const counted = z.strictObject({ principal: PrincipalId.optional(), keyId: KeyId.optional(), given: z.int() });

export const quotaOperations = {
  listQuotas: defineOperation({
    name: 'policy.list-quotas',
    action: 'policy:ReadQuotas',
    summary:
      'The quotas in force and how much of each is given out in the window of now; grants of limited use and how many of their uses are.',
    retry: 'safe',
    input: {},
    result: z.strictObject({
      quotas: z.array(
        z.strictObject({
          quota: Quota,
          /** When the window of now began. */
          since: Timestamp,
          /** How many are counted apart; absent where they are more than can be read at once (1,024). */
          counts: z.int().optional(),
          /** The highest of them. */
          highest: counted.optional(),
        }),
      ),
      /** Those of limited use. */
      grants: z.array(z.strictObject({ grant: z.string(), principal: PrincipalId, uses: z.int(), given: z.int() })),
    }),
  }),
  showQuota: defineOperation({
    name: 'policy.show-quota',
    action: 'policy:ReadQuotas',
    summary:
      'One quota, and how much of it is given out in the window of now, to whom, the highest first. Where it counts more than 1,024 apart, name a principal or a key.',
    retry: 'safe',
    input: { quota: z.string().min(1).max(64), principal: PrincipalId.optional(), keyId: KeyId.optional() },
    result: z.strictObject({ quota: Quota, since: Timestamp, until: Timestamp, counts: z.array(counted) }),
  }),
} as const;
