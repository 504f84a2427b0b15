import { z } from 'zod';

/**
 * The closed table of problem codes. `status` follows HTTP's meaning (RFC 9110 §15), `retryable` says whether the same request may
 * succeed later without a change by the caller, `next` says what to do.
 */
const table = {
  ERR_MALFORMED_REQUEST: {
    status: 400,
    retryable: false,
    title: 'The request does not match its schema',
    next: 'Compare it with the operation in the contract.',
  },
  ERR_HEADER_REFUSED: {
    status: 400,
    retryable: false,
    title: 'The request carries a header that callers may not set',
    next: 'Send only traceparent and tracestate.',
  },
  ERR_PAYLOAD_TOO_LARGE: {
    status: 413,
    retryable: false,
    title: 'The request is larger than the limit',
    next: 'Use envelope encryption: generate a data key and seal locally.',
  },
  ERR_UNKNOWN_OPERATION: {
    status: 404,
    retryable: false,
    title: 'There is no such operation',
    next: 'Check service and verb in the subject.',
  },
  ERR_SESSION_UNKNOWN: {
    status: 401,
    retryable: true,
    title: 'The session of this connection is not known',
    next: 'Reconnect to open a new session.',
  },
  ERR_SESSION_EXPIRED: { status: 401, retryable: true, title: 'The session has expired', next: 'Reconnect with a fresh token.' },
  ERR_SESSION_REVOKED: { status: 401, retryable: false, title: 'The session was revoked', next: 'Ask a security officer why.' },
  ERR_ACCESS_DENIED: {
    status: 403,
    retryable: false,
    title: 'Policy does not allow this',
    next: 'Ask the key owner or a security officer for access.',
  },
  ERR_APPROVAL_REQUIRED: {
    status: 403,
    retryable: false,
    title: 'Policy asks for approval by other people first',
    next: 'Request it with a reason: claviger --request-approval REASON and the same command; once approved, claviger changes execute.',
  },
  ERR_ELEVATION_REFUSED: {
    status: 403,
    retryable: false,
    title: 'Nothing in the policy bundle lets you ask for that access',
    next: 'The detail says what is missing. Ask for less, or ask a security officer for a rule in elevations.json or break-glass.json.',
  },
  ERR_SECOND_FACTOR_REQUIRED: {
    status: 403,
    retryable: false,
    title: 'This needs a session with a second factor',
    next: 'Log in with a second factor, and ask again.',
  },
  ERR_REVIEW_OPEN: {
    status: 409,
    retryable: false,
    title: 'Your last break-glass has not been reviewed',
    next: 'Ask two of its reviewers: claviger access break-glass-reviews, claviger access close-review.',
  },
  ERR_REVIEWER: {
    status: 403,
    retryable: false,
    title: 'You cannot close this review',
    next: 'Two others have to, who are its reviewers and neither asked for it nor approved it: claviger access break-glass-reviews.',
  },
  ERR_CHANGE_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'There is no such change request for you, or it has expired and is gone',
    next: 'Check the id: claviger changes list.',
  },
  ERR_CHANGE_STATE: {
    status: 409,
    retryable: false,
    title: 'The state of the change request does not allow this',
    next: 'See it: claviger changes show. What is rejected or withdrawn is requested anew.',
  },
  ERR_CHANGE_EXPIRED: {
    status: 409,
    retryable: false,
    title: 'The change request has expired',
    next: 'Request it anew; its approvals count for nothing else.',
  },
  ERR_CHANGE_USED: {
    status: 409,
    retryable: false,
    title: 'The change was executed already, or its execution was begun',
    next: 'See what became of it: claviger changes show. What was done is in the ledger; what is to be done again is requested anew.',
  },
  ERR_CHANGE_MISMATCH: {
    status: 403,
    retryable: false,
    title: 'This is not the command that was approved',
    next: 'Send exactly what was requested (claviger changes execute does), or request this one.',
  },
  ERR_CHANGE_UNSUPPORTED: {
    status: 400,
    retryable: false,
    title: 'This operation cannot be done by a change request',
    next: 'Change requests are for operations of keys, backup, policy and access. Where a policy asks for approval of another, nobody can do it.',
  },
  ERR_APPROVAL_INVALID: {
    status: 403,
    retryable: false,
    title: 'The approval does not prove that its approver approved exactly this change',
    next: 'Look at the change and approve it again with a key of yours that is in the policy bundle.',
  },
  ERR_APPROVER: {
    status: 403,
    retryable: false,
    title: 'You are nobody whose approval counts for this change',
    next: 'Ask those whom claviger changes show names.',
  },
  ERR_BELOW_FLOOR: {
    status: 403,
    retryable: false,
    title: 'The key would be less than the profile of its environment and classification asks for',
    next: 'Ask for what the profile asks for, or ask a security officer to change the profile.',
  },
  ERR_RESIDENCY: {
    status: 403,
    retryable: false,
    title: 'The residency of the key does not let it be here',
    next: 'Use it at a site in one of its regions, or ask a security officer to widen its residency.',
  },
  ERR_ASSURANCE: {
    status: 403,
    retryable: false,
    title: 'The validation of the token is less than the profile of the key asks for',
    next: 'Use a token whose validation is active and high enough, have a security officer put its record right (tokens.json), or change the profile.',
  },
  ERR_KEY_UNKNOWN: { status: 404, retryable: false, title: 'There is no such key', next: 'Check the key id, or the alias.' },
  ERR_KEY_SUSPENDED: { status: 409, retryable: false, title: 'The key is suspended', next: 'Ask who suspended it; it can be resumed.' },
  ERR_KEY_STATE: {
    status: 409,
    retryable: false,
    title: 'The state of the key version does not allow this operation',
    next: 'See the key state table (SP 800-57).',
  },
  ERR_KEY_PENDING_DELETION: {
    status: 409,
    retryable: false,
    title: 'The key waits for its deletion',
    next: 'Cancel the deletion if the key is still needed.',
  },
  ERR_KEY_PROTECTED: {
    status: 409,
    retryable: false,
    title: 'The key is protected against deletion',
    next: 'Unregister the data that it opens, or have a security officer lift the protection.',
  },
  ERR_TOKEN_NOT_EMPTY: {
    status: 409,
    retryable: false,
    title: 'The token still holds something, or is still in use',
    next: 'Move or destroy what it names, then ask again.',
  },
  ERR_KEY_EXHAUSTED: {
    status: 409,
    retryable: false,
    title: 'The key version has encrypted as often as it safely may',
    next: 'Rotate the key; what it encrypted goes on to decrypt.',
  },
  ERR_KEY_MATERIAL_MISSING: {
    status: 409,
    retryable: false,
    title: 'The key version has no material',
    next: 'Import its material: the first, or the same again where it expired or was deleted.',
  },
  ERR_KEY_ORIGIN: {
    status: 409,
    retryable: false,
    title: 'The origin of the key does not allow this',
    next: 'Only external keys take material that is imported; they are rotated by importing other material as a new version.',
  },
  ERR_KEY_NOT_EXPORTABLE: {
    status: 409,
    retryable: false,
    title: 'The key was not made to be exported',
    next: 'Make a new key with exportable; what it is cannot be changed afterwards.',
  },
  ERR_IMPORT_PARAMETERS: {
    status: 409,
    retryable: false,
    title: 'The import token is of no use any more, or of no use for this key',
    next: 'Ask for new import parameters, and wrap the material with their public key.',
  },
  ERR_IMPORT_REFUSED: {
    status: 400,
    retryable: false,
    title: 'The wrapped material does not open',
    next: 'Wrap it with the public key and by the algorithm of these import parameters.',
  },
  ERR_KEY_MATERIAL_UNSUITABLE: {
    status: 400,
    retryable: false,
    title: 'The material is of another kind than the key',
    next: 'Compare its algorithm, length and curve with those of the key. A private key is wrapped as PKCS#8, DER.',
  },
  ERR_KEY_MATERIAL_DIFFERENT: {
    status: 409,
    retryable: false,
    title: 'The version had other material before',
    next: 'Import the same material again, or this one as a new version.',
  },
  ERR_KEY_USAGE: {
    status: 400,
    retryable: false,
    title: 'A key of this algorithm cannot do this operation',
    next: 'See the table of algorithms for what each can do.',
  },
  ERR_ALGORITHM_UNAVAILABLE: {
    status: 501,
    retryable: false,
    title: 'The token cannot do this algorithm',
    next: 'Choose another algorithm, or ask the operators for a token that has it.',
  },
  ERR_KEY_UNREADABLE: {
    status: 500,
    retryable: false,
    title: 'What is stored of the key does not open',
    next: 'Operators: it is damaged, or not under the key-encryption key that it names. Restore it from a backup.',
  },
  ERR_DRY_RUN: {
    status: 412,
    retryable: false,
    title: 'The request would succeed; it was a dry run, so nothing was done',
    next: 'Send it without dryRun to have it done.',
  },
  ERR_DECRYPTION_FAILED: {
    status: 400,
    retryable: false,
    title: 'Decryption failed',
    next: 'Check key id, encryption context and ciphertext.',
  },
  ERR_ALIAS_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'The alias points to a key of another kind',
    next: 'Take another name; or delete the alias first, which stops those who use it.',
  },
  ERR_CONFLICT: {
    status: 409,
    retryable: true,
    title: 'Somebody else changed it at the same time',
    next: 'Read it again and repeat the command.',
  },
  ERR_STATE_STALE: {
    status: 503,
    retryable: true,
    title: 'This worker cannot prove that its view of keys, sessions and policy is current',
    next: 'Retry; another worker may answer. Operators: check the KV watches.',
  },
  ERR_AUDIT_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'The operation could not be recorded durably, so it is not answered',
    next: 'Retry. Operators: check the AUDIT stream, and the token that signs the records.',
  },
  ERR_HSM_UNAVAILABLE: { status: 503, retryable: true, title: 'The HSM does not answer', next: 'Retry. Operators: check token and PIN.' },
  ERR_STORE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'The document store does not answer',
    next: 'Retry. Operators: check MONGODB_URL.',
  },
  ERR_WORKER_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'No crypto-worker answered',
    next: 'Retry. Operators: start a crypto-worker.',
  },
  ERR_OVERLOADED: {
    status: 503,
    retryable: true,
    title: 'Too many requests are in flight',
    next: 'Retry with a pause. Operators: start more workers.',
  },
  ERR_SHUTTING_DOWN: { status: 503, retryable: true, title: 'This process is draining', next: 'Retry; another one answers.' },
  ERR_LEASE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'No block of encryptions under this key could be leased, so nothing is encrypted with it here',
    next: 'Retry; decryption goes on. Operators: check key-lifecycle and its document store.',
  },
  ERR_QUOTA_EXCEEDED: {
    status: 429,
    retryable: true,
    title: 'The quota of this window is used up',
    next: 'Retry after retryAfterMs, in the next window; or ask a security officer for a higher quota.',
  },
  ERR_QUOTA_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'What is left of a quota could not be learned, so nothing more is let through',
    next: 'Retry. Operators: check the QUOTA_ and GRANT_USES streams of the broker.',
  },
  ERR_NOT_FOUND: { status: 404, retryable: false, title: 'There is no such thing', next: 'Check the id.' },
  ERR_POLICY_INVALID: {
    status: 400,
    retryable: false,
    title: 'The policy bundle does not validate',
    next: 'Run claviger policy check and mend what it names.',
  },
  ERR_SEPARATION_OF_DUTIES: {
    status: 409,
    retryable: false,
    title: 'Somebody would hold two roles that exclude each other',
    next: 'The detail names who, which roles, and by which ways; take one of them away. claviger policy assignments lists who has what.',
  },
  ERR_SELF_REVIEW: {
    status: 403,
    retryable: false,
    title: 'Nobody decides about their own access',
    next: 'Leave it to another reviewer.',
  },
  ERR_REVIEW_INCOMPLETE: {
    status: 409,
    retryable: false,
    title: 'Not everything in the review is decided',
    next: 'Decide what is left, or say what becomes of it: claviger reviews complete --undecided keep or revoke.',
  },
  ERR_REVIEW_CLOSED: {
    status: 409,
    retryable: false,
    title: 'The review is completed',
    next: 'Start another one.',
  },
  ERR_LAST_HOLDER: {
    status: 409,
    retryable: false,
    title: 'Too few would be left who hold the role',
    next: 'Give the role to somebody else first: claviger policy assignments --role lists who holds it.',
  },
  ERR_BACKUP_UNAVAILABLE: {
    status: 501,
    retryable: false,
    title: 'Backups are not set up here',
    next: 'Operators: set BACKUP_FOLDER and BACKUP_ESCROW_FOLDER of key-lifecycle, and hold a ceremony of a recovery group.',
  },
  ERR_BACKUP_REFUSED: {
    status: 409,
    retryable: false,
    title: 'This backup cannot be made, read or restored like this',
    next: 'The detail says why.',
  },
  ERR_BACKUP_DAMAGED: {
    status: 422,
    retryable: false,
    title: 'The backup is not what its site signed',
    next: 'Take another copy of it, or another backup; nothing after the named chunk was used.',
  },
  ERR_INTERNAL: {
    status: 500,
    retryable: false,
    title: 'The service failed',
    next: 'Operators: the log has the cause under this request id.',
  },
  ERR_TIMEOUT: {
    status: 504,
    retryable: true,
    title: 'No answer came before the deadline',
    next: 'The outcome is unknown: the ledger says whether it happened.',
  },
  ERR_CONNECTION: { status: 503, retryable: true, title: 'The broker cannot be reached', next: 'Check NATS_URL and the network.' },
  ERR_AUTHENTICATION: {
    status: 401,
    retryable: false,
    title: 'The credentials are refused',
    next: 'Authenticate anew: get a fresh token of its source, since an old one renews for some hours only; check that the principal is registered and enabled. Operators: while no policy service answers, everybody is refused.',
  },
} as const;

export type ErrorCode = keyof typeof table;
export const errorTable: Readonly<Record<ErrorCode, { status: number; retryable: boolean; title: string; next: string }>> = table;
export const ErrorCodeSchema = z.enum(Object.keys(table) as [ErrorCode, ...ErrorCode[]]);

/** RFC 9457 problem details, with a closed `code` and `retryable` as extension members. */
export const ProblemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: ErrorCodeSchema,
  retryable: z.boolean(),
  /** Of a quota that is used up: when the next window begins. */
  retryAfterMs: z.int().min(0).optional(),
  requestId: z.string().optional(),
  /** Of ERR_APPROVAL_REQUIRED, where a change request can be made of it (`changes.request`). */
  approval: z.strictObject({ quorum: z.int(), approvers: z.array(z.string()), demand: z.string() }).optional(),
});
export type Problem = z.infer<typeof ProblemSchema>;

/** `detail` is shown to callers: it never holds secrets, key material or stack traces. */
export function problem(code: ErrorCode, detail?: string, requestId?: string, retryAfterMs?: number): Problem {
  const { status, retryable, title, next } = table[code];
  return {
    type: `urn:claviger:problem:${code}`,
    title,
    status,
    detail: detail ?? next,
    code,
    retryable,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(requestId ? { requestId } : {}),
  };
}

/** A refusal or failure on its way to the caller. The `cause` stays in the service's log. */
export class ProblemError extends Error {
  /** Whose approval is missing; see ProblemSchema. */
  approval?: Problem['approval'];
  /** When the same request may succeed, where that is known. */
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: ErrorCode,
    readonly detail?: string,
    options?: { cause?: unknown; retryAfterMs?: number },
  ) {
    super(`${code}: ${detail ?? table[code].title}`, options);
    this.name = 'ProblemError';
    this.retryAfterMs = options?.retryAfterMs;
  }
  get retryable(): boolean {
    return table[this.code].retryable;
  }
  toProblem(requestId?: string): Problem {
    return { ...problem(this.code, this.detail, requestId, this.retryAfterMs), ...(this.approval ? { approval: this.approval } : {}) };
  }
}

/** How the ledger names what happened: a denial is not a failure, and a dry run is neither. */
export function outcomeOf(code: ErrorCode): 'denied' | 'failed' | 'dry-run' {
  if (code === 'ERR_DRY_RUN') return 'dry-run';
  return [401, 403, 429].includes(table[code].status) ? 'denied' : 'failed';
}
