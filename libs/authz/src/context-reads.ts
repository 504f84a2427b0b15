import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { datetimeMs } from './datetime-literal';
import { ascending } from './thresholds';

/** How policies read one attribute of the context. With nothing set, only whether it is present matters (`context has ip`). */
export interface AttributeRead {
  /** Its value matters as such. */
  exact: boolean;
  /** It is only compared with these numbers (for `now`, instants in ms). */
  thresholds: number[];
  /** Of the encryption context: only these entries matter. */
  tags: string[];
}
export interface ContextReads {
  /** The context is used as a value, so that everything in it may matter. */
  readonly whole: boolean;
  readonly attributes: ReadonlyMap<string, AttributeRead>;
}

type Node = Readonly<Record<string, unknown>>;
interface Collector {
  whole: boolean;
  attributes: Map<string, AttributeRead>;
}

const comparisons = new Set(['==', '!=', '<', '<=', '>', '>=']);
const compared = new Set(['now', 'sessionAgeSeconds']);

/**
 * What of the context the conditions of these policies can read: a walk over Cedar's JSON policy format
 * (docs.cedarpolicy.com/policies/json-format.html). It may say too much, never too little: any use that it does not know is the whole context.
 */
export function contextReads(policies: readonly Pick<PolicyJson, 'conditions'>[]): ContextReads {
  const found: Collector = { whole: false, attributes: new Map() };
  for (const policy of policies) for (const condition of policy.conditions) walk(condition.body, found);
  for (const read of found.attributes.values()) {
    read.thresholds = ascending(read.thresholds);
    read.tags = [...new Set(read.tags)].sort();
  }
  return found;
}

function walk(expression: unknown, found: Collector): void {
  if (!isNode(expression)) return;
  for (const [operator, operand] of Object.entries(expression)) {
    if (operator === 'Value') continue;
    if (operator === 'Var') {
      if (operand === 'context') found.whole = true;
    } else if (operator === 'Record') walkEach(Object.values(operand as Node), found);
    else if (Array.isArray(operand)) walkEach(operand, found);
    else if (isNode(operand) && !knownRead(operator, operand, found)) walkEach(Object.values(operand), found);
  }
}

function walkEach(expressions: readonly unknown[], found: Collector): void {
  for (const expression of expressions) walk(expression, found);
}

/** Takes note of a read of the context; false when the operands are still to be walked. */
function knownRead(operator: string, operand: Node, found: Collector): boolean {
  if (operator === 'has' && isContext(operand.left)) {
    const path = Array.isArray(operand.attr) ? (operand.attr as string[]) : [operand.attr as string];
    const read = attribute(found, path[0]!);
    if (path.length > 1) read.exact = true;
    return true;
  }
  if (operator === '.' && isContext(operand.left)) {
    attribute(found, operand.attr as string).exact = true;
    return true;
  }
  if ((operator === 'hasTag' || operator === 'getTag') && attributeName(operand.left) === 'encryptionContext') {
    const tag = literal(operand.right);
    if (typeof tag === 'string') attribute(found, 'encryptionContext').tags.push(tag);
    return typeof tag === 'string';
  }
  if (comparisons.has(operator)) {
    return comparison(operand.left, operand.right, found) || comparison(operand.right, operand.left, found);
  }
  return false;
}

function comparison(side: unknown, other: unknown, found: Collector): boolean {
  const name = attributeName(side);
  if (name === undefined || !compared.has(name)) return false;
  const threshold = name === 'now' ? datetimeMs(other) : literal(other);
  if (typeof threshold !== 'number' || !Number.isSafeInteger(threshold)) return false;
  attribute(found, name).thresholds.push(threshold);
  return true;
}

function attribute(found: Collector, name: string): AttributeRead {
  const read = found.attributes.get(name) ?? { exact: false, thresholds: [], tags: [] };
  found.attributes.set(name, read);
  return read;
}

/** `x` when the expression is `context.x`. */
function attributeName(expression: unknown): string | undefined {
  const access = isNode(expression) ? expression['.'] : undefined;
  return isNode(access) && isContext(access.left) ? (access.attr as string) : undefined;
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && !Array.isArray(value);
const isContext = (expression: unknown): boolean => isNode(expression) && expression.Var === 'context';
const literal = (expression: unknown): unknown => (isNode(expression) ? expression.Value : undefined);
