import type { AuthorizationAnswer } from '@cedar-policy/cedar-wasm/nodejs';
import { type ApprovalRule, strictest } from './approval';
import { allowed, type Decision, denied, needsApproval } from './decision';
import type { Policy } from './policy-set';

/**
 * From Cedar's answer to a decision. Cedar skips a policy that fails while it is evaluated, and a skipped forbid would open the way: here any
 * failure denies. A matching permit that asks for approval is never diluted by another one that does not.
 */
export function settle(answer: AuthorizationAnswer, policies: ReadonlyMap<string, Pick<Policy, 'approval'>>): Decision {
  if (answer.type === 'failure') return denied('evaluation-failed', [], answer.errors.map((error) => error.message).join('; '));
  const { decision, diagnostics } = answer.response;
  if (diagnostics.errors.length > 0) {
    const ids = diagnostics.errors.map((error) => error.policyId).sort();
    return denied('policy-error', ids, diagnostics.errors.map((error) => error.error.message).join('; '));
  }
  const ids = [...diagnostics.reason].sort();
  if (decision === 'deny') return ids.length > 0 ? denied('forbidden', ids) : denied('no-permit');

  const asked: ApprovalRule[] = [];
  for (const id of ids) {
    const approval = policies.get(id)?.approval;
    if (approval === undefined || approval.kind === 'invalid') return denied('invalid-approval', [id]);
    if (approval.kind === 'asked') asked.push(approval);
  }
  if (asked.length === 0) return ids.length > 0 ? allowed(ids) : denied('evaluation-failed', [], 'allowed by no policy');
  const rule = strictest(asked);
  return rule ? needsApproval(ids, rule.quorum, rule.approvers) : denied('invalid-approval', ids);
}
