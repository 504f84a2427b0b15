import { z } from 'zod';
import { Algorithm, KeyUsage } from './algorithms';
import { BackupId } from './backup-format';
import { b64u, Classification, Environment, KeyId, PrincipalId, Timestamp } from './primitives';

export const destructionCertificateType = 'claviger-destruction-certificate+jws';

/** What the destroyed material was, so that a copy that turns up can be told to be one. */
const DestroyedMaterial = z.discriminatedUnion('custody', [
  /** `sha256` is of the blob as it was wrapped under the key-encryption key. */
  z.strictObject({ custody: z.literal('wrapped'), kekId: z.string(), sha256: b64u(32, 32) }),
  z.strictObject({ custody: z.literal('token'), token: z.string(), label: z.string() }),
]);

/** Where what was destroyed may still lie, under keys that are destroyed with the retention of backups. */
export const MaterialInBackups = z.strictObject({
  /** Of the backups that were begun before the destruction, the one that can be read longest. `none`: there is none that can be read, or the material never left its token. */
  last: z.union([z.literal('none'), z.strictObject({ backupId: BackupId, begunAt: Timestamp, readableUntil: Timestamp })]),
  /** The site was restored, the key with it, from this backup of another site: until when that site's backups can be read is not known here. */
  restoredFrom: BackupId.optional(),
});
export type MaterialInBackups = z.infer<typeof MaterialInBackups>;

/** Who had the key destroyed, why, and when that was ordered. */
export const DeletionOrder = z.strictObject({ by: PrincipalId, reason: z.string(), at: Timestamp });
export type DeletionOrder = z.infer<typeof DeletionOrder>;

/**
 * That the material of a key was destroyed (SP 800-57 Part 1 rev. 5 §8.3.4, SP 800-88 rev. 1 §2.6 for what a certificate says): payload of a compact JWS
 * (RFC 7515, ES256) by the control token. It is also a record of the ledger.
 */
export const DestructionCertificate = z.strictObject({
  format: z.literal('claviger.destruction-certificate/1'),
  ...{ keyId: KeyId, name: z.string(), algorithm: Algorithm, usage: KeyUsage, environment: Environment, classification: Classification },
  owner: PrincipalId,
  createdAt: Timestamp,
  /** Absent of a key that was scheduled before orders were kept; the ledger has it. */
  order: DeletionOrder.optional(),
  /** End of the waiting period. */
  deletionAt: Timestamp,
  /** When the wrapped material left the store. */
  destroyedAt: Timestamp,
  /** When every object in a token was gone as well. */
  issuedAt: Timestamp,
  /** As known when it was issued. Absent of certificates from before this was said. */
  backups: MaterialInBackups.optional(),
  versions: z.array(
    z.strictObject({
      version: z.int().min(1),
      createdAt: Timestamp,
      /** Absent where there was none any more. */
      material: DestroyedMaterial.optional(),
      /** SHA-256 of the SubjectPublicKeyInfo, of pairs. */
      publicKeySha256: b64u(32, 32).optional(),
    }),
  ),
});
export type DestructionCertificate = z.infer<typeof DestructionCertificate>;
