import { z } from 'zod';
import { BackupCounts, BackupId, EpochId, Wrapped } from './backup-format';
import { defineOperation } from './operation';
import { KeyId, PrincipalId, RootLabel, Timestamp } from './primitives';

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
  restored: z
    .strictObject({
      ...{ usable: count, suspended: count, destroyed: count, rotated: count },
      aliases: count.optional(),
      /** Their key is not here. */
      aliasesLeftOut: count.optional(),
    })
    .optional(),
  proof: Proof.optional(),
  failure: Failure.optional(),
});
export type RestoreDescription = z.infer<typeof RestoreDescription>;

/** A key that must not come back as it was: it was destroyed, suspended, or (versions of it) marked as compromised. */
export const Tombstone = z.strictObject({ keyId: KeyId, is: z.enum(['destroyed', 'suspended', 'compromised']) });
export type Tombstone = z.infer<typeof Tombstone>;
export const tombstonesType = 'claviger-tombstones+jws';
/** Every such key with an id after `after` up to `to`; signed in the control token. All pages of a list, from the first id to the last, are what a restore wants. */
export const TombstonePage = z.strictObject({
  site: z.string(),
  at: Timestamp,
  /** Leaves of the ledger that were signed for before the page was read: what they tell is in it. */
  ledgerSize: count,
  /** Left out on the first page. */
  after: KeyId.optional(),
  /** Left out on the last page. */
  to: KeyId.optional(),
  tombstones: z.array(Tombstone).max(2_000),
});
export type TombstonePage = z.infer<typeof TombstonePage>;
const fileName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, 'a file name, without a folder');

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
    summary:
      'Backups, newest first, with until when each can be read; the ids of keys that are not in one, or not proven, are in its description only.',
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
    summary:
      'A page of the signed list of every key that is destroyed, suspended or compromised, which a restore needs so that they stay so.',
    retry: 'safe',
    input: { after: KeyId.optional() },
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
      file: fileName,
      /** trust.json of the site that the backup is of, as text. */
      trust: z.string().max(65_536),
      epochKey: z.strictObject({ rootLabel: RootLabel, ...Wrapped.shape }),
      /** A checkpoint of that site's ledger that is newer than the backup, and every key that was destroyed up to then. Without both, every key comes up suspended. */
      evidence: z
        .strictObject({
          checkpoint: z.string().max(131_072),
          /** The list, in the same folder. */
          tombstones: fileName,
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
