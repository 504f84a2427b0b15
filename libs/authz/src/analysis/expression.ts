import type { Variable } from './readings';

export type Node = Readonly<Record<string, unknown>>;

/** The variable that an expression is, if it is one. */
export function variableOf(expression: unknown, inexact: Set<string>): Variable | undefined {
  if (!isNode(expression)) return undefined;
  const access = expression['.'];
  if (isNode(access)) {
    const attr = access.attr as string;
    if (isNode(access.left)) {
      const of = access.left.Var;
      if (of === 'context' && attr === 'newOwner') return undefined;
      if (of === 'context' && attr === 'encryptionContext') return undefined;
      if (of === 'principal' || of === 'resource' || of === 'context') return `${of}.${attr}`;
      if (entityVariable(access.left) === 'newOwner') return `newOwner.${attr}`;
    }
    return undefined;
  }
  for (const operator of ['hasTag', 'getTag']) {
    const operand = expression[operator];
    if (!isNode(operand)) continue;
    const of = isVar(operand.left, 'resource') ? 'resource' : encryptionContext(operand.left) ? 'context.encryptionContext' : undefined;
    const tag = literalOf(operand.right);
    if (of !== undefined && typeof tag === 'string') return `${of}.tag:${tag}`;
    if (of !== undefined) inexact.add(`${of} is asked for a tag whose name is no literal`);
  }
  return undefined;
}

/** The entity variable that an expression is, `newOwner` for `context.newOwner`. */
export function entityVariable(expression: unknown): string | undefined {
  if (!isNode(expression)) return undefined;
  if (expression.Var === 'principal' || expression.Var === 'resource' || expression.Var === 'action') return expression.Var as string;
  const access = expression['.'];
  return isNode(access) && isVar(access.left, 'context') && access.attr === 'newOwner' ? 'newOwner' : undefined;
}

const encryptionContext = (expression: unknown): boolean =>
  isNode(expression) &&
  isNode(expression['.']) &&
  isVar((expression['.'] as Node).left, 'context') &&
  (expression['.'] as Node).attr === 'encryptionContext';

export const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && !Array.isArray(value);
export const isVar = (expression: unknown, name: string): boolean => isNode(expression) && expression.Var === name;
export const literalOf = (expression: unknown): unknown => (isNode(expression) && 'Value' in expression ? expression.Value : expression);
export const uidOf = (entity: unknown): { type: string; id: string } | undefined => {
  const uid = isNode(entity) && '__entity' in entity ? entity.__entity : entity;
  return isNode(uid) && typeof uid.type === 'string' && typeof uid.id === 'string' ? { type: uid.type, id: uid.id } : undefined;
};
