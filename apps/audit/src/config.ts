import { commonConfiguration, storeConfiguration, tokenConfiguration } from '@claviger/operability';
import { z } from 'zod';

export const Config = z.object({
  ...commonConfiguration,
  ...tokenConfiguration,
  ...storeConfiguration('claviger_audit'),
  /** Shortest time between two signed checkpoints. */
  CHECKPOINT_EVERY_MS: z.coerce.number('must be a whole number').int().min(50).max(60_000).default(500),
  /** Clear personal values beside the ledger are erased after this. */
  PERSONAL_RETENTION_DAYS: z.coerce.number('must be a whole number').int().min(1).max(3_650).default(365),
});
export type Config = z.output<typeof Config>;
