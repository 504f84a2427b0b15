import { type Action, type Grant, type Group, groupName, type PolicyBundle, type Principal } from '@claviger/contracts';
import { membershipsOf } from './memberships';
import { atOnce, each, type Work } from './steps';

/** When something is in force: from `fromMs` to just before `untilMs` (milliseconds since 1970-01-01 UTC, or infinite). */
export interface Period {
  readonly fromMs: number;
  readonly untilMs: number;
}
export const always: Period = { fromMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };

export const grantPeriod = ({ notBefore, notAfter }: Pick<Grant, 'notBefore' | 'notAfter'>): Period => ({
  fromMs: notBefore === undefined ? always.fromMs : Date.parse(notBefore),
  untilMs: notAfter === undefined ? always.untilMs : Date.parse(notAfter),
});

/**
 * One thing that was given to a principal and can be taken from it alone: a role of its own, its place in one group, or a grant. `id` is the same as
 * long as it is the same thing.
 */
export type Assignment = { readonly id: string; readonly principal: string; readonly period: Period } & (
  | { readonly kind: 'role'; readonly role: string }
  /** `groups`: the one that lists it, and those that this one is in, each by a shortest path. */
  | { readonly kind: 'group'; readonly group: string; readonly groups: readonly string[]; readonly roles: readonly string[] }
  | { readonly kind: 'role-grant'; readonly grant: string; readonly role: string }
  | { readonly kind: 'key-grant'; readonly grant: string; readonly action: Action; readonly key: string }
);

type Given = Pick<PolicyBundle, 'principals' | 'grants' | 'groups'>;
type Holder = Pick<Principal, 'id' | 'roles'>;

/** Everything that principals have, in the order of the bundle. */
export function assignmentsOf(bundle: Given): Assignment[] {
  return bundle.principals.flatMap(atOnce(assigning(bundle)));
}

/** So many groups, and grants, are put in order before others have their turn. */
const [groupsTogether, grantsTogether] = [10, 500];

/** In steps: what finds the assignments of one principal. */
export function* assigning({ grants, groups = [] }: Omit<Given, 'principals'>): Work<(principal: Holder) => Assignment[]> {
  const rolesOf = new Map(groups.map((group) => [groupName(group), group.roles]));
  // Of one group alone, those above it: what being listed in it gives.
  const nested: Group[] = [];
  yield* each(groups, groupsTogether, (group) => {
    nested.push({ ...group, members: group.members.filter((member) => member.startsWith('group:')) });
  });
  const aboveOf = membershipsOf(nested);
  const given = new Map<string, { names: string[]; roles: string[] }>();
  const givenBy = (name: string) => {
    const known = given.get(name);
    if (known) return known;
    const names = [name, ...aboveOf(`group:${name}`).keys()];
    const found = { names, roles: [...new Set(names.flatMap((one) => rolesOf.get(one) ?? []))] };
    given.set(name, found);
    return found;
  };
  const listedIn = new Map<string, string[]>();
  yield* each(groups, groupsTogether, (group) => {
    for (const member of new Set(group.members)) add(listedIn, member, groupName(group));
  });
  const grantsOf = new Map<string, Grant[]>();
  yield* each(grants, grantsTogether, (grant) => add(grantsOf, grant.principal, grant));
  return ({ id: principal, roles }) => [
    ...[...new Set(roles)].map((role) => ({ id: `role:${principal}:${role}`, principal, period: always, kind: 'role' as const, role })),
    ...(listedIn.get(principal) ?? []).map((group) => {
      const { names, roles: gives } = givenBy(group);
      return { id: `group:${principal}:${group}`, principal, period: always, kind: 'group' as const, group, groups: names, roles: gives };
    }),
    ...(grantsOf.get(principal) ?? []).map((grant) => {
      const base = { id: `grant:${grant.id}`, principal, period: grantPeriod(grant), grant: grant.id };
      return 'role' in grant
        ? { ...base, kind: 'role-grant' as const, role: grant.role }
        : { ...base, kind: 'key-grant' as const, action: grant.action, key: grant.key };
    }),
  ];
}

function add<T>(lists: Map<string, T[]>, name: string, item: T): void {
  const list = lists.get(name);
  if (list) list.push(item);
  else lists.set(name, [item]);
}

/** Roles that an assignment gives. */
export function rolesGiven(assignment: Assignment): readonly string[] {
  if (assignment.kind === 'group') return assignment.roles;
  return assignment.kind === 'key-grant' ? [] : [assignment.role];
}

/** In words: by which way. */
export function pathText(assignment: Assignment): string {
  switch (assignment.kind) {
    case 'role':
      return 'its own record';
    case 'group':
      return `group ${assignment.groups.join(' in ')}`;
    case 'role-grant':
    case 'key-grant':
      return `grant ${assignment.grant}${periodText(assignment.period)}`;
  }
}

export function periodText({ fromMs, untilMs }: Period): string {
  const from = Number.isFinite(fromMs) ? ` from ${new Date(fromMs).toISOString()}` : '';
  return `${from}${Number.isFinite(untilMs) ? ` until ${new Date(untilMs).toISOString()}` : ''}`;
}
