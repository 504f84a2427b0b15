import { type Action, groupIn } from '@claviger/contracts';
import { type Assignment, rolesGiven } from './assignments';
import { namedBy } from './named-by';
import type { Policy } from './policy-set';

/** A permit, as far as who has what goes. */
export interface Permit {
  readonly id: string;
  readonly actions: readonly Action[];
  readonly roles: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
  /** Roles, and groups as `group:tenant/id`, that approve where it asks for it. */
  readonly approvers: readonly string[];
}

/** `byAction`: policies whose scope can match each action. */
export function permitsOf(byAction: ReadonlyMap<Action, { readonly policies: readonly Policy[] }>): Permit[] {
  const actionsOf = new Map<Policy, Action[]>();
  for (const [action, { policies }] of byAction)
    for (const policy of policies) actionsOf.set(policy, [...(actionsOf.get(policy) ?? []), action]);
  return [...actionsOf]
    .filter(([{ effect }]) => effect === 'permit')
    .map(([{ id, json, approval }, actions]) => {
      const { roles, groups } = namedBy(json);
      return { id, actions, roles, groups, approvers: approval.kind === 'asked' ? approval.approvers : [] };
    });
}

/** How the use of an assignment shows in the ledger. Undefined where it need not show at all, so that its absence says nothing. */
export interface TracesOfUse {
  readonly actions: readonly Action[];
  /** Absent where any policy counts. */
  readonly policies?: readonly string[];
  readonly key?: string;
}

/**
 * A role or a place in a group is used when one of the permits that name it decides something for its holder. Whoever is named as approver may have
 * nothing else to do with it for years, and what a forbid or a role without a permit is for does not show: these are left alone.
 */
export function tracesOf(assignment: Assignment, permits: readonly Permit[]): TracesOfUse | undefined {
  if (assignment.kind === 'key-grant') return { actions: [assignment.action], key: assignment.key };
  const roles = rolesGiven(assignment);
  const groups = assignment.kind === 'group' ? assignment.groups : [];
  const approves = permits.some(({ approvers }) =>
    approvers.some((approver) => (groupIn(approver) === undefined ? roles.includes(approver) : groups.includes(groupIn(approver)!))),
  );
  const naming = permits.filter(
    (permit) => roles.some((role) => permit.roles.has(role)) || groups.some((group) => permit.groups.has(group)),
  );
  if (approves || naming.length === 0) return undefined;
  return { actions: [...new Set(naming.flatMap(({ actions }) => actions))], policies: naming.map(({ id }) => id) };
}
