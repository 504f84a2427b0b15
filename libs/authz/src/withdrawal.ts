import { groupName, type PolicyBundle } from '@claviger/contracts';
import type { Assignment } from './assignments';
import { membershipsOf } from './memberships';

/** So many enabled people must be left who hold the role without a grant that ends. */
export interface Keep {
  readonly role: string;
  readonly atLeast: number;
}

/** Where a bundle says nothing else: whoever governs, and whoever administers keys. */
export const keptByDefault: readonly Keep[] = [
  { role: 'security-officer', atLeast: 1 },
  { role: 'key-administrator', atLeast: 1 },
];

type People = Pick<PolicyBundle, 'principals' | 'grants' | 'groups'>;

/** The bundle without these assignments. What is not there any more is no error; every record that changes has a new revision. */
export function withoutAssignments<B extends People>(bundle: B, taken: readonly Assignment[]): B {
  const roles = new Map<string, Set<string>>();
  const members = new Map<string, Set<string>>();
  const grants = new Set<string>();
  const into = (map: Map<string, Set<string>>, at: string, value: string) => map.set(at, (map.get(at) ?? new Set<string>()).add(value));
  for (const assignment of taken)
    if (assignment.kind === 'role') into(roles, assignment.principal, assignment.role);
    else if (assignment.kind === 'group') into(members, assignment.group, assignment.principal);
    else grants.add(assignment.grant);
  return {
    ...bundle,
    principals: bundle.principals.map((principal) => {
      const lost = roles.get(principal.id);
      if (!principal.roles.some((role) => lost?.has(role))) return principal;
      return { ...principal, roles: principal.roles.filter((role) => !lost!.has(role)), revision: principal.revision + 1 };
    }),
    grants: bundle.grants.filter(({ id }) => !grants.has(id)),
    ...(bundle.groups
      ? {
          groups: bundle.groups.map((group) => {
            const lost = members.get(groupName(group));
            if (!group.members.some((member) => lost?.has(member))) return group;
            return { ...group, members: group.members.filter((member) => !lost!.has(member)), revision: group.revision + 1 };
          }),
        }
      : {}),
  };
}

export const disabledIn = <B extends People>(bundle: B, ids: ReadonlySet<string>): B => ({
  ...bundle,
  principals: bundle.principals.map((principal) =>
    ids.has(principal.id) && !principal.disabled ? { ...principal, disabled: true, revision: principal.revision + 1 } : principal,
  ),
});

/** Roles of which fewer people would be left than must be, and fewer than are there now: what this takes away must stay. */
export function shortAfter(before: People, after: People, keep: readonly Keep[] = keptByDefault): (Keep & { readonly left: number })[] {
  const [had, have] = [holders(before, keep), holders(after, keep)];
  return keep.flatMap(({ role, atLeast }) => {
    const left = have.get(role) ?? 0;
    return left < atLeast && left < (had.get(role) ?? 0) ? [{ role, atLeast, left }] : [];
  });
}

function holders({ principals, groups = [] }: People, keep: readonly Keep[]): Map<string, number> {
  const asked = new Set(keep.map(({ role }) => role));
  const gives = new Map(groups.map((group) => [groupName(group), group.roles]));
  const groupsOf = membershipsOf(groups);
  const counts = new Map<string, number>();
  for (const { id, kind, disabled, roles } of principals) {
    if (disabled || kind !== 'person') continue;
    const held = new Set([...roles, ...[...groupsOf(id).keys()].flatMap((name) => gives.get(name) ?? [])]);
    for (const role of held) if (asked.has(role)) counts.set(role, (counts.get(role) ?? 0) + 1);
  }
  return counts;
}
