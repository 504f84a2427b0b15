import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { entityVariable, isNode, literalOf, type Node, uidOf, variableOf } from './expression';
import { operands } from './operands';

/**
 * One thing that policies can read of a request: `principal.kind`, `resource.owner`, `resource.tag:team`, `context.mfa`,
 * `context.encryptionContext.tag:tenant`, `role:auditor` (the principal holds it), `group:acme/security`, `newOwner.role:auditor`.
 */
export type Variable = string;

/** With what one variable is compared. */
export interface Reading {
  readonly strings: Set<string>;
  readonly numbers: Set<number>;
  /** Instants in ms. */
  readonly instants: Set<number>;
  /** Addresses and ranges, as written. */
  readonly ranges: Set<string>;
  /** Other variables. */
  readonly peers: Set<Variable>;
}
export interface Readings {
  readonly variables: Map<Variable, Reading>;
  /** What is read in a way that finitely many values do not cover, in words. */
  readonly inexact: Set<string>;
  /** Whether a condition (not the scope) looks at the action. */
  readonly readsAction: boolean;
}

type Found = { variables: Map<Variable, Reading>; inexact: Set<string>; readsAction: boolean };

/** A value that no policy names. */
export const another = 'another';

const comparisons = new Set(['==', '!=', '<', '<=', '>', '>=', 'contains', 'containsAll', 'containsAny', 'in', 'isInRange']);

/** A walk over Cedar's JSON policy format (docs.cedarpolicy.com/policies/json-format.html). A use that it does not know is said in `inexact`. */
export function readingsOf({ principal, resource, conditions }: Pick<PolicyJson, 'principal' | 'resource' | 'conditions'>): Readings {
  const found: Found = { variables: new Map(), inexact: new Set(), readsAction: false };
  scope('principal', principal, found);
  scope('resource', resource, found);
  for (const { body } of conditions) walk(body, found);
  return found;
}

export function reading(variables: Map<Variable, Reading>, variable: Variable): Reading {
  const known = variables.get(variable) ?? {
    strings: new Set(),
    numbers: new Set(),
    instants: new Set(),
    ranges: new Set(),
    peers: new Set(),
  };
  variables.set(variable, known);
  return known;
}

function scope(of: 'principal' | 'resource', constraint: PolicyJson['principal'] | PolicyJson['resource'], found: Found): void {
  const { op } = constraint;
  const entity =
    'entity' in constraint ? constraint.entity : 'in' in constraint ? (constraint.in as { entity: unknown }).entity : undefined;
  if (op === 'All' || (op === 'is' && entity === undefined)) return;
  membership(of, [entity], found);
}

/** `x == E`, `x in E` and `x in [E, …]` with literal entities. */
function membership(of: string, entities: readonly unknown[], found: Found): void {
  for (const entity of entities) {
    const uid = uidOf(entity);
    if (!uid) found.inexact.add(`${of} is compared with something that is no literal`);
    else if (/::Role$|^Role$/.test(uid.type)) reading(found.variables, named(of, `role:${uid.id}`));
    else if (/::Group$|^Group$/.test(uid.type)) reading(found.variables, named(of, `group:${uid.id}`));
    else reading(found.variables, `${of}.id`).strings.add(uid.id);
  }
}
/** Roles of the caller are named without it. */
const named = (of: string, rest: string): Variable => (of === 'principal' ? rest : `${of}.${rest}`);

function walk(expression: unknown, found: Found): void {
  if (Array.isArray(expression)) for (const each of expression) walk(each, found);
  if (!isNode(expression)) return;
  const variable = variableOf(expression, found.inexact);
  if (variable !== undefined) {
    reading(found.variables, variable);
    return;
  }
  for (const [operator, operand] of Object.entries(expression)) {
    if (operator === 'Value') continue;
    if (operator === 'Var') {
      if (operand === 'action') found.readsAction = true;
      else found.inexact.add(`${operand} is used as a whole`);
      continue;
    }
    if (isNode(operand) && entityTest(operator, operand, found)) continue;
    if (isNode(operand) && operator === 'has') {
      presence(operand, found);
      continue;
    }
    if (operator === 'like' && isNode(operand)) pattern(operand, found);
    if (operator === 'isEmpty' && isNode(operand)) someElement(operand.arg, found);
    const args = Array.isArray(operand) ? operand : isNode(operand) ? [operand.left, operand.right] : [];
    if (comparisons.has(operator)) compare(operator, args, found);
    if (isNode(operand)) for (const each of Object.values(operand)) walk(each, found);
    else walk(operand, found);
  }
}

/** `principal in …`, `principal == …`, `resource == …`, `x is Type`, and the same of the new owner. */
function entityTest(operator: string, { left, right, entity_type, in: within }: Node, found: Found): boolean {
  const of = entityVariable(left);
  if (of === undefined) return false;
  if (of === 'action') found.readsAction = true;
  if (operator === 'is' && typeof entity_type === 'string') {
    if (within !== undefined) membership(of, elements(within), found);
    return true;
  }
  if (operator !== '==' && operator !== '!=' && operator !== 'in') return false;
  if (of === 'action') return true;
  const other = entityVariable(right);
  if (other !== undefined) {
    reading(found.variables, `${of}.id`).peers.add(`${other}.id`);
    reading(found.variables, `${other}.id`).peers.add(`${of}.id`);
  } else membership(of, elements(right), found);
  return true;
}

const elements = (expression: unknown): readonly unknown[] => {
  const set = isNode(expression) ? expression.Set : undefined;
  return Array.isArray(set) ? set.map(literalOf) : [literalOf(expression)];
};

function presence(operand: Node, found: Found): void {
  const path = (Array.isArray(operand.attr) ? operand.attr : [operand.attr]) as string[];
  const of = isNode(operand.left) ? (operand.left.Var as string | undefined) : undefined;
  if (of === undefined) {
    walk(operand.left, found);
    return;
  }
  const [first, second] = path;
  if (of === 'context' && first === 'newOwner') reading(found.variables, second === undefined ? 'newOwner.id' : `newOwner.${second}`);
  else reading(found.variables, `${of}.${first}`);
}

/** So that there is a set with something in it that nothing names. */
function someElement(expression: unknown, found: Found): void {
  const variable = variableOf(expression, found.inexact);
  if (variable !== undefined) reading(found.variables, variable).strings.add(another);
}

function pattern({ left, pattern: parts }: Node, found: Found): void {
  const variable = variableOf(left, found.inexact);
  if (variable === undefined || !Array.isArray(parts)) return;
  const matching = parts.map((part) => (isNode(part) ? String(part.Literal) : 'x')).join('');
  reading(found.variables, variable).strings.add(matching);
  found.inexact.add(`${variable} is compared with a pattern: one text that matches it, and others that do not, stand for all`);
}

function compare(operator: string, [left, right]: readonly unknown[], found: Found): void {
  const [ofLeft, ofRight] = [operands(left, found.inexact), operands(right, found.inexact)];
  const all = [...ofLeft.variables, ...ofRight.variables];
  const literals = [...ofLeft.literals, ...ofRight.literals];
  for (const variable of all) {
    const known = reading(found.variables, variable);
    for (const literal of literals) note(known, literal);
    for (const peer of all) if (peer !== variable) known.peers.add(peer);
  }
  if (operator === 'isInRange' && all.length > 0)
    found.inexact.add(`${all.join(', ')}: the first and the last address of a range, and those beside it, stand for all`);
  const isDeep = ofLeft.isDeep || ofRight.isDeep;
  if (isDeep && all.length > 0) found.inexact.add(`${all.join(', ')}: more than compared (${operator})`);
}

function note(known: Reading, literal: unknown): void {
  if (typeof literal === 'string') known.strings.add(literal);
  else if (typeof literal === 'number') known.numbers.add(literal);
  else if (isNode(literal) && typeof literal.instant === 'number') known.instants.add(literal.instant);
  else if (isNode(literal) && typeof literal.range === 'string') known.ranges.add(literal.range);
}
