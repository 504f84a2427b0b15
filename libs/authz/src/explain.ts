import { type ExplainedPolicy, explainLimits, groupIn, type MissingForAccess } from '@claviger/contracts';
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

/** A decision with the policies that made it and, where it allows nothing, what is missing. */
export interface Explanation {
  readonly policies: readonly ExplainedPolicy[];
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly missing: readonly MissingForAccess[];
  /** Permits that would have done and are left out of `missing`, since there are too many. */
  readonly more: number;
}

export function explain(decision: Decision, facts: Explained): Explanation {
  const { policyOf, roles, groups } = facts;
  const policies = decision.policyIds.slice(0, explainLimits.policies).flatMap((id) => described(policyOf(id)));
  const about = { policies, roles, groups };
  if (decision.kind === 'needs-approval') {
    const { quorum, approvers } = decision;
    return { ...about, missing: [{ kind: 'approval', quorum, approvers: [...approvers] }], more: 0 };
  }
  if (decision.kind !== 'deny' || decision.code !== 'no-permit') return { ...about, missing: [], more: 0 };
  const permits = facts.applicable.filter((policy) => policy.effect === 'permit');
  if (permits.length === 0) return { ...about, missing: [{ kind: 'policy' }], more: 0 };
  const told = permits.slice(0, explainLimits.missing - furtherMost);
  return { ...about, missing: told.map((policy) => need(policy, facts)), more: permits.length - told.length };
}

/** So much may be missing beside what single permits ask for: a second factor, uses of grants, what can be asked for. */
export const furtherMost = 10;

function described(policy: Policy | undefined): ExplainedPolicy[] {
  if (!policy) return [];
  const { id, effect, summary, controls } = policy;
  return [{ id, effect, ...(summary ? { summary } : {}), controls: [...controls] }];
}

/** Why a permit did not do. */
function need({ id, json, summary, text }: Policy, { roles, groups }: Pick<Explained, 'roles' | 'groups'>): MissingForAccess {
  const { principal } = json;
  const scope = principal.op === 'in' && 'entity' in principal ? principal.entity : undefined;
  const above = scope && ('__entity' in scope ? scope.__entity : scope);
  const isGroup = above?.type.endsWith('::Group');
  if (above && !(isGroup ? groups : roles).includes(above.id))
    return isGroup ? { kind: 'group', group: above.id, policy: id } : { kind: 'role', role: above.id, policy: id };
  const at = text.search(/\b(when|unless)\s*\{/);
  const condition = at < 0 ? 'its scope' : text.slice(at).replace(/\s+/g, ' ').replace(/;$/, '');
  return { kind: 'condition', condition: shortened(condition, explainLimits.conditionChars), policy: id, ...(summary ? { summary } : {}) };
}

const shortened = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

/** For people. */
export function explanationText(
  { principalId, action, resource }: AuthorizationRequest,
  decision: Decision,
  { policies, roles, missing, more }: Explanation,
): string {
  const verdict = { allow: 'ALLOWED', deny: 'DENIED', 'needs-approval': 'NEEDS APPROVAL' }[decision.kind];
  const because = shortened(decision.reason, explainLimits.conditionChars);
  const lines = [`${verdict}: ${principalId} → ${action} on ${resource.type} ${resource.id}`, `  because ${because}`];
  for (const { id, effect, summary, controls } of policies)
    lines.push(`  ${effect} ${id}${summary ? `: ${summary}` : ''} [${controls.join(', ')}]`);
  if (decision.kind === 'deny' && decision.code === 'no-permit' && missing.some(({ kind }) => kind !== 'policy'))
    lines.push(`  roles held: ${roles.length > 0 ? roles.join(', ') : 'none'}`);
  lines.push(...missing.map((one) => `  ${missingText(one, principalId)}`));
  if (more > 0) lines.push(`  and ${more} more policies that permit it to somebody`);
  if (decision.kind === 'deny' && decision.cause !== undefined)
    lines.push(`  cause: ${shortened(decision.cause, explainLimits.conditionChars)}`);
  return shortened(lines.join('\n'), explainLimits.textChars);
}

function missingText(missing: MissingForAccess, principal: string): string {
  switch (missing.kind) {
    case 'role':
      return `missing for ${missing.policy}: the role ${missing.role}`;
    case 'group':
      return `missing for ${missing.policy}: membership of the group ${missing.group}`;
    case 'condition':
      return `missing for ${missing.policy}: ${missing.summary ? `${missing.summary}; ` : ''}not met: ${missing.condition}`;
    case 'approval':
      return `missing: ${missing.quorum} distinct people who are ${missing.approvers.map(approverText).join(' or ')}, none of them ${principal}`;
    case 'mfa':
      return `missing: a second factor; with one it ${missing.gives === 'allow' ? 'is allowed' : 'needs approval'}`;
    case 'grant':
      return `a use of the grant ${missing.grants.join(' and ')} ${missing.gives === 'allow' ? 'allows it' : 'lets it be approved'}, as long as it has some left (claviger quotas list)`;
    case 'request':
      return missing.role === undefined
        ? `it can be asked for on this key, by ${missing.rules.join(', ')}: claviger access request --action … --key …`
        : `the role ${missing.role} can be asked for, by ${missing.rules.join(', ')}: claviger access request --role ${missing.role}`;
    case 'policy':
      return 'missing: a policy; none permits this action to anybody';
  }
}

const approverText = (approver: string): string =>
  groupIn(approver) === undefined ? `of the role ${approver}` : `in the group ${groupIn(approver)}`;
