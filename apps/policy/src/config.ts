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
  OIDC_ISSUERS_FILE: z.string().optional(),
  POLICY_SEED_DIR: z.string().optional(),
  BROKER_LOG_FILE: z.string().optional(),
});
export type Config = z.output<typeof Config>;

const loopback = new Set(['127.0.0.1', '[::1]', 'localhost']);

/** `OIDC_ISSUERS_FILE`: who may vouch for callers. Only asymmetric algorithms: a key set holds public keys (RFC 8725 §3.1). */
export const OidcIssuers = z.array(
  z.strictObject({
    /** `iss`, compared exactly. */
    issuer: z.url(),
    /** `aud` that a token must name. */
    audience: z.string().min(1),
    jwksUri: z.url().refine((url) => {
      const { protocol, hostname } = new URL(url);
      return protocol === 'https:' || (protocol === 'http:' && loopback.has(hostname));
    }, 'must be https'),
    algorithms: z.array(z.enum(['ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512', 'EdDSA'])).min(1),
  }),
);
export type OidcIssuer = z.output<typeof OidcIssuers>[number];
