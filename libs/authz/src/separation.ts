import type { PolicyBundle, RoleConflict } from '@claviger/contracts';
import { type Assignment, assigning, type Period, pathText, rolesGiven } from './assignments';
import type { BundleIssue } from './bundle-issue';
import { atOnce, each, type Work } from './steps';

/** One principal that holds, or will hold, both roles of a conflicting pair at one time. */
export interface SeparationBreach {
  readonly principal: string;
  readonly conflict: RoleConflict;
  /** Which assignment gives the one role, and which the other: the first two that overlap in time. */
  readonly by: readonly [Assignment, Assignment];
}

type Checked = Pick<PolicyBundle, 'principals' | 'grants' | 'groups' | 'conflicts' | 'publishedAt'>;

/**
 * Where a bundle breaks its own separation of duties, over all principals (disabled ones too: enabling one must not be the moment when it breaks) and
 * all ways: own roles, groups in groups, and role grants, also those that begin later. A grant that was over when the bundle was published is no way.
 */
export const separationBreaches = (bundle: Checked): SeparationBreach[] => atOnce(separating(bundle));

/** So many principals are looked at before others have their turn. */
const lookedAtTogether = 100;

function* separating(bundle: Checked): Work<SeparationBreach[]> {
  const { conflicts = [] } = bundle;
  if (conflicts.length === 0) return [];
  const nowMs = Date.parse(bundle.publishedAt);
  const conflicting = new Set(conflicts.flatMap(({ roles }) => roles));
  const found: SeparationBreach[] = [];
  const assignmentsOf = yield* assigning(bundle);
  yield* each(bundle.principals, lookedAtTogether, ({ id, roles }) => {
    const held = assignmentsOf({ id, roles }).filter(({ period }) => period.untilMs > nowMs);
    found.push(...breachesOf(id, held, conflicts, conflicting));
  });
  return found;
}

function breachesOf(
  principal: string,
  assignments: readonly Assignment[],
  conflicts: readonly RoleConflict[],
  conflicting: ReadonlySet<string>,
): SeparationBreach[] {
  const holding = new Map<string, Assignment[]>();
  for (const assignment of assignments)
    for (const role of rolesGiven(assignment)) {
      if (!conflicting.has(role)) continue;
      const held = holding.get(role);
      if (held) held.push(assignment);
      else holding.set(role, [assignment]);
    }
  if (holding.size === 0) return [];
  return conflicts.flatMap((conflict) => {
    const [ones, others] = conflict.roles.map((role) => holding.get(role) ?? []) as [Assignment[], Assignment[]];
    const by = firstTogether(ones, others);
    return by ? [{ principal, conflict, by }] : [];
  });
}

/** So many are told; the rest is counted. */
const told = 100;

export const separationIssues = (bundle: Checked): BundleIssue[] => atOnce(checkingSeparation(bundle));

/** The same in steps: with 10,000 principals it takes some tens of milliseconds. */
export function* checkingSeparation(bundle: Checked): Work<BundleIssue[]> {
  const breaches = yield* separating(bundle);
  const issues = breaches.slice(0, told).map(({ principal, conflict, by: [first, second] }) => {
    const [one, other] = conflict.roles;
    return {
      where: separationOf,
      message: `${principal} would hold ${one} (by ${pathText(first)}) and ${other} (by ${pathText(second)}): ${conflict.reason} [${conflict.control}]`,
    };
  });
  const more = breaches.length - issues.length;
  return more > 0 ? [...issues, { where: separationOf, message: `and ${more} more such pairs` }] : issues;
}

/** Where these issues are: it tells them from others. */
export const separationOf = 'separation of duties';

const overlap = (one: Period, other: Period): boolean => one.fromMs < other.untilMs && other.fromMs < one.untilMs;

/** Two that overlap, one of each list, by one sweep over both in the order in which they begin: whichever ended before the other began meets nothing later. */
function firstTogether(ones: readonly Assignment[], others: readonly Assignment[]): readonly [Assignment, Assignment] | undefined {
  if (ones.length === 0 || others.length === 0) return undefined;
  const [left, right] = [ones, others].map((list) => list.toSorted(byBeginning)) as [Assignment[], Assignment[]];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const [one, other] = [left[i], right[j]] as [Assignment, Assignment];
    if (overlap(one.period, other.period)) return [one, other];
    if (one.period.untilMs <= other.period.fromMs) i++;
    else j++;
  }
  return undefined;
}

// Not a difference: that of two that begin before all time is no number.
const byBeginning = ({ period: a }: Assignment, { period: b }: Assignment): number =>
  a.fromMs === b.fromMs ? 0 : a.fromMs < b.fromMs ? -1 : 1;
