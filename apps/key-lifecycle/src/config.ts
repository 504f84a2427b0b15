import { commonConfiguration, tokenConfiguration } from '@claviger/operability';
import { z } from 'zod';

export const Config = z.object({
  ...commonConfiguration,
  ...tokenConfiguration,
  MONGODB_URL: z
    .string()
    .regex(/^mongodb(\+srv)?:\/\//, 'must start with mongodb:// or mongodb+srv://')
    .describe('URL of the document store'),
  MONGODB_DATABASE: z
    .string()
    .regex(/^[a-z0-9_]{1,60}$/, 'must be 1 to 60 of a-z, 0-9 and _')
    .default('claviger_keys'),
  DELETION_SWEEP_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(3_600).default(60),
});
export type Config = z.output<typeof Config>;
