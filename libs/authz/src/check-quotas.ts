import { actionTable, groupName, type PolicyBundle } from '@claviger/contracts';
import type { BundleIssue } from './bundle-issue';
import { actionsOf, isAboutKeys } from './quota-rules';

/** What the shape of a quota cannot say: ids are unique, references lead somewhere, and there is something for it to count. */
export function checkQuotas(
  { quotas = [], groups = [] }: Pick<PolicyBundle, 'quotas' | 'groups'>,
  roles: ReadonlySet<string>,
  principals: ReadonlySet<string>,
): BundleIssue[] {
  const issues: BundleIssue[] = [];
  const ids = new Set<string>();
  const groupNames = new Set(groups.map(groupName));
  quotas.forEach((quota, index) => {
    const say = (message: string) => issues.push({ where: `quotas.${index} (${quota.id})`, message });
    if (ids.has(quota.id)) say(`the id ${quota.id} is used twice`);
    ids.add(quota.id);
    if (quota.principal !== undefined && !principals.has(quota.principal)) say(`is for ${quota.principal}, who is not in principals`);
    if (quota.role !== undefined && !roles.has(quota.role)) say(`is for the role ${quota.role}, which is not in roles`);
    if (quota.group !== undefined && !groupNames.has(quota.group)) say(`is for the group ${quota.group}, which is not in groups`);
    for (const name of quota.actions)
      if (actionsOf({ actions: [name] }).length === 0) say(`names ${name}, which is no action and no service`);
    if (isAboutKeys(quota) && actionsOf(quota).every((action) => actionTable[action] === 'System'))
      say('counts by key, and none of its actions is about one key');
  });
  return issues;
}
