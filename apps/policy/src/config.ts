import { commonConfiguration, owedRecordConfiguration, seedFile, storeConfiguration, tokenConfiguration } from '@claviger/operability';
import { z } from 'zod';

export const Config = z.object({
  ...commonConfiguration,
  ...tokenConfiguration,
  ...owedRecordConfiguration,
  ...storeConfiguration('claviger_policy'),
  CALLOUT_ISSUER_FILE: seedFile('SA', "file with the nkey seed (SA…) of the broker's auth callout issuer"),
  CALLOUT_XKEY_FILE: seedFile('SX', 'file with the curve seed (SX…) that opens auth callout requests'),
  AUTHENTICATION_MAX_AGE_SECONDS: z.coerce
    .number('must be a whole number')
    .int()
    .min(900)
    .max(2_592_000)
    .default(43_200)
    .describe('an authentication older than this admits nobody and renews no token'),
  ACCESS_SWEEP_SECONDS: z.coerce
    .number('must be a whole number')
    .int()
    .min(1)
    .max(3_600)
    .default(60)
    .describe('how often reviews that are overdue, and access that nobody uses, are looked for'),
  TOKEN_KEY_DAYS: z.coerce
    .number('must be a whole number')
    .int()
    .min(1)
    .max(365)
    .default(30)
    .describe('a key that signs tokens is followed by another after so many days'),
  OIDC_ISSUERS_FILE: z.string().optional(),
  SPIFFE_TRUST_DOMAINS_FILE: z.string().optional(),
  POLICY_SEED_DIR: z.string().optional(),
  BROKER_LOG_FILE: z.string().optional(),
});
export type Config = z.output<typeof Config>;
