import { z } from 'zod';
import { BackupCounts, BackupId, EpochId, Wrapped } from './backup-format';
import { defineOperation } from './operation';
import { KeyId, PrincipalId, Timestamp } from './primitives';
import { Trust } from './trust';

const reason = z.string().min(1).max(500);
const count = z.int().min(0);

/** What a look at every key in a backup, or at every restored key, has found. */
export const Proof = z.strictObject({
  at: Timestamp,
  ok: z.boolean(),
  keys: count,
  /** Versions that were proven, by their canary or their public half. */
  proven: count,
  /** Versions that are not what they should be; the first hundred. */
  failed: z.array(z.strictObject({ keyId: KeyId, version: z.int(), detail: z.string() })).max(100),
  failures: count,
  /** Milliseconds that it took. */
  tookMs: count,
});
export type Proof = z.infer<typeof Proof>;

const Failure = z.strictObject({ code: z.string(), detail: z.string() });

export const BackupDescription = z.strictObject({
  backupId: BackupId,
  /** `unreadable`: its epoch's key was destroyed at the end of its retention. */
  state: z.enum(['running', 'complete', 'failed', 'unreadable']),
  epoch: EpochId,
  createdAt: Timestamp,
  by: PrincipalId,
  finishedAt: Timestamp.optional(),
  /** Until then it can be read: when the last of its epoch have been kept as long as they are to be. */
  readableUntil: Timestamp,
  /** In the folder of backups. */
  file: z.string().optional(),
  bytes: count.optional(),
  /** SHA-256 of its last line, which names all others. */
  manifestDigest: z.string().optional(),
  counts: BackupCounts.optional(),
  keysInToken: z.array(KeyId).optional(),
  tampered: z.array(z.string()).optional(),
  /** Leaves of the ledger that its checkpoint covers. */
  ledgerSize: count.optional(),
  uncovered: z.boolean().optional(),
  /** Keys so far, while it is made or verified. */
  progress: z.strictObject({ what: z.enum(['making', 'verifying']), keys: count }).optional(),
  verified: Proof.optional(),
  failure: Failure.optional(),
});
export type BackupDescription = z.infer<typeof BackupDescription>;

export const RestoreDescription = z.strictObject({
  backupId: BackupId,
  state: z.enum(['running', 'complete', 'failed']),
  startedAt: Timestamp,
  finishedAt: Timestamp.optional(),
  by: PrincipalId,
  /** Age of the newest change that is certainly in the backup, when the restore began, in seconds. */
  recoveryPointSeconds: count.optional(),
  progress: z.strictObject({ keys: count, of: count }),
  /** Keys that came up usable, suspended, and destroyed. */
  restored: z.strictObject({ usable: count, suspended: count, destroyed: count, rotated: count }).optional(),
  proof: Proof.optional(),
  failure: Failure.optional(),
});
export type RestoreDescription = z.infer<typeof RestoreDescription>;

/** A key that is destroyed, as its signed record says it. */
export const Tombstone = z.strictObject({ keyId: KeyId, destroyedAt: Timestamp });
export type Tombstone = z.infer<typeof Tombstone>;
export const tombstonesType = 'claviger-tombstones+jws';
/** Every key that was destroyed up to `at`, in pages; signed in the control token. A restore wants all pages of one list. */
export const TombstonePage = z.strictObject({
  site: z.string(),
  /** Of the list: when it was begun. */
  at: Timestamp,
  page: z.int().min(0),
  last: z.boolean(),
  tombstones: z.array(Tombstone).max(1_000),
});
export type TombstonePage = z.infer<typeof TombstonePage>;

export const backupOperations = {
  create: defineOperation({
    name: 'backup.create',
    action: 'backup:Create',
    summary: 'Begin a backup of every key, KEK, the policies and the newest checkpoint of the ledger; `describe` says how far it is.',
    retry: 'never',
    input: { reason },
    result: z.strictObject({ backupId: BackupId }),
  }),
  list: defineOperation({
    name: 'backup.list',
    action: 'backup:List',
    summary: 'Backups, newest first, with until when each can be read.',
    retry: 'safe',
    input: { limit: z.int().min(1).max(200).default(50) },
    result: z.strictObject({ backups: z.array(BackupDescription) }),
  }),
  describe: defineOperation({
    name: 'backup.describe',
    action: 'backup:List',
    summary: 'One backup: what is in it and what is not, its progress, and what its last verification found.',
    retry: 'safe',
    input: { backupId: BackupId },
    result: BackupDescription,
  }),
  verify: defineOperation({
    name: 'backup.verify',
    action: 'backup:Verify',
    summary: 'Begin to verify a backup: every line, and every key in it by its canary, in the token. `describe` says how far it is.',
    retry: 'safe',
    input: { backupId: BackupId },
    result: z.strictObject({ backupId: BackupId }),
  }),
  tombstones: defineOperation({
    name: 'backup.tombstones',
    action: 'backup:List',
    summary: 'A page of the signed list of every key that is destroyed, which a restore needs so that they stay destroyed.',
    retry: 'safe',
    input: { after: KeyId.optional(), at: Timestamp.optional(), page: z.int().min(0).default(0) },
    result: z.strictObject({ signed: z.string(), next: KeyId.optional() }),
  }),
  restore: defineOperation({
    name: 'backup.restore',
    action: 'backup:Restore',
    summary:
      'Begin, or go on with, the restore of a backup into this site, which has no keys. The key of its epoch comes from its escrow, already under this site’s root.',
    retry: 'safe',
    input: {
      reason,
      /** In the folder of backups. */
      file: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, 'a file name, without a folder'),
      /** Public keys of the site that the backup is of. */
      trust: Trust,
      epochKey: z.strictObject({ rootLabel: z.string(), ...Wrapped.shape }),
      /** A checkpoint of that site's ledger that is newer than the backup, and every key that was destroyed up to then. Without both, every key comes up suspended. */
      evidence: z
        .strictObject({
          checkpoint: z.string().max(131_072),
          /** File names, in the same folder. */
          tombstones: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, 'a file name, without a folder'),
        })
        .optional(),
    },
    result: RestoreDescription,
  }),
  restoreStatus: defineOperation({
    name: 'backup.restore-status',
    action: 'backup:List',
    summary: 'How far the restore of this site is, and what it has found.',
    retry: 'safe',
    input: {},
    result: z.strictObject({ restore: RestoreDescription.optional() }),
  }),
} as const;
