import { z } from 'zod';
import { TokenLabel } from './further-tokens';
import { defineOperation } from './operation';
import { JobDescription } from './rewrap-operations';
import { TokenStatement } from './token-statement';

const reason = z.string().min(1).max(500);

/** From one HSM to another, and the end of the one that is left. */
export const migrationOperations = {
  migrateToken: defineOperation({
    name: 'keys.migrate-token',
    action: 'keys:MigrateToken',
    summary:
      'A new root in another token, to which every key-encryption key goes inside the HSMs, and with them all keys that they wrap; keys are used meanwhile. Refused unless every worker reaches that token, and nothing is changed unless every key can be used in it.',
    retry: 'safe',
    input: { token: TokenLabel, reason },
    result: JobDescription,
  }),
  proveTokenEmpty: defineOperation({
    name: 'keys.prove-token-empty',
    action: 'keys:ProveTokenEmpty',
    summary:
      'That a token which another one took the place of holds nothing of Claviger any more: a worker lists every object in it, what only workers needed of it is destroyed, and what is left is signed, and recorded. Refused while a root, a key, or unless it may stay anything else is in it.',
    retry: 'never',
    input: { token: TokenLabel, leaveForeign: z.boolean().default(false), reason },
    result: z.strictObject({ statement: z.string(), said: TokenStatement }),
  }),
} as const;
