import { z } from 'zod';
import { b64u, printable, Timestamp } from './primitives';

/** Of 128 random bits. */
export const RecoveryGroupId = z.string().regex(/^[0-9A-Za-z]{22}$/, 'the id of a recovery group is 22 letters and digits');
export const CustodianName = printable(128);
const sharesMost = 16;
const digest = b64u(32, 32);
const share = z.int().min(1).max(sharesMost);

/**
 * Whom backups are encrypted to: an RSA-4096 key whose private half opens only with `threshold` of the members' shares (ADR 28). Public: it holds no
 * secret. Its public key is believed where trust.json has it under this id.
 */
export const RecoveryGroup = z
  .strictObject({
    format: z.literal('claviger.recovery-group/1'),
    groupId: RecoveryGroupId,
    /** So many shares are needed: never one, which would be a key in one hand. */
    threshold: share.min(2),
    /** In the order of their indices, from 1 on. */
    members: z
      .array(z.strictObject({ name: CustodianName, index: share, shareDigest: digest }))
      .min(2)
      .max(sharesMost),
    /** DER SubjectPublicKeyInfo. */
    publicKeySpki: b64u(1_024),
    /** PKCS#8 of the private half by RFC 5649 under the secret that was split; mechanism (CKM_…) and family of the token that made it. */
    wrappedPrivate: z.strictObject({ mechanism: z.int(), family: z.enum(['softhsm', 'kryoptic', 'generic']), wrapped: b64u(4_096) }),
    createdAt: Timestamp,
    /** Digest by which shares that combine to something else are found out. */
    secretCheck: digest,
  })
  .refine(({ threshold, members }) => threshold <= members.length, 'needs more shares than it has members')
  .refine(({ members }) => members.every(({ index }, i) => index === i + 1), 'the indices of its members are not 1, 2, …')
  .refine(({ members }) => new Set(members.map(({ name }) => name)).size === members.length, 'names a member twice');
export type RecoveryGroup = z.infer<typeof RecoveryGroup>;
