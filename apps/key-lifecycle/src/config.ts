import { limits, Region } from '@claviger/contracts';
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
  /** A mounted place for backups; left out, none are made here. All replicas have the same. */
  BACKUP_FOLDER: z.string().min(1).optional(),
  /** … and one for the escrows of their keys, elsewhere: who has both and the recovery group's shares has every key. */
  BACKUP_ESCROW_FOLDER: z.string().min(1).optional(),
  /** Id of the recovery group in trust.json that backups are encrypted to; where there is one, that. */
  BACKUP_RECOVERY_GROUP: z.string().optional(),
  /** Hours between two backups, and between two looks at every key in the newest one; 0: only on demand. */
  BACKUP_EVERY_HOURS: z.coerce.number('must be a number').min(0).max(8_760).default(24),
  BACKUP_VERIFY_HOURS: z.coerce.number('must be a number').min(0).max(8_760).default(168),
  /** Days that backups are made under one key, and that the last of them are kept: then that key and its escrow are destroyed. */
  BACKUP_EPOCH_DAYS: z.coerce.number('must be a whole number').int().min(1).max(365).default(30),
  BACKUP_RETENTION_DAYS: z.coerce.number('must be a whole number').int().min(1).max(3_650).default(90),
  /** Where this process and its document store are; keys that may be in certain regions only are kept where it is one of them. */
  SITE_REGION: Region.optional(),
  /** An object that was made in a token for a key, and that no document names after so long, is destroyed. Longer than the making of a key takes. */
  ORPHAN_SECONDS: z.coerce.number('must be a whole number').int().min(10).max(3_600).default(1_800),
  /** Keys that a job wraps under another KEK in a second, at most, in each replica: it shares workers, store and broker with everybody's requests. */
  REWRAP_KEYS_PER_SECOND: z.coerce.number('must be a whole number').int().min(1).max(10_000).default(200),
  DUE_SWEEP_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(3_600).default(10),
});
export type Config = z.output<typeof Config>;
