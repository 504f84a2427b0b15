import type { PolicyJson, SchemaJson } from '@cedar-policy/cedar-wasm/nodejs';

/** For an action id, itself and every action group above it, as the schema says. */
export type ActionGroups = (action: string) => ReadonlySet<string>;

/** Namespaces are left out of the comparison: that can only find a policy applicable once too often, which costs a cache hit and no exactness. */
export function actionGroups(schema: SchemaJson<string>): ActionGroups {
  const parents = new Map<string, string[]>();
  for (const namespace of Object.values(schema)) {
    for (const [id, action] of Object.entries(namespace.actions)) {
      parents.set(id, [...(parents.get(id) ?? []), ...(action.memberOf ?? []).map((group) => group.id)]);
    }
  }
  return (action) => {
    const found = new Set([action]);
    for (const id of found) for (const parent of parents.get(id) ?? []) found.add(parent);
    return found;
  };
}

/** Whether a policy's scope can match an action that is in these groups. */
export function scopeIncludes({ action }: Pick<PolicyJson, 'action'>, groups: ReadonlySet<string>): boolean {
  if (action.op === 'All') return true;
  const entities = 'entities' in action ? action.entities : 'entity' in action ? [action.entity] : undefined;
  // A slot, or a form that this version does not know.
  if (!entities) return true;
  return entities.some((entity) => groups.has('__entity' in entity ? entity.__entity.id : entity.id));
}
