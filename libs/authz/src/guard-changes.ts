import { type Action, actions, groupIn, type PolicyBundle } from '@claviger/contracts';
import { actionGroups, scopeIncludes } from './action-groups';
import type { ApprovalRule } from './approval';
import { nameOfApprovalKey } from './approval-keys';
import { cedar } from './cedar';
import { type Policy, parsePolicies } from './policy-set';
import { subjectsOf } from './subjects';

/** What a bundle would change about a policy that asks for approval, and whose approval that needs: that of the policy in force. */
export interface GuardChange {
  readonly policy: string;
  readonly rule: ApprovalRule;
  /** For people. */
  readonly why: string;
}

type Asking = Policy & { readonly approval: ApprovalRule & { readonly kind: 'asked' } };
type Parts = Pick<PolicyBundle, 'policies' | 'schema' | 'principals' | 'roles' | 'grants' | 'groups'>;

/**
 * How the bundle `to` would change a guard of the one in force: its policy, what other permits let past it, and who can approve with which keys. A guard that
 * so few people can approve that its quorum is never reached is not held on to: nothing passes it, and somebody has to be able to enrol the first approvers. To
 * disable an approver needs nobody's approval while enough others are left.
 */
export function guardChanges(from: Parts, to: Parts, nowMs: number): GuardChange[] {
  // Nobody can approve anything: most of the work can be left out.
  if (!from.principals.some(({ approvalKeys }) => approvalKeys?.length)) return [];
  const [before, after] = [readPolicies(from), readPolicies(to)];
  const [peopleBefore, peopleAfter] = [approversIn(from, nowMs), approversIn(to, nowMs)];
  const changes: GuardChange[] = [];
  for (const guard of before.policies.filter(isAsking)) {
    const { quorum, approvers } = guard.approval;
    const [able, ableThen] = [peopleBefore(approvers), peopleAfter(approvers)];
    if (able.size < quorum) continue;
    const rule = { quorum, approvers };
    const reasons = [...policyReasons(guard, before, after), ...peopleReasons(able, ableThen, to, quorum)];
    if (reasons.length > 0) changes.push({ policy: guard.id, rule, why: reasons.join('; ') });
  }
  return changes;
}

interface Read {
  readonly policies: readonly Policy[];
  readonly actionsOf: (policy: Policy) => readonly Action[];
}

/** Of a bundle that validates. Throws when it does not. */
function readPolicies({ policies, schema }: Parts): Read {
  const parsed = parsePolicies(policies);
  const json = cedar.schemaToJson(schema);
  if (!parsed.ok || json.type === 'failure') throw new Error('a bundle whose policies cannot be read is compared with none');
  const groups = actionGroups(json.json);
  const known = new Map<Policy, readonly Action[]>();
  const actionsOf = (policy: Policy) => {
    const found = known.get(policy) ?? actions.filter((action) => scopeIncludes(policy.json, groups(action)));
    known.set(policy, found);
    return found;
  };
  return { policies: parsed.policies, actionsOf };
}

export const isAsking = (policy: Policy): policy is Asking => policy.approval.kind === 'asked';
const bare = ({ text }: Policy): string => text.replace(/\s+/g, ' ').trim();

function policyReasons(guard: Asking, before: Read, after: Read): string[] {
  const reasons: string[] = [];
  const same = after.policies.find(({ id }) => id === guard.id);
  if (!same) reasons.push(`it takes the policy ${guard.id} away`);
  else if (bare(same) !== bare(guard)) reasons.push(`it changes the policy ${guard.id}`);
  const guarded = before.actionsOf(guard);
  const missed = same ? guarded.filter((action) => !after.actionsOf(same).includes(action)) : [];
  if (missed.length > 0) reasons.push(`its schema takes ${missed.join(', ')} out of the policy ${guard.id}`);
  const known = new Map(before.policies.map((policy) => [policy.id, bare(policy)]));
  for (const policy of after.policies) {
    if (policy.effect !== 'permit' || policy.id === guard.id || known.get(policy.id) === bare(policy)) continue;
    const past = isWeaker(policy, guard) ? after.actionsOf(policy).filter((action) => guarded.includes(action)) : [];
    if (past.length > 0) reasons.push(`its policy ${policy.id} permits ${past.slice(0, 3).join(', ')} with less than ${guard.id} asks for`);
  }
  return reasons;
}

const isWeaker = ({ approval }: Policy, guard: Asking): boolean =>
  approval.kind !== 'asked' ||
  approval.quorum < guard.approval.quorum ||
  approval.approvers.some((one) => !guard.approval.approvers.includes(one));

/** By principal id, the names of the keys of everybody who could approve at some time, as one of these. */
export type Able = ReadonlyMap<string, ReadonlySet<string>>;

/** Who could approve at some time, by a bundle, as one of the `approvers` of a policy. */
export function approversIn(bundle: Omit<Parts, 'policies' | 'schema'>, nowMs: number): (approvers: readonly string[]) => Able {
  // A role that is granted for a time to come is one to approve with.
  const grants = bundle.grants.filter(({ notAfter }) => notAfter === undefined || Date.parse(notAfter) > nowMs);
  const lasting = grants.map(({ notBefore: _, notAfter: __, ...grant }) => grant);
  const subjectOf = subjectsOf({ ...bundle, grants: lasting });
  return (approvers) => {
    const able = new Map<string, Set<string>>();
    for (const { id, kind, disabled, approvalKeys = [] } of bundle.principals) {
      if (disabled || kind !== 'person' || approvalKeys.length === 0) continue;
      const subject = subjectOf(id);
      if (!subject) continue;
      const roles = subject.rolesAt(nowMs);
      const isOne = (name: string) =>
        groupIn(name) === undefined ? roles.includes(name) : subject.groups.includes(groupIn(name) as string);
      if (approvers.some(isOne)) able.set(id, new Set(approvalKeys.map(nameOfApprovalKey)));
    }
    return able;
  };
}

function peopleReasons(able: Able, then: Able, { principals }: Parts, quorum: number): string[] {
  const reasons: string[] = [];
  for (const [id, keys] of then) {
    const had = able.get(id);
    if (!had) reasons.push(`${id} could approve`);
    else if ([...keys].some((key) => !had.has(key))) reasons.push(`${id} could approve with another key`);
    else if (keys.size < had.size) reasons.push(`a key of ${id} is taken away`);
  }
  for (const id of able.keys()) {
    if (then.has(id)) continue;
    const isDisabled = principals.some((one) => one.id === id && one.disabled);
    if (!isDisabled) reasons.push(`${id} could approve no more`);
    else if (then.size < quorum) reasons.push(`${id} is disabled, and too few are left who could approve`);
  }
  return reasons;
}
