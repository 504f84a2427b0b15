import { z } from 'zod';
import { Algorithm, KeyUsage } from './algorithms';
import { Alias, b64u, KekId, KeyId, Timestamp } from './primitives';
import { Trust } from './trust';
import { KeyMaterial } from './views';

/**
 * A backup is a file of lines, each a compact JWS signed in the control token: a header, chunks, and the manifest. Each names the digest of the line
 * before it, so that what was cut off, put elsewhere or taken from another backup is found at its own line, by anybody who has the public keys in trust.json.
 * What is in the chunks is sealed in the HSM (docs/adr/0029-backups.md).
 */
export const backupFormat = 'claviger.backup/1';
/** JWS `typ` of the three kinds of lines. */
export const backupLineTypes = {
  header: 'claviger-backup-header+jws',
  chunk: 'claviger-backup-chunk+jws',
  manifest: 'claviger-backup-manifest+jws',
} as const;

/** `b_`, its time as digits, and 10 random letters and digits: ids sort by time. */
export const BackupId = z
  .string()
  .regex(/^b_[0-9]{17}_[A-Za-z0-9]{10}$/, 'a backup id is b_, a time of 17 digits, _ and 10 letters and digits');
/** Under one epoch's key lie the backups of that time. */
export const EpochId = z
  .string()
  .regex(/^e_[0-9]{17}_[A-Za-z0-9]{10}$/, 'an epoch id is e_, a time of 17 digits, _ and 10 letters and digits');

/** A key as it left the token wrapped: what it is wrapped under is said by where this stands. */
export const Wrapped = z.strictObject({ mechanism: z.int(), family: z.string().max(32), wrapped: b64u(4_096) });
export type Wrapped = z.infer<typeof Wrapped>;

const digest = b64u(32, 32);

export const BackupHeader = z.strictObject({
  format: z.literal(backupFormat),
  backupId: BackupId,
  epoch: EpochId,
  /** The recovery group that the epoch's key is escrowed to. */
  group: z.string(),
  /** Name of the site's ledger. */
  site: z.string(),
  createdAt: Timestamp,
  /** Seals the chunks; wrapped under the epoch's key, and used for this backup alone. */
  dataKey: Wrapped,
  /** Public keys of the site. */
  trust: Trust,
});
export type BackupHeader = z.infer<typeof BackupHeader>;

/** What a chunk holds is a piece of the NDJSON of its part; a line may go on in the next chunk of the same part. */
export const BackupPart = z.enum(['keks', 'aliases', 'keys', 'late-keks', 'policy']);
export type BackupPart = z.infer<typeof BackupPart>;

export const BackupChunk = z.strictObject({
  backupId: BackupId,
  /** From 1 on, without a gap. */
  n: z.int().min(1),
  part: BackupPart,
  /** SHA-256 of the line before. */
  prev: digest,
  /** AES-256-GCM: ciphertext ‖ tag. */
  sealed: z.string(),
});
export type BackupChunk = z.infer<typeof BackupChunk>;

const count = z.int().min(0);
export const BackupCounts = z.strictObject({
  keys: count,
  versions: count,
  keks: count,
  /** Versions whose material can be proven after a restore: by a canary, or by their public half. */
  proven: count,
  /** Keys that were destroyed: of these the record is in the backup, and no material. */
  destroyed: count,
  /** Versions whose material stays in its token, so that it is not in the backup. */
  inToken: count,
  /** Absent in backups from before they held aliases. */
  aliases: count.optional(),
});
export type BackupCounts = z.infer<typeof BackupCounts>;

export const BackupManifest = z.strictObject({
  backupId: BackupId,
  chunks: count,
  prev: digest,
  finishedAt: Timestamp,
  /** Every change up to `from` is in the backup, some up to `to`. */
  snapshot: z.strictObject({ from: Timestamp, to: Timestamp }),
  counts: BackupCounts,
  /** Keys with material that is not in the backup, since it stays in its token; the first thousand. */
  keysInToken: z.array(KeyId).max(1_000),
  /** Keys and aliases whose document somebody else wrote: they are not in the backup. The first hundred. */
  tampered: z.array(z.string().max(140)).max(100),
  /** The ledger's newest checkpoint: it covers every change that is in the backup, unless `uncovered`. */
  checkpoint: z.strictObject({ note: z.string().max(131_072), size: count, streamSeq: count }).optional(),
  /** There was no checkpoint in time that covers every change in the backup. */
  uncovered: z.boolean(),
});
export type BackupManifest = z.infer<typeof BackupManifest>;

/**
 * By what a key version is proven after a restore. Made once, in a worker, and kept beside the key. AES-GCM: nothing encrypted, the name of the version
 * authenticated (one invocation, counted); HMAC and key wrap: of a text that names it. Pairs have their public half in the key's signed document.
 */
export const Canary = z.strictObject({ iv: b64u(12, 12).optional(), tag: b64u(72) });
export type Canary = z.infer<typeof Canary>;
/** What a canary is made of. */
export const canaryText = (keyId: string, version: number): string => `claviger-canary/1 ${keyId}#${version}`;

/** A version whose canary is to be made, or checked. */
export const CanarySubject = z.strictObject({
  keyId: KeyId,
  version: z.int().min(1),
  algorithm: Algorithm,
  usage: KeyUsage,
  material: KeyMaterial,
  publicKeySpki: z.string().optional(),
  canary: Canary.optional(),
});
export type CanarySubject = z.infer<typeof CanarySubject>;

/** A KEK in a backup: as it is stored, and its material under the epoch's key; of one that is destroyed, its record alone. */
export const KekInBackup = z.looseObject({ kekId: KekId, material: Wrapped.optional() });
export type KekInBackup = z.infer<typeof KekInBackup>;

/** A key in a backup: the signed documents as they are stored. */
export const KeyInBackup = z.strictObject({
  keyId: KeyId,
  revision: z.int().min(1),
  signed: z.string(),
  invocations: z.string(),
  /** By version, as text. */
  canaries: z.record(z.string(), Canary),
});
export type KeyInBackup = z.infer<typeof KeyInBackup>;

/** An alias in a backup: the signed document as it is stored. */
export const AliasInBackup = z.strictObject({ alias: Alias, revision: z.int().min(1), signed: z.string() });
export type AliasInBackup = z.infer<typeof AliasInBackup>;

export const escrowType = 'claviger-backup-escrow+jws';
/** An epoch's key for the recovery group, in a file of its own, apart from the backups; signed in the control token. */
export const Escrow = z.strictObject({
  epoch: EpochId,
  group: z.string(),
  site: z.string(),
  createdAt: Timestamp,
  /** Wrapped to the group's public key. */
  wrapped: b64u(2_048),
});
export type Escrow = z.infer<typeof Escrow>;
