/** Why something is denied. `failure`: it could not be decided (an operator must look), as opposed to decided against. */
const denials = {
  'no-permit': { failure: false, reason: 'no policy permits it' },
  forbidden: { failure: false, reason: 'a policy forbids it' },
  'unknown-principal': { failure: false, reason: 'the principal is not in the policy bundle in force' },
  'disabled-principal': { failure: false, reason: 'the principal is disabled' },
  'invalid-approval': { failure: true, reason: 'the policy asks for approval without saying how many approve, or who' },
  'policy-error': { failure: true, reason: 'a policy failed while it was evaluated' },
  'evaluation-failed': { failure: true, reason: 'the request could not be evaluated' },
  'action-not-in-schema': {
    failure: true,
    reason: 'the schema of the policy bundle in force does not know the action; publish one that does',
  },
  'bundle-not-loaded': { failure: true, reason: 'no policy bundle is loaded' },
} as const satisfies Record<string, { failure: boolean; reason: string }>;

export type DenyCode = keyof typeof denials;

export interface Allowed {
  readonly kind: 'allow';
  readonly code: 'permitted';
  readonly policyIds: readonly string[];
  readonly reason: string;
}
export interface Denied {
  readonly kind: 'deny';
  readonly code: DenyCode;
  readonly policyIds: readonly string[];
  readonly reason: string;
  readonly failure: boolean;
  /** For operators and logs: what Cedar said. Not for callers. */
  readonly cause?: string;
}
export interface NeedsApproval {
  readonly kind: 'needs-approval';
  readonly code: 'approval-required';
  readonly policyIds: readonly string[];
  readonly reason: string;
  /** Distinct people, never the requester; at least 1. */
  readonly quorum: number;
  /** Roles, and groups as `group:tenant/id`, each of which lets whoever has it approve; at least one. */
  readonly approvers: readonly string[];
}
export type Decision = Allowed | Denied | NeedsApproval;

export function allowed(policyIds: readonly string[]): Allowed {
  return Object.freeze({ kind: 'allow', code: 'permitted', policyIds, reason: `permitted by ${policyIds.join(', ')}` });
}

export function denied(code: DenyCode, policyIds: readonly string[] = [], cause?: string): Denied {
  const { failure, reason } = denials[code];
  const named = policyIds.length > 0 ? `${reason}: ${policyIds.join(', ')}` : reason;
  return Object.freeze({ kind: 'deny', code, policyIds, reason: named, failure, ...(cause === undefined ? {} : { cause }) });
}

export function needsApproval(policyIds: readonly string[], quorum: number, approvers: readonly string[]): NeedsApproval {
  const reason = `needs the approval of ${quorum} of ${approvers.join(' or ')}`;
  return Object.freeze({ kind: 'needs-approval', code: 'approval-required', policyIds, reason, quorum, approvers });
}
