import { groupIn } from '@claviger/contracts';
import type { Decision } from './decision';
import type { Policy } from './policy-set';
import type { AuthorizationRequest } from './request';

export interface Explained {
  readonly policyOf: (id: string) => Policy | undefined;
  /** Policies whose scope can match the action. */
  readonly applicable: readonly Policy[];
  /** Role ids of the principal that are in force. */
  readonly roles: readonly string[];
  /** Names of the groups that it is in. */
  readonly groups: readonly string[];
}

export function explain(request: AuthorizationRequest, decision: Decision, facts: Explained): string {
  const { principalId, action, resource } = request;
  const verdict = { allow: 'ALLOWED', deny: 'DENIED', 'needs-approval': 'NEEDS APPROVAL' }[decision.kind];
  const lines = [`${verdict}: ${principalId} → ${action} on ${resource.type} ${resource.id}`, `  because ${decision.reason}`];
  for (const id of decision.policyIds) lines.push(...described(id, facts));
  if (decision.kind === 'needs-approval') {
    lines.push(
      `  missing: ${decision.quorum} distinct people who are ${decision.approvers.map(approverText).join(' or ')}, none of them ${principalId}`,
    );
  }
  if (decision.kind === 'deny' && decision.code === 'no-permit') lines.push(...missing(facts));
  if (decision.kind === 'deny' && decision.cause !== undefined) lines.push(`  cause: ${decision.cause}`);
  return lines.join('\n');
}

function described(id: string, { policyOf }: Explained): string[] {
  const policy = policyOf(id);
  if (!policy) return [];
  return [`  ${policy.effect} ${id}${policy.summary ? `: ${policy.summary}` : ''} [${policy.controls.join(', ')}]`];
}

/** The permits that would have done, each with the reason why it did not. */
function missing({ applicable, roles, groups }: Explained): string[] {
  const permits = applicable.filter((policy) => policy.effect === 'permit');
  const held = roles.length > 0 ? roles.join(', ') : 'none';
  if (permits.length === 0) return ['  missing: a policy; none permits this action to anybody'];
  return [`  roles held: ${held}`, ...permits.map((policy) => `  missing for ${policy.id}: ${need(policy, { roles, groups })}`)];
}

const approverText = (approver: string): string =>
  groupIn(approver) === undefined ? `of the role ${approver}` : `in the group ${groupIn(approver)}`;

function need({ json, summary, text }: Policy, { roles, groups }: Pick<Explained, 'roles' | 'groups'>): string {
  const { principal } = json;
  const scope = principal.op === 'in' && 'entity' in principal ? principal.entity : undefined;
  const above = scope && ('__entity' in scope ? scope.__entity : scope);
  const held = above?.type.endsWith('::Group') ? groups : roles;
  if (above && !held.includes(above.id)) return held === groups ? `membership of the group ${above.id}` : `the role ${above.id}`;
  const at = text.search(/\b(when|unless)\s*\{/);
  const conditions = at < 0 ? 'its scope' : text.slice(at).replace(/\s+/g, ' ').replace(/;$/, '');
  return `${summary ? `${summary}; ` : ''}not met: ${conditions}`;
}
