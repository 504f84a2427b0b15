import { z } from 'zod';
import { EncryptionContext, PrincipalId, Timestamp } from './primitives';

/**
 * Audit records: each is one JSON line of an AUDIT message and one leaf of the ledger. Personal values (an IP address) enter only as
 * commitments `SHA-256(salt ‖ value)`, so that the clear value, kept beside the ledger under retention, can be erased later.
 */
const common = { id: z.string(), time: Timestamp, service: z.string(), trace: z.string().optional() };

/**
 * One use of the system by a caller: exactly one per reply. (The first record of a chain, `epoch`, and the seal of a batch, `batch`, are
 * defined by the ledger library, since they are what it verifies.)
 */
export const OperationRecord = z.strictObject({
  kind: z.literal('operation'),
  ...common,
  action: z.string(),
  principal: PrincipalId,
  session: z.string(),
  /** Commitment to the client's IP address, from the session. */
  ip: z.string().optional(),
  mfa: z.boolean().optional(),
  keyId: z.string().optional(),
  version: z.int().optional(),
  outcome: z.enum(['success', 'denied', 'failed']),
  code: z.string().optional(),
  /** Ids of the policies that decided. */
  policies: z.array(z.string()).optional(),
  /** Revisions that the decision was made on: key, session, policy bundle. */
  revisions: z.strictObject({ key: z.int().optional(), session: z.int().optional(), bundle: z.int().optional() }),
  context: EncryptionContext.optional(),
  /** Bytes of plaintext or message. */
  bytes: z.int().optional(),
  requestId: z.string().optional(),
  reason: z.string().optional(),
});
export type OperationRecord = z.infer<typeof OperationRecord>;

/** A session was opened, refused, or revoked. */
export const SessionRecord = z.strictObject({
  kind: z.literal('session'),
  ...common,
  event: z.enum(['opened', 'refused', 'revoked']),
  session: z.string(),
  principal: z.string().optional(),
  method: z.string().optional(),
  mfa: z.boolean().optional(),
  ip: z.string().optional(),
  /** What came from one authentication has one chain; when that was. */
  chain: z.string().optional(),
  authTime: Timestamp.optional(),
  code: z.string().optional(),
  detail: z.string().optional(),
  by: z.string().optional(),
  /** How many alike were folded into this one, so that a hostile client cannot flood the ledger. */
  count: z.int().optional(),
});

/** The broker refused a publish or subscribe of an admitted connection. */
export const ViolationRecord = z.strictObject({
  kind: z.literal('violation'),
  ...common,
  session: z.string(),
  principal: z.string().optional(),
  violation: z.enum(['publish', 'subscription']),
  subject: z.string(),
  count: z.int(),
});

/** These records' callers were told ERR_AUDIT_UNAVAILABLE before the record became durable. */
export const UnansweredRecord = z.strictObject({ kind: z.literal('unanswered'), ...common, records: z.array(z.string()) });

/** Something that the ledger found wrong with the AUDIT stream; written by audit itself. */
export const FindingRecord = z.strictObject({
  kind: z.literal('finding'),
  ...common,
  finding: z.string(),
  streamSeq: z.int(),
  worker: z.string().optional(),
  epoch: z.string().optional(),
  detail: z.string(),
});
export type FindingRecord = z.infer<typeof FindingRecord>;

/** A clear personal value beside its commitment; goes to audit on its own subject, never into the ledger. */
export const PersonalValue = z.strictObject({
  commitment: z.string(),
  salt: z.string(),
  value: z.string(),
  what: z.enum(['ip']),
  session: z.string(),
});
export type PersonalValue = z.infer<typeof PersonalValue>;
