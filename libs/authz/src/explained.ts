import type { Elevation, MissingForAccess } from '@claviger/contracts';
import type { Decision } from './decision';
import type { Evaluator } from './evaluator';
import { type Explanation, explanationText, furtherMost } from './explain';
import type { AuthorizationRequest } from './request';

export interface Answered extends Explanation {
  readonly decision: Decision;
  /** All of it for people; its wording may change. */
  readonly text: string;
}

type Asked = Pick<Evaluator, 'decide' | 'explain' | 'limitedGrants' | 'mayApproveAs' | 'current'>;

/**
 * What is decided, by which policies, and what is missing. A second factor and grants of limited use are found by asking again with them, so what is said of
 * them is what would be decided. Nothing is counted.
 */
export function explained(evaluator: Asked, request: AuthorizationRequest): Answered {
  const decision = evaluator.decide(request);
  const explanation = evaluator.explain(request, decision);
  const further =
    decision.kind === 'deny'
      ? [...withSecondFactor(evaluator, request), ...withGrants(evaluator, request), ...askable(evaluator, request, explanation)]
      : [];
  const whole = { ...explanation, missing: [...explanation.missing, ...further.slice(0, furtherMost)] };
  return { ...whole, decision, text: explanationText(request, decision, whole) };
}

function withSecondFactor(evaluator: Asked, request: AuthorizationRequest): MissingForAccess[] {
  if (request.context.mfa) return [];
  const { kind } = evaluator.decide({ ...request, context: { ...request.context, mfa: true } });
  return kind === 'deny' ? [] : [{ kind: 'mfa', gives: kind }];
}

/** One of them, or all that matter together. */
function withGrants(evaluator: Asked, request: AuthorizationRequest): MissingForAccess[] {
  const candidates = evaluator.limitedGrants(request);
  for (const grants of [...candidates.map((one) => [one]), candidates]) {
    const kind = grants.length > 0 ? evaluator.decide(request, grants).kind : 'deny';
    if (kind !== 'deny') return [{ kind: 'grant', grants: grants.map(({ id }) => id), gives: kind }];
  }
  return [];
}

/** A role that a permit asks for, or the action on this key, where the principal may ask for it. */
function askable(evaluator: Asked, request: AuthorizationRequest, { missing }: Explanation): MissingForAccess[] {
  const { principalId, context } = request;
  const rules = (evaluator.current?.bundle.elevations ?? []).filter(({ requesters }) =>
    requesters.some((entry) => evaluator.mayApproveAs(principalId, entry, context.nowMs)),
  );
  const roles = new Set(missing.flatMap((one) => (one.kind === 'role' ? [one.role] : [])));
  const forKey = rules.filter((rule) => isAboutKey(rule, request)).map(({ id }) => id);
  const byRole = Map.groupBy(
    rules.flatMap((rule) => ('role' in rule && roles.has(rule.role) ? [rule] : [])),
    ({ role }) => role,
  );
  return [
    ...[...byRole].map(([role, those]) => ({ kind: 'request' as const, role, rules: those.map(({ id }) => id) })),
    // A grant changes nothing of what is forbidden.
    ...(forKey.length > 0 && missing.length > 0 ? [{ kind: 'request' as const, rules: forKey }] : []),
  ];
}

const isAboutKey = (rule: Elevation, { action, resource }: AuthorizationRequest): boolean =>
  'actions' in rule &&
  resource.type === 'Key' &&
  rule.actions.includes(action) &&
  (rule.environments?.some((one) => one === resource.attrs.environment) ?? true) &&
  (rule.classifications?.some((one) => one === resource.attrs.classification) ?? true);
