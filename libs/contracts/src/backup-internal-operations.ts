import { z } from 'zod';
import { BackupId, Canary, CanarySubject, Wrapped } from './backup-format';
import { TokenLabel } from './further-tokens';
import { defineOperation } from './operation';
import { b64u, RootLabel } from './primitives';
import { RecoveryGroupId } from './recovery-group';
import { KekMaterial } from './views';

/** Under the token root, as a KEK is. */
const UnderRoot = KekMaterial;
/** What names a chunk, so that it opens as that one only. */
const chunk = { epochKey: UnderRoot, dataKey: Wrapped, backupId: BackupId, n: z.int().min(1) };
const action = 'internal';

/** The largest piece of a backup that is sealed at once. */
export const chunkBytes = 65_536;
/** Versions, or KEKs, of one request. */
export const canariesPerRequest = 64;

/** What a backup needs of the token, of crypto-workers over `claviger-internal.v1.hsm.<verb>`. */
export const backupHsmOperations = {
  generateEpochKey: defineOperation({
    name: 'hsm.generate-epoch-key',
    action,
    summary:
      'Generate the key of an epoch of backups: under the token root, and under the public key of a recovery group that this worker trusts.',
    retry: 'safe',
    input: { group: RecoveryGroupId, rootLabel: RootLabel.optional(), token: TokenLabel.optional() },
    result: z.strictObject({ epochKey: UnderRoot, escrow: b64u(2_048) }),
  }),
  moveEpochKey: defineOperation({
    name: 'hsm.move-epoch-key',
    action,
    summary: 'The key of an epoch of backups from one token root to another, inside the token.',
    retry: 'safe',
    input: { epochKey: UnderRoot, rootLabel: RootLabel, token: TokenLabel.optional() },
    result: UnderRoot,
  }),
  generateBackupKey: defineOperation({
    name: 'hsm.generate-backup-key',
    action,
    summary: 'Generate the key that seals one backup, under the key of its epoch.',
    retry: 'safe',
    input: { epochKey: UnderRoot },
    result: Wrapped,
  }),
  sealBackup: defineOperation({
    name: 'hsm.seal-backup',
    action,
    summary: 'Seal one chunk of a backup (AES-256-GCM; the number of the chunk is the nonce, so each number is for one plaintext).',
    retry: 'never',
    input: { ...chunk, plaintext: b64u(chunkBytes) },
    result: z.strictObject({ sealed: z.string() }),
  }),
  openBackup: defineOperation({
    name: 'hsm.open-backup',
    action,
    summary: 'Open one chunk of a backup.',
    retry: 'safe',
    input: { ...chunk, sealed: b64u(chunkBytes + 16) },
    result: z.strictObject({ opened: z.string() }),
  }),
  keksToEpoch: defineOperation({
    name: 'hsm.keks-to-epoch',
    action,
    summary: 'KEKs from the token root to the key of an epoch of backups, inside the token.',
    retry: 'safe',
    input: { epochKey: UnderRoot, keks: z.array(UnderRoot).min(1).max(canariesPerRequest) },
    result: z.strictObject({ keks: z.array(Wrapped) }),
  }),
  keksFromEpoch: defineOperation({
    name: 'hsm.keks-from-epoch',
    action,
    summary: 'KEKs of a backup from the key of its epoch to the token root, inside the token.',
    retry: 'safe',
    input: {
      epochKey: UnderRoot,
      keks: z.array(Wrapped).min(1).max(canariesPerRequest),
      rootLabel: RootLabel.optional(),
      token: TokenLabel.optional(),
    },
    result: z.strictObject({ keks: z.array(UnderRoot) }),
  }),
  makeCanaries: defineOperation({
    name: 'hsm.make-canaries',
    action,
    summary: 'Canaries of key versions under one KEK; null where a version has none, or could not be used.',
    retry: 'never',
    input: { kek: UnderRoot, versions: z.array(CanarySubject).min(1).max(canariesPerRequest) },
    result: z.strictObject({ canaries: z.array(Canary.nullable()) }),
  }),
  checkCanaries: defineOperation({
    name: 'hsm.check-canaries',
    action,
    summary:
      'Unwrap key versions under one KEK, and prove each by its canary or its public half. The KEK is under the root, or of a backup.',
    retry: 'safe',
    input: {
      kek: z.union([z.strictObject({ underRoot: UnderRoot }), z.strictObject({ epochKey: UnderRoot, inBackup: Wrapped })]),
      versions: z.array(CanarySubject).min(1).max(canariesPerRequest),
    },
    /** `ok`, or what is wrong with it. */
    result: z.strictObject({ found: z.array(z.string()) }),
  }),
} as const;
