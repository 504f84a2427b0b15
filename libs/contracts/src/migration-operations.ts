import { z } from 'zod';
import { TokenLabel } from './further-tokens';
import { defineOperation } from './operation';
import { JobDescription } from './rewrap-operations';

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
} as const;
