import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';

/** Roles and groups that a policy names anywhere: in its scope or in its conditions. */
export interface Named {
  readonly roles: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

/** A walk over Cedar's JSON policy format: an entity is `{ type, id }`, also within `__entity`. */
export function namedBy(policy: PolicyJson): Named {
  const roles = new Set<string>();
  const groups = new Set<string>();
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { type, id } = value as { type?: unknown; id?: unknown };
    if (typeof type === 'string' && typeof id === 'string') {
      if (type.endsWith('::Role')) roles.add(id);
      if (type.endsWith('::Group')) groups.add(id);
    }
    for (const inner of Object.values(value)) walk(inner);
  };
  walk(policy);
  return { roles, groups };
}
