import { z } from 'zod';
import { b64u, PrincipalId, printable, Timestamp } from './primitives';

/** Bounds of change requests. */
export const changeLimits = {
  /** Operation and input as canonical JSON. */
  commandBytes: 700_000,
  expiresHoursDefault: 72,
  expiresHoursMax: 336,
  /** Those that wait, of one requester and of all. */
  openPerRequester: 50,
  openTotal: 2_000,
  approvals: 99,
  /** A refusal's demand for approval can be made a change request for so long. */
  demandMinutes: 15,
} as const;

export const changePattern = /^ch_[A-Za-z0-9]{22}$/;
export const ChangeId = z.string().regex(changePattern, 'a change id is ch_ and 22 letters and digits');

/** Who has to approve: so many distinct people, each of whom has one of the roles, or is in one of the groups (`group:tenant/id`). */
export const ApproversAsked = { quorum: z.int().min(1).max(99), approvers: z.array(printable(200)).min(1).max(32) };

/** Of `claviger-approval+jws`: a compact JWS (RFC 7515) by the approver's own key; the payload is an ApprovalStatement. */
const SignatureProof = z.strictObject({ kind: z.literal('signature'), jws: z.string().max(2_048) });
/** A WebAuthn assertion (Web Authentication Level 3, §5.2.2) whose challenge is that of the change. */
const WebauthnProof = z.strictObject({
  kind: z.literal('webauthn'),
  credentialId: b64u(1_023),
  authenticatorData: b64u(2_048),
  clientDataJSON: b64u(4_096),
  signature: b64u(1_024),
});
export const ApprovalProof = z.discriminatedUnion('kind', [SignatureProof, WebauthnProof]);
export type ApprovalProof = z.infer<typeof ApprovalProof>;

/** One person's approval, with what proves it to anybody who has the change and the principal's record. */
export const Approval = z.strictObject({ approver: PrincipalId, at: Timestamp, proof: ApprovalProof });
export type Approval = z.infer<typeof Approval>;

export const approvalStatementType = 'claviger.approval/1';
/** What an approver's own key signs. `challenge` is base64url of the hash of the exact change (libs/authz/src/change-hash.ts). */
export const ApprovalStatement = z.strictObject({
  type: z.literal(approvalStatementType),
  change: ChangeId,
  challenge: b64u(32, 32),
  approver: PrincipalId,
});
export type ApprovalStatement = z.infer<typeof ApprovalStatement>;

/**
 * `requested`: approvals are missing. `approved`: its requester can have it executed. `executing`: a service has begun and not said how it ended; it
 * executes it no second time. The others are final; `failed`: it was begun, and refused or not finished.
 */
export const ChangeState = z.enum(['requested', 'approved', 'executing', 'executed', 'failed', 'rejected', 'withdrawn', 'expired']);
export type ChangeState = z.infer<typeof ChangeState>;

/** What holders get of a change: everything but its input, which its requester brings again. The approvals bind it. */
export const ChangeView = z.strictObject({
  kind: z.literal('change'),
  id: ChangeId,
  revision: z.int().min(1),
  requester: PrincipalId,
  operation: z.string().max(64),
  /** base64url of the SHA-256 of operation and input (RFC 8785). */
  command: b64u(32, 32),
  reason: printable(500),
  ...ApproversAsked,
  requestedAt: Timestamp,
  expiresAt: Timestamp,
  approvals: z.array(Approval).max(changeLimits.approvals),
});
export type ChangeView = z.infer<typeof ChangeView>;

/** KV key of what became of a change. */
export const outcomeId = (change: string): string => `outcome.${change}`;

/**
 * Created once for each change, by whoever ends it: a service that executes it, or policy when it is withdrawn or rejected. Who creates it has won;
 * everybody else is refused. `open`: it was refused before anything was done, and can be executed again.
 */
export const ChangeOutcomeView = z.strictObject({
  kind: z.literal('outcome'),
  id: z.string(),
  revision: z.int().min(1),
  change: ChangeId,
  state: z.enum(['open', 'executing', 'executed', 'failed', 'rejected', 'withdrawn']),
  /** Service and process that executes it, or the principal that ended it. */
  by: z.string().max(128),
  at: Timestamp,
  /** Of the change: then neither matters any more. */
  expiresAt: Timestamp,
  /** Why it failed, or was left open. */
  code: z.string().max(64).optional(),
});
export type ChangeOutcomeView = z.infer<typeof ChangeOutcomeView>;

/** What the changes bucket holds. */
export const ChangesView = z.discriminatedUnion('kind', [ChangeView, ChangeOutcomeView]);
export type ChangesView = z.infer<typeof ChangesView>;

export const approvalDemandType = 'claviger-approval-demand+jws';
/** What a service signs when policy asks for approval: that this principal asked for exactly this, and whose approval policy wants. */
export const ApprovalDemand = z.strictObject({
  principal: PrincipalId,
  operation: z.string().max(64),
  command: b64u(32, 32),
  ...ApproversAsked,
  at: Timestamp,
});
export type ApprovalDemand = z.infer<typeof ApprovalDemand>;
