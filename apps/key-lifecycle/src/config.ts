import { commonConfiguration, owedRecordConfiguration, storeConfiguration, tokenConfiguration } from '@claviger/operability';
import { z } from 'zod';

export const Config = z.object({
  ...commonConfiguration,
  ...tokenConfiguration,
  ...owedRecordConfiguration,
  ...storeConfiguration('claviger_keys'),
  DELETION_SWEEP_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(3_600).default(60),
});
export type Config = z.output<typeof Config>;
