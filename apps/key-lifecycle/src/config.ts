import { limits } from '@claviger/contracts';
import { commonConfiguration, owedRecordConfiguration, storeConfiguration, tokenConfiguration } from '@claviger/operability';
import { z } from 'zod';

export const Config = z.object({
  ...commonConfiguration,
  ...tokenConfiguration,
  ...owedRecordConfiguration,
  ...storeConfiguration('claviger_keys'),
  /** AES-GCM encryptions under one key version, over all workers. */
  GCM_INVOCATIONS_MAX: z.coerce.number('must be a whole number').int().min(1).max(limits.gcmInvocations).default(limits.gcmInvocations),
  /** From this share of them on an event asks for rotation. */
  GCM_ROTATE_AT: z.coerce.number('must be a number').min(0.01).max(1).default(0.5),
  /** How often a page of 200 documents is compared with what is signed in them, and with what the workers have. */
  STORE_CHECK_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(3_600).default(10),
  /** An object that was made in a token for a key, and that no document names after so long, is destroyed. Longer than the making of a key takes. */
  ORPHAN_SECONDS: z.coerce.number('must be a whole number').int().min(10).max(3_600).default(1_800),
  /** Keys that a job wraps under another KEK in a second, at most, in each replica: it shares workers, store and broker with everybody's requests. */
  REWRAP_KEYS_PER_SECOND: z.coerce.number('must be a whole number').int().min(1).max(10_000).default(200),
  DUE_SWEEP_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(3_600).default(10),
});
export type Config = z.output<typeof Config>;
