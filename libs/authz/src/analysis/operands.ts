import { datetimeMs } from '../datetime-literal';
import { isNode, literalOf, variableOf } from './expression';
import type { Variable } from './readings';

/** What one side of a comparison is made of. */
export interface Operands {
  variables: Variable[];
  literals: unknown[];
  /** There is something else in it: arithmetic, a method. */
  isDeep: boolean;
}
const nothing: Operands = { variables: [], literals: [], isDeep: false };

export function operands(expression: unknown, inexact: Set<string>): Operands {
  if (!isNode(expression)) return nothing;
  const variable = variableOf(expression, inexact);
  if (variable !== undefined) return { ...nothing, variables: [variable] };
  const instant = datetimeMs(expression);
  if (instant !== undefined) return { ...nothing, literals: [{ instant }] };
  const range = isNode(expression) && Array.isArray(expression.ip) ? literalOf(expression.ip[0]) : undefined;
  if (typeof range === 'string') return { ...nothing, literals: [{ range }] };
  if ('Value' in expression) return { ...nothing, literals: [expression.Value] };
  if (isNode(expression.neg)) {
    const value = literalOf(expression.neg.arg);
    return typeof value === 'number' ? { ...nothing, literals: [-value] } : { ...operands(expression.neg.arg, inexact), isDeep: true };
  }
  if (Array.isArray(expression.Set)) {
    const each = expression.Set.map((element) => operands(element, inexact));
    return {
      variables: each.flatMap(({ variables }) => variables),
      literals: each.flatMap(({ literals }) => literals),
      isDeep: each.some(({ isDeep }) => isDeep),
    };
  }
  const inside = Object.values(expression).flatMap((operand) =>
    Array.isArray(operand) ? operand : isNode(operand) ? Object.values(operand) : [],
  );
  const each = inside.map((part) => operands(part, inexact));
  return {
    variables: each.flatMap(({ variables }) => variables),
    literals: each.flatMap(({ literals }) => literals),
    isDeep: true,
  };
}
