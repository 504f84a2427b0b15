import type { KekDescription, KeyDescription } from '@claviger/contracts';

/** Root of a token → KEKs → keys → versions. */
export interface TreeNode {
  kind: 'root' | 'kek' | 'key' | 'version' | 'group';
  id: string;
  label: string;
  children: TreeNode[];
}

/**
 * What is wrapped under what. A key stands under each KEK that wraps one of its versions, with those versions; what stays in a token and what is
 * destroyed have groups of their own. `keks` is undefined where the caller may not list them: then only those show that keys name, and no root.
 */
export function treeOf(keks: readonly KekDescription[] | undefined, keys: readonly KeyDescription[]): TreeNode[] {
  const parents = new Map<string, TreeNode>();
  const roots = new Map<string, TreeNode>();
  const root = (kind: 'root' | 'group', id: string, label: string): TreeNode => {
    const node = roots.get(id) ?? { kind, id, label, children: [] };
    roots.set(id, node);
    return node;
  };
  for (const { kekId, rootLabel, family, environment, classification, state } of keks ?? []) {
    const about = [environment, classification, ...(state === 'active' ? [] : [state])].join(', ');
    const kek: TreeNode = { kind: 'kek', id: kekId, label: `KEK ${kekId} (${about})`, children: [] };
    const above =
      rootLabel === undefined
        ? root('group', 'destroyed-keks', 'destroyed KEKs: the record is left')
        : root('root', rootLabel, `root ${rootLabel} (${family})`);
    above.children.push(kek);
    parents.set(kekId, kek);
  }
  const parentOf = ({ kekId, custody }: KeyDescription['versions'][number]): TreeNode => {
    if (kekId === undefined)
      return custody === 'token'
        ? root('group', 'token', 'in a token itself, which they never leave')
        : root('group', 'destroyed', 'destroyed: the material is gone');
    const known = parents.get(kekId);
    if (known) return known;
    const named: TreeNode = { kind: 'kek', id: kekId, label: `KEK ${kekId}`, children: [] };
    root('group', 'unknown', keks ? 'KEKs that are not in the list of KEKs' : 'root not told: you may not list KEKs').children.push(named);
    parents.set(kekId, named);
    return named;
  };
  for (const key of keys)
    for (const [parent, versions] of Map.groupBy(key.versions, parentOf))
      parent.children.push({
        kind: 'key',
        id: key.keyId,
        label: `${key.name} ${key.keyId} ${key.algorithm} ${key.usage}`,
        children: versions.map(({ version, state }) => ({
          kind: 'version',
          id: `${key.keyId}#${version}`,
          label: `version ${version} ${state}${version === key.primaryVersion ? ' (primary)' : ''}`,
          children: [],
        })),
      });
  return [...roots.values()];
}

/** The tree as text, one node a line. */
export function* linesOf(nodes: readonly TreeNode[], indent = ''): Generator<string> {
  for (const [index, { label, children }] of nodes.entries()) {
    const last = index === nodes.length - 1;
    yield `${indent}${last ? '└─ ' : '├─ '}${label}`;
    yield* linesOf(children, `${indent}${last ? '   ' : '│  '}`);
  }
}
