import type { PolicyBundle, RoleConflict } from '@claviger/contracts';
import { type Assignment, assignmentsOf, type Period, pathText, rolesGiven } from './assignments';
import type { BundleIssue } from './bundle-issue';

/** One principal that holds, or will hold, both roles of a conflicting pair at one time. */
export interface SeparationBreach {
  readonly principal: string;
  readonly conflict: RoleConflict;
  /** Which assignment gives the one role, and which the other: every pair of them that overlaps in time. */
  readonly by: readonly (readonly [Assignment, Assignment])[];
}

/**
 * Where a bundle breaks its own separation of duties, over all principals (disabled ones too: enabling one must not be the moment when it breaks) and
 * all ways: own roles, groups in groups, and role grants, also those that begin later. A grant that was over when the bundle was published is no way.
 */
export function separationBreaches(
  bundle: Pick<PolicyBundle, 'principals' | 'grants' | 'groups' | 'conflicts' | 'publishedAt'>,
): SeparationBreach[] {
  const { conflicts = [] } = bundle;
  if (conflicts.length === 0) return [];
  const nowMs = Date.parse(bundle.publishedAt);
  const current = assignmentsOf(bundle).filter(({ period }) => period.untilMs > nowMs);
  const conflicting = new Set(conflicts.flatMap(({ roles }) => roles));
  const found: SeparationBreach[] = [];
  for (const [principal, assignments] of Map.groupBy(current, (assignment) => assignment.principal)) {
    const holding = new Map<string, Assignment[]>();
    for (const assignment of assignments)
      for (const role of rolesGiven(assignment)) if (conflicting.has(role)) holding.set(role, [...(holding.get(role) ?? []), assignment]);
    if (holding.size === 0) continue;
    for (const conflict of conflicts) {
      const [ones, others] = conflict.roles.map((role) => holding.get(role) ?? []) as [Assignment[], Assignment[]];
      const by = ones.flatMap((one) => others.flatMap((other) => (overlap(one.period, other.period) ? [[one, other] as const] : [])));
      if (by.length > 0) found.push({ principal, conflict, by });
    }
  }
  return found;
}

export const separationIssues = (bundle: Parameters<typeof separationBreaches>[0]): BundleIssue[] =>
  separationBreaches(bundle).map(({ principal, conflict, by }) => {
    const [one, other] = conflict.roles;
    const [first] = by as readonly [readonly [Assignment, Assignment]];
    const more = by.length > 1 ? `, and in ${by.length - 1} more way(s)` : '';
    return {
      where: separationOf,
      message: `${principal} would hold ${one} (by ${pathText(first[0])}) and ${other} (by ${pathText(first[1])})${more}: ${conflict.reason} [${conflict.control}]`,
    };
  });

/** Where these issues are: it tells them from others. */
export const separationOf = 'separation of duties';

const overlap = (one: Period, other: Period): boolean => one.fromMs < other.untilMs && other.fromMs < one.untilMs;
