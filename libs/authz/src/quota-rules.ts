import { type Action, actions, type PolicyBundle, type Quota, type QuotaSubject } from '@claviger/contracts';
import type { Resource } from './request';

/** A quota that an operation counts against, and what it counts there as. */
export interface Counted {
  readonly quota: Quota;
  readonly subject: QuotaSubject;
}

/** Quotas by action: an action that no quota names costs one look. */
export type QuotaRules = ReadonlyMap<Action, readonly Quota[]>;

export function quotaRules({ quotas = [] }: Pick<PolicyBundle, 'quotas'>): QuotaRules {
  const rules = new Map<Action, Quota[]>();
  for (const quota of quotas)
    for (const action of actionsOf(quota)) {
      const of = rules.get(action);
      if (of) of.push(quota);
      else rules.set(action, [quota]);
    }
  return rules;
}

/** The actions that it names, each once; names that mean none are left out. */
export const actionsOf = ({ actions: named }: Pick<Quota, 'actions'>): Action[] =>
  actions.filter((action) => named.includes(action) || named.includes(action.slice(0, action.indexOf(':'))));

/** Asked only where a quota is about roles or groups. */
export interface HeldBy {
  roles: () => readonly string[] | undefined;
  groups: () => readonly string[] | undefined;
}

/** What of the rules for its action an operation counts against. */
export function countedBy(quotas: readonly Quota[], principal: string, resource: Resource, standing: HeldBy): readonly Counted[] {
  const found: Counted[] = [];
  for (const quota of quotas)
    if (matches(quota, principal, resource, standing)) found.push({ quota, subject: subjectOf(quota, principal, resource) });
  return found;
}

function matches(quota: Quota, principal: string, resource: Resource, standing: HeldBy): boolean {
  if (quota.principal !== undefined && quota.principal !== principal) return false;
  if (quota.role !== undefined && !standing.roles()?.includes(quota.role)) return false;
  if (quota.group !== undefined && !standing.groups()?.includes(quota.group)) return false;
  if (resource.type === 'System') return !isAboutKeys(quota);
  const { environment, classification } = resource.attrs;
  return (
    (quota.key === undefined || quota.key === resource.id) &&
    (quota.environment === undefined || quota.environment === environment) &&
    (quota.classification === undefined || quota.classification === classification)
  );
}

/** Whether it can count only what is about one key. */
export const isAboutKeys = ({ key, classification, environment, per }: Quota): boolean =>
  key !== undefined || classification !== undefined || environment !== undefined || countsKeys(per);

const countsKeys = (per: Quota['per']): boolean => per === 'key' || per === 'principal+key';

const subjectOf = ({ per }: Quota, principal: string, resource: Resource): QuotaSubject => ({
  ...(per === 'principal' || per === 'principal+key' ? { principal } : {}),
  ...(countsKeys(per) ? { keyId: resource.id } : {}),
});
