import { z } from 'zod';
import { EncryptionContext, PrincipalId, Timestamp } from './primitives';

/**
 * Audit records: each is one JSON line of an AUDIT message and one leaf of the ledger. Personal values (an IP address) enter only as
 * commitments `SHA-256(salt ‖ value)`, so that the clear value, kept beside the ledger under retention, can be erased later.
 */
const common = { id: z.string(), time: Timestamp, service: z.string(), trace: z.string().optional() };

/** `dry-run`: it would have succeeded, and nothing was done. */
export const Outcome = z.enum(['success', 'denied', 'failed', 'dry-run']);
export type Outcome = z.infer<typeof Outcome>;

/** Who did what to what, and why they could. */
const use = {
  action: z.string(),
  principal: PrincipalId,
  session: z.string(),
  /** Commitment to the client's IP address, from the session. */
  ip: z.string().optional(),
  mfa: z.boolean().optional(),
  keyId: z.string().optional(),
  /** By which alias the key was named, or which alias it is about. */
  alias: z.string().optional(),
  /** To which key the alias pointed before. */
  previousKeyId: z.string().optional(),
  version: z.int().optional(),
  /** Ids of the policies that decided. */
  policies: z.array(z.string()).optional(),
  /** Ids of the grants of limited use without which they would not have allowed it, and of which one use was counted. */
  grants: z.array(z.string()).optional(),
  /** Revisions that the decision was made on: key, session, policy bundle. */
  revisions: z.strictObject({ key: z.int().optional(), session: z.int().optional(), bundle: z.int().optional() }),
  requestId: z.string().optional(),
  reason: z.string().optional(),
  /** The change request that it is about, or that it was done by … */
  change: z.string().optional(),
  /** … and whose approvals counted then. */
  approvedBy: z.array(PrincipalId).optional(),
};

/**
 * One use of the system by a caller: exactly one per reply. (The first record of a chain, `epoch`, and the seal of a batch, `batch`, are
 * defined by the ledger library, since they are what it verifies.)
 */
export const OperationRecord = z.strictObject({
  kind: z.literal('operation'),
  ...common,
  ...use,
  outcome: Outcome,
  code: z.string().optional(),
  context: EncryptionContext.optional(),
  /** Of re-encryption: under which key, version and context it is now. */
  toKeyId: z.string().optional(),
  toAlias: z.string().optional(),
  toVersion: z.int().optional(),
  toContext: EncryptionContext.optional(),
  /** Of an export: base64url of the SHA-256 of the recipient's public key; where it is a key here, toKeyId and toVersion name it. */
  recipient: z.string().optional(),
  /** Of a report: base64url of its SHA-256. */
  digest: z.string().optional(),
  /** Bytes of plaintext or message. */
  bytes: z.int().optional(),
});
export type OperationRecord = z.infer<typeof OperationRecord>;

/**
 * A change that stands, made by an operation whose own record is not known to be stored: the process that carried it out ended, or never learned
 * that the store had taken the change. Its caller may never have been answered. Written from what was committed together with the change.
 */
export const CommittedRecord = z.strictObject({
  kind: z.literal('committed'),
  ...common,
  ...use,
  /** Id of the operation's own record, in case that is in the ledger after all. This record's own id is it with `.committed`, however often it is written. */
  record: z.string(),
  committedAt: Timestamp,
  /** What the change made of the key or the bundle. */
  revision: z.int(),
});
export type CommittedRecord = z.infer<typeof CommittedRecord>;

/** A session was opened, refused, or revoked. `revoking` stands before it is done, so that no revocation is without who and why. */
export const SessionRecord = z.strictObject({
  kind: z.literal('session'),
  ...common,
  event: z.enum(['opened', 'refused', 'revoking', 'revoked']),
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

/** `incomplete`: a bucket that does not add up to its owner's signed mark, as one that was put back does not. */
export const stateRefusals = [
  'not-signed',
  'not-a-record',
  'other-name',
  'older-revision',
  'deleted',
  'incomplete',
  'tampered-document',
] as const;
export type StateRefusal = (typeof stateRefusals)[number];

/** A service was given state that its owner did not give: in a bucket of the broker, or in the document store. It was not used. */
export const RefusedStateRecord = z.strictObject({
  kind: z.literal('refused-state'),
  ...common,
  /** Where: `keys`, `sessions`, `policy`, or `store`. */
  bucket: z.string(),
  /** Its name there. */
  key: z.string(),
  /** When it is a key's, so that queries by key find it. */
  keyId: z.string().optional(),
  reason: z.enum(stateRefusals),
  /** Of the first of them. */
  detail: z.string(),
  /** Who refused it: one record per holder. */
  holder: z.string(),
  /** How many alike were folded into this one. */
  count: z.int(),
});
export type RefusedStateRecord = z.infer<typeof RefusedStateRecord>;

/**
 * A token fails, so that a worker asks nothing more of it (the first one after several failures, a further one after one probe); or it passed a probe, and
 * requests reach it again. Or, of what the policies in force say of it: its validation ends soon, or has ended (expired, historical, revoked, or it does not
 * cover the firmware); or the token says something else of itself.
 */
export const TokenRecord = z.strictObject({
  kind: z.literal('token'),
  ...common,
  event: z.enum(['failing', 'well', 'validation-ending', 'validation-ended', 'mismatch']),
  /** Its label. */
  token: z.string(),
  /** Since when requests are, or were, refused; or when the rest was seen. */
  since: Timestamp,
  /** What is wrong, and what to do. */
  detail: z.string(),
  /** Who saw it: other workers may reach the token. */
  holder: z.string(),
});
export type TokenRecord = z.infer<typeof TokenRecord>;

/** What became of a backup or a restore, after the operation that asked for it was answered; or that an epoch's key and its escrow are destroyed. */
export const BackupRecord = z.strictObject({
  kind: z.literal('backup'),
  ...common,
  event: z.enum(['made', 'failed', 'verified', 'damaged', 'restored', 'restore-failed', 'epoch-destroyed']),
  backupId: z.string().optional(),
  epoch: z.string().optional(),
  /** Who asked for it, in which session; `key-lifecycle` and `schedule` where nobody did. */
  by: PrincipalId,
  session: z.string(),
  /** SHA-256 of the backup's last line, which names all others. */
  manifestDigest: z.string().optional(),
  keys: z.int().optional(),
  /** Versions of keys that are proven, and that are not what they should be. */
  proven: z.int().optional(),
  failures: z.int().optional(),
  detail: z.string().optional(),
});
export type BackupRecord = z.infer<typeof BackupRecord>;

/** The material of a key is gone, from the store and from every token. Written again after a crash it has the same id and certificate. */
export const DestructionRecord = z.strictObject({
  kind: z.literal('destruction'),
  ...common,
  keyId: z.string(),
  /** Compact JWS of a DestructionCertificate. */
  certificate: z.string(),
});
export type DestructionRecord = z.infer<typeof DestructionRecord>;

/** What only workers needed of a token is about to be destroyed. It stands before that is done, so that it is never done without who and why. */
export const TokenEmptyingRecord = z.strictObject({
  kind: z.literal('token-emptying'),
  ...common,
  /** Its label. */
  token: z.string(),
  serialNumber: z.string(),
  by: PrincipalId,
  session: z.string(),
  reason: z.string(),
  /** Class and label of each object that is to be destroyed. */
  destroys: z.array(z.string()),
});
export type TokenEmptyingRecord = z.infer<typeof TokenEmptyingRecord>;

/** A token holds nothing of Claviger any more. */
export const TokenEmptiedRecord = z.strictObject({
  kind: z.literal('token-emptied'),
  ...common,
  /** Its label. */
  token: z.string(),
  /** Compact JWS of a TokenStatement. */
  statement: z.string(),
});
export type TokenEmptiedRecord = z.infer<typeof TokenEmptiedRecord>;

/**
 * `exceeded`: the first request that a quota refused in this window, over all processes. `put-back`: a counter was lower than it must be (a broker that was restored, or somebody with access to
 * it), so nothing more of it is let through by this process until the window ends.
 */
export const QuotaRecord = z.strictObject({
  kind: z.literal('quota'),
  ...common,
  event: z.enum(['exceeded', 'put-back']),
  /** Its id; of a grant with uses: the grant's. */
  quota: z.string(),
  limit: z.int(),
  /** `second`, `minute`, `hour`, `day`; absent for uses of a grant. */
  window: z.string().optional(),
  since: Timestamp.optional(),
  /** Whose request was refused. */
  principal: PrincipalId.optional(),
  /** What it counts apart. */
  keyId: z.string().optional(),
  /** Who saw it. */
  holder: z.string(),
});
export type QuotaRecord = z.infer<typeof QuotaRecord>;

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
