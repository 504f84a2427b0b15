import { z } from 'zod';
import { b64u, printable, Timestamp } from './primitives';
import { RecoveryGroup, RecoveryGroupId } from './recovery-group';
import { Trust } from './trust';

const digest = b64u(32, 32);
const words = z.string().max(128);

/** `installation`: its tokens, keys and recovery group were made; `recovery-group`: that alone, for tokens that were there; `reshare`: its shares were made anew. */
export const CeremonyKind = z.enum(['installation', 'recovery-group', 'reshare']);
export type CeremonyKind = z.infer<typeof CeremonyKind>;

export const ParticipantRole = z.enum(['custodian', 'witness', 'operator']);
/** How a custodian got the share: typed back from the screen, in a file, or encrypted to a public key of the custodian's. */
export const Handover = z.enum(['screen', 'file', 'encrypted']);
export type Handover = z.infer<typeof Handover>;

/** What a token says of itself (CK_TOKEN_INFO, CK_INFO; PKCS#11 v3.1 §3.1, §3.2). */
const TokenDescription = z.strictObject({
  label: words,
  serialNumber: words,
  manufacturer: words,
  model: words,
  firmware: words,
  family: z.enum(['softhsm', 'kryoptic', 'generic']),
  library: words,
});

/** A key as its token shows it after the ceremony: attributes are read back, not repeated from what was asked for. */
const KeyAttributes = z.strictObject({
  label: words,
  class: z.enum(['secret', 'private']),
  algorithm: words,
  /** Of its public half: SHA-256 of the SubjectPublicKeyInfo, hexadecimal. */
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  publicKeySpki: b64u(1_024).optional(),
  /** CKA_… by its name. */
  attributes: z.record(z.string().regex(/^CKA_[A-Z_]+$/), z.boolean()),
});

/**
 * What was done in a key ceremony, by whom and with what result: no secret is in it. Written as canonical JSON (RFC 8785) and signed in the control token
 * (JWS, `typ` claviger-ceremony+jws); its SHA-256 is what the ledger records.
 */
export const CeremonyTranscript = z.strictObject({
  format: z.literal('claviger.ceremony/1'),
  ceremony: CeremonyKind,
  startedAt: Timestamp,
  completedAt: Timestamp,
  /** Each name once. */
  participants: z
    .array(z.strictObject({ name: printable(128), role: ParticipantRole }))
    .min(2)
    .max(64)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'names a participant twice'),
  /** SHA-256 of the PKCS#11 library that was used. */
  libraryDigest: digest,
  tokens: z.array(TokenDescription.extend({ keys: z.array(KeyAttributes).max(16) })).max(16),
  trust: Trust,
  recoveryGroup: RecoveryGroup,
  handovers: z
    .array(
      z.strictObject({
        index: z.int().min(1).max(16),
        by: Handover,
        /** Of the key that the share was encrypted to: SHA-256 of its SubjectPublicKeyInfo, hexadecimal. */
        keyFingerprint: z
          .string()
          .regex(/^[0-9a-f]{64}$/)
          .optional(),
      }),
    )
    .max(16),
  /** Of a reshare: members whose old shares were given, and the document that they belonged to (its SHA-256). */
  opened: z.strictObject({ members: z.array(printable(128)).max(16), groupDigest: digest }).optional(),
});
export type CeremonyTranscript = z.infer<typeof CeremonyTranscript>;

export const transcriptType = 'claviger-ceremony+jws';
/** Bytes of a transcript as JWS: four tokens and sixteen custodians take a third of it. */
export const transcriptCharsMost = 128 * 1_024;

/**
 * A ceremony's transcript was shown to the ledger: its digest and what it was about, no names. Written after the signature was verified against the trust
 * file of the service; a second one of the same digest says nothing new.
 */
export const CeremonyRecord = z.strictObject({
  kind: z.literal('ceremony'),
  id: z.string(),
  time: Timestamp,
  service: z.string(),
  trace: z.string().optional(),
  /** Of the canonical transcript. */
  digest,
  ceremony: CeremonyKind,
  completedAt: Timestamp,
  groupId: RecoveryGroupId,
  /** Who showed it. */
  principal: z.string(),
  session: z.string(),
});
export type CeremonyRecord = z.infer<typeof CeremonyRecord>;
