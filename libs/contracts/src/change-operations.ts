import { z } from 'zod';
import { ApprovalProof, ApproversAsked, ChangeId, ChangeState, changeLimits } from './changes';
import { defineOperation } from './operation';
import { b64u, PrincipalId, printable, Timestamp } from './primitives';

/** One approval, without its proof. */
const ApprovalGiven = z.strictObject({ approver: PrincipalId, at: Timestamp, by: z.enum(['signature', 'webauthn']) });

export const ChangeDescription = z.strictObject({
  change: ChangeId,
  revision: z.int().min(1),
  state: ChangeState,
  requester: PrincipalId,
  operation: z.string(),
  reason: z.string(),
  ...ApproversAsked,
  requestedAt: Timestamp,
  expiresAt: Timestamp,
  approvals: z.array(ApprovalGiven),
  /** Who rejected or withdrew it, or which service executes or executed it, and when; `code`: why that failed. */
  ended: z.strictObject({ by: z.string(), at: Timestamp, reason: z.string().optional(), code: z.string().optional() }).optional(),
});
export type ChangeDescription = z.infer<typeof ChangeDescription>;

const reason = printable(500);

/** Commands that need the approval of others first. */
export const changeOperations = {
  request: defineOperation({
    name: 'changes.request',
    action: 'changes:Request',
    summary:
      'Ask others to approve exactly this command, which was refused with ERR_APPROVAL_REQUIRED: `demand` is that of the refusal, and says whose approval policy wants.',
    retry: 'never',
    packs: ['input'],
    input: {
      operation: z.string().max(64),
      /** As the operation takes it, without type, requestId and change. */
      input: z.record(z.string().max(64), z.unknown()),
      reason,
      expiresInHours: z.int().min(1).max(changeLimits.expiresHoursMax).default(changeLimits.expiresHoursDefault),
      demand: z.string().max(8_192),
    },
    result: ChangeDescription,
  }),
  show: defineOperation({
    name: 'changes.show',
    action: 'changes:Read',
    summary:
      'One change request with the exact command, and the challenge that an approval is of. For its requester and those who may approve it, and readers.',
    retry: 'safe',
    packs: ['input'],
    input: { change: ChangeId },
    result: ChangeDescription.extend({ input: z.record(z.string(), z.unknown()), challenge: b64u(32, 32) }),
  }),
  list: defineOperation({
    name: 'changes.list',
    action: 'changes:Read',
    summary: 'Change requests, newest first: all of them for readers, else those that the caller requested or may approve.',
    retry: 'safe',
    input: { state: ChangeState.optional(), before: Timestamp.optional(), limit: z.int().min(1).max(200).default(50) },
    result: z.strictObject({ changes: z.array(ChangeDescription), next: Timestamp.optional() }),
  }),
  approve: defineOperation({
    name: 'changes.approve',
    action: 'changes:Approve',
    summary: 'Approve the change of somebody else, with an assertion or signature of the challenge that `changes.show` gives.',
    retry: 'safe',
    input: { change: ChangeId, proof: ApprovalProof },
    result: ChangeDescription,
  }),
  reject: defineOperation({
    name: 'changes.reject',
    action: 'changes:Approve',
    summary: 'Say no for good, as somebody who could approve it.',
    retry: 'safe',
    input: { change: ChangeId, reason },
    result: ChangeDescription,
  }),
  withdraw: defineOperation({
    name: 'changes.withdraw',
    action: 'changes:Withdraw',
    summary: 'Take a change request back, as its requester, or as somebody whom policy lets.',
    retry: 'safe',
    input: { change: ChangeId, reason },
    result: ChangeDescription,
  }),
} as const;
