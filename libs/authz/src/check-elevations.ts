import { actionTable, groupIn, groupName, type PolicyBundle } from '@claviger/contracts';
import type { BundleIssue } from './bundle-issue';

type Parts = Pick<PolicyBundle, 'elevations' | 'breakGlass' | 'groups'>;

/** What the shape of these rules cannot say: ids are unique, actions are about keys, and the roles and groups that they name are there. */
export function checkElevations({ elevations = [], breakGlass = [], groups = [] }: Parts, roles: ReadonlySet<string>): BundleIssue[] {
  const issues: BundleIssue[] = [];
  const groupNames = new Set(groups.map(groupName));
  const isThere = (entry: string) => {
    const group = groupIn(entry);
    return group === undefined ? roles.has(entry) : groupNames.has(group);
  };
  const lists = [
    ['elevations', elevations],
    ['breakGlass', breakGlass],
  ] as const;
  for (const [part, rules] of lists) {
    const ids = new Set<string>();
    rules.forEach((rule, index) => {
      const say = (message: string) => issues.push({ where: `${part}.${index} (${rule.id})`, message });
      if (ids.has(rule.id)) say(`the id ${rule.id} is used twice`);
      ids.add(rule.id);
      if ('role' in rule && !roles.has(rule.role)) say(`is about the role ${rule.role}, which is not in roles`);
      const named = [...rule.requesters, ...rule.approvers, ...('reviewers' in rule ? rule.reviewers : [])];
      for (const entry of new Set(named))
        if (!isThere(entry)) say(`names ${entry}, which is not in ${groupIn(entry) === undefined ? 'roles' : 'groups'}`);
      if ('actions' in rule)
        for (const action of rule.actions)
          if ((actionTable as Record<string, string>)[action] !== 'Key') say(`names ${action}, which is no action on a key`);
    });
  }
  return issues;
}
