import { z } from 'zod';
import { Alert } from './alerts';
import { BackupId, EpochId } from './backup-format';
import { ApproversAsked, ChangeId, ChangeState } from './changes';
import { AboutBreakGlass, AboutGrant } from './elevation-events';
import { GuardShown } from './guard-operations';
import { KeyDescription } from './key-description';
import { ValidationState } from './known-tokens';
import { Alias, KeyId, PrincipalId, RoleId, Timestamp } from './primitives';
import { AssignmentId, ReviewId } from './review-operations';
import { AtEnd } from './rotation';
import { TokenMismatch } from './token-operations';

/** A key as it is now, and who made it so. `record` is the id of the operation's record in the ledger. */
export const KeyChange = z.strictObject({
  ...KeyDescription.shape,
  change: z.strictObject({
    action: z.string(),
    by: PrincipalId,
    session: z.string(),
    reason: z.string().optional(),
    requestId: z.string().optional(),
    record: z.string(),
  }),
});

const AboutValidation = z.strictObject({
  ...{ token: z.string(), standard: z.string(), certificate: z.string(), level: z.int(), validUntil: z.iso.date() },
  ...{ vendor: z.string(), contact: z.string(), record: z.string() },
});

const AboutBackup = z.strictObject({
  ...{ backupId: BackupId, epoch: EpochId, by: PrincipalId, manifestDigest: z.string().optional() },
  ...{ keys: z.int().optional(), proven: z.int().optional(), failures: z.int().optional(), detail: z.string().optional() },
});

const AboutReview = z.strictObject({
  ...{ reviewId: ReviewId, name: z.string(), reviewers: z.array(z.string()), dueAt: Timestamp },
  ...{ items: z.int(), undecided: z.int(), by: PrincipalId },
});

/** `assignment` absent: all of it, since the principal does not come any more. `since`: when it was last used, or else first seen. */
const AboutAccess = z.strictObject({ principal: PrincipalId, assignment: AssignmentId.optional(), since: Timestamp, detail: z.string() });

const AboutChange = z.strictObject({
  ...{ change: ChangeId, state: ChangeState, requester: PrincipalId, operation: z.string(), reason: z.string() },
  ...{ ...ApproversAsked, approvedBy: z.array(PrincipalId), expiresAt: Timestamp },
  /** Who did this, or the service that executed it. */
  by: z.string(),
  code: z.string().optional(),
});

/** CloudEvents 1.0, NATS binding in structured JSON mode; `id` equals the message's `Nats-Msg-Id`. */
export const eventTypes = {
  'io.claviger.key.created': { stream: 'KEYS', data: KeyChange },
  'io.claviger.key.changed': { stream: 'KEYS', data: KeyChange },
  /** The key version nears the number of encryptions that is safe (SP 800-38D): it is rotated where its schedule says so, else somebody should do it. */
  'io.claviger.key.rotation-due': {
    stream: 'KEYS',
    data: z.strictObject({ keyId: KeyId, version: z.int(), reason: z.enum(['encryptions']), given: z.int(), max: z.int() }),
  },
  /** So many days are left (0: none) until the primary version is to protect no more, and what happens then. Once for each version, end and number of days. */
  'io.claviger.key.period-ending': {
    stream: 'KEYS',
    data: z.strictObject({
      ...{ keyId: KeyId, name: z.string(), owner: PrincipalId, version: z.int(), endsAt: Timestamp, days: z.int(), atEnd: AtEnd },
      /** When it is rotated by itself. */
      rotationAt: Timestamp.optional(),
    }),
  },
  /** So many days are left until the key is destroyed. */
  'io.claviger.key.deletion-approaching': {
    stream: 'KEYS',
    data: z.strictObject({ keyId: KeyId, name: z.string(), owner: PrincipalId, deletionAt: Timestamp, days: z.int() }),
  },
  /** So many days are left until imported material of this version is destroyed: without it the version cannot be used until the same is imported again. */
  'io.claviger.key.material-expiring': {
    stream: 'KEYS',
    data: z.strictObject({ keyId: KeyId, name: z.string(), owner: PrincipalId, version: z.int(), expiresAt: Timestamp, days: z.int() }),
  },
  /** The material of the key is gone, from the store and from every token; `certificate` is a compact JWS that says so. */
  'io.claviger.key.destroyed': {
    stream: 'KEYS',
    data: z.strictObject({ keyId: KeyId, name: z.string(), owner: PrincipalId, certificate: z.string(), record: z.string() }),
  },
  /** A rotation could not be done. It is tried again after 1, 2, 4, 8 minutes, then every 15; told once for each version and `dueAt`, absent where the number of encryptions asks for it. */
  'io.claviger.key.rotation-failed': {
    stream: 'KEYS',
    data: z.strictObject({
      ...{ keyId: KeyId, name: z.string(), owner: PrincipalId, version: z.int(), code: z.string(), detail: z.string() },
      dueAt: Timestamp.optional(),
    }),
  },
  /** A backup was made, or could not be … */
  'io.claviger.backup.made': { stream: 'KEYS', data: AboutBackup },
  'io.claviger.backup.failed': { stream: 'KEYS', data: AboutBackup },
  /** … and what a look at every key in it found. `damaged`: it is not to be relied on. */
  'io.claviger.backup.verified': { stream: 'KEYS', data: AboutBackup },
  'io.claviger.backup.damaged': { stream: 'KEYS', data: AboutBackup },
  /** So many days are left (0: it is over) until its owner has to certify the key anew. */
  'io.claviger.key.certification-due': {
    stream: 'KEYS',
    data: z.strictObject({ keyId: KeyId, name: z.string(), owner: PrincipalId, dueAt: Timestamp, days: z.int() }),
  },
  /** It is less than the profiles in force ask for: `what` is the field of the profile. Once for each set of shortfalls. */
  'io.claviger.key.non-compliant': {
    stream: 'KEYS',
    data: z.strictObject({
      ...{ keyId: KeyId, name: z.string(), owner: PrincipalId },
      shortfalls: z.array(z.strictObject({ what: z.string(), profile: z.string(), why: z.string() })),
    }),
  },
  /** So many days are left in which the validation of the token's module counts. Once for each certificate, last day and number of days. */
  'io.claviger.token.validation-ending': { stream: 'KEYS', data: z.strictObject({ ...AboutValidation.shape, days: z.int() }) },
  /** It counts no more, as `state` says. Once for each certificate, last day and state, until it counts again. */
  'io.claviger.token.validation-ended': {
    stream: 'KEYS',
    data: z.strictObject({ ...AboutValidation.shape, state: ValidationState, detail: z.string() }),
  },
  /** The token says something else of itself than its record does. Once for each set of differences. */
  'io.claviger.token.mismatch': {
    stream: 'KEYS',
    data: z.strictObject({
      token: z.string(),
      mismatches: z.array(TokenMismatch),
      vendor: z.string(),
      contact: z.string(),
      record: z.string(),
    }),
  },
  /** An alias was made, pointed to another key, or deleted (`keyId` absent). */
  'io.claviger.key.alias-changed': {
    stream: 'KEYS',
    data: z.strictObject({
      ...{ alias: Alias, keyId: KeyId.optional(), previousKeyId: KeyId.optional(), revision: z.int() },
      ...{ by: PrincipalId, reason: z.string().optional(), record: z.string() },
    }),
  },
  'io.claviger.policy.published': {
    stream: 'POLICY',
    data: z.strictObject({ revision: z.int(), hash: z.string(), by: z.string(), reason: z.string() }),
  },
  /** Somebody has a role, or an action on a key, for a time; it ended before that, or was taken out of the bundle. */
  'io.claviger.access.elevated': { stream: 'POLICY', data: AboutGrant },
  'io.claviger.access.elevation-ended': { stream: 'POLICY', data: AboutGrant.extend({ by: z.string(), reason: z.string() }) },
  /** Somebody took a role in an emergency; a day went by without its review; two others closed it. */
  'io.claviger.access.break-glass': { stream: 'POLICY', data: AboutBreakGlass },
  'io.claviger.access.break-glass-review-due': { stream: 'POLICY', data: AboutBreakGlass },
  'io.claviger.access.break-glass-reviewed': { stream: 'POLICY', data: AboutBreakGlass },
  /** A review of access began … */
  'io.claviger.access.review-started': { stream: 'POLICY', data: AboutReview },
  /** … is not completed at its due date … */
  'io.claviger.access.review-overdue': { stream: 'POLICY', data: AboutReview },
  /** … and is completed. */
  'io.claviger.access.review-completed': { stream: 'POLICY', data: AboutReview },
  /** Access that nobody uses will be taken away at `at` (of a principal that does not come any more, it is disabled). */
  'io.claviger.access.unused': { stream: 'POLICY', data: z.strictObject({ ...AboutAccess.shape, at: Timestamp }) },
  /** It was taken away. */
  'io.claviger.access.removed': { stream: 'POLICY', data: AboutAccess },
  /** It would have been, and too few would be left with the role. */
  'io.claviger.access.kept': {
    stream: 'POLICY',
    data: z.strictObject({ ...AboutAccess.shape, role: RoleId.optional(), left: z.int().optional() }),
  },
  /** A change waits for the approval of those whom `approvers` names; it has it; or it ended. */
  'io.claviger.change.requested': { stream: 'POLICY', data: AboutChange },
  'io.claviger.change.approved': { stream: 'POLICY', data: AboutChange },
  'io.claviger.change.rejected': { stream: 'POLICY', data: AboutChange },
  'io.claviger.change.withdrawn': { stream: 'POLICY', data: AboutChange },
  'io.claviger.change.expired': { stream: 'POLICY', data: AboutChange },
  'io.claviger.change.executed': { stream: 'POLICY', data: AboutChange },
  'io.claviger.change.failed': { stream: 'POLICY', data: AboutChange },
  /** Services that use what they may with nobody to answer for them since this revision, each told once: `none` names no owner, `gone` one who is no more. */
  'io.claviger.policy.services-unowned': {
    stream: 'POLICY',
    data: z.strictObject({
      revision: z.int(),
      services: z.array(z.strictObject({ principal: PrincipalId, ownership: z.enum(['none', 'gone']), owner: z.string().optional() })),
    }),
  },
  /** Policies that ask for approval which too few people could give, so that whoever publishes policies may change them alone: of each such bundle, and every day. */
  'io.claviger.policy.guards-open': { stream: 'POLICY', data: z.strictObject({ revision: z.int(), guards: z.array(GuardShown) }) },
  'io.claviger.ledger.checkpoint': {
    stream: 'LEDGER',
    data: z.strictObject({ checkpoint: z.string(), size: z.int(), streamSeq: z.int() }),
  },
  'io.claviger.ledger.finding': {
    stream: 'LEDGER',
    data: z.strictObject({ finding: z.string(), detail: z.string(), streamSeq: z.int(), index: z.int(), worker: z.string().optional() }),
  },
  'io.claviger.alert.raised': { stream: 'ALERTS', data: z.strictObject({ alert: Alert, ocsf: z.unknown() }) },
  'io.claviger.alert.acknowledged': { stream: 'ALERTS', data: z.strictObject({ alert: Alert, ocsf: z.unknown() }) },
} as const;
export type EventType = keyof typeof eventTypes;

export interface CloudEvent<T extends EventType = EventType> {
  specversion: '1.0';
  id: string;
  source: string;
  type: T;
  time: string;
  subject?: string;
  datacontenttype: 'application/json';
  data: z.infer<(typeof eventTypes)[T]['data']>;
}

export function cloudEvent<T extends EventType>(
  type: T,
  event: { id: string; source: string; time: string; subject?: string; data: CloudEvent<T>['data'] },
): CloudEvent<T> {
  return { specversion: '1.0', type, datacontenttype: 'application/json', ...event };
}

export const CloudEventEnvelope = z.strictObject({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  time: Timestamp,
  subject: z.string().optional(),
  datacontenttype: z.literal('application/json'),
  traceparent: z.string().optional(),
  data: z.unknown(),
});

/** `io.claviger.key.changed` → `keys.v1.key.changed`. */
export const eventSubject = (type: EventType, tail?: string): string =>
  `${eventTypes[type].stream.toLowerCase()}.v1.${type.split('.').slice(2).join('.')}${tail ? `.${tail}` : ''}`;
