import { createHash } from 'node:crypto';
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { KeyAttributes } from './request';

type Node = Readonly<Record<string, unknown>>;

/**
 * Whether these policies can tell two keys of the same attributes from each other: by a scope that names one, or where `resource` stands for more than its
 * attributes and tags. A walk over Cedar's JSON policy format; it may say yes too often, never too seldom: any use that it does not know is one.
 */
export const seesIdentity = (policies: readonly Pick<PolicyJson, 'conditions' | 'resource'>[]): boolean =>
  policies.some(
    ({ resource, conditions }) =>
      !(resource.op === 'All' || (resource.op === 'is' && !('in' in resource))) || conditions.some(({ body }) => sees(body)),
  );

function sees(expression: unknown): boolean {
  if (Array.isArray(expression)) return expression.some(sees);
  if (!isNode(expression)) return false;
  return Object.entries(expression).some(([operator, operand]) => {
    if (operator === 'Value') return false;
    if (operator === 'Var') return operand === 'resource';
    if (isNode(operand) && isResource(operand.left)) {
      if (operator === '.' || operator === 'has') return false;
      if (operator === 'hasTag' || operator === 'getTag') return sees(operand.right);
      if (operator === 'is') return 'in' in operand;
    }
    return isNode(operand) ? Object.values(operand).some(sees) : sees(operand);
  });
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && !Array.isArray(value);
const isResource = (expression: unknown): boolean => isNode(expression) && expression.Var === 'resource';

/** All that Cedar is shown of a key beside its id (cedar-request.ts), as text that differs whenever it differs. */
export function attributesText(attrs: KeyAttributes): string {
  let text = texts.get(attrs);
  if (text === undefined) {
    const { tags = {}, ...others } = attrs;
    const sorted = (fields: object) => Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1));
    const all = JSON.stringify([sorted(others), sorted(tags)]);
    // A key may have hundreds of consumers, and many decisions are remembered.
    text = all.length > 256 ? createHash('sha256').update(all).digest('base64url') : all;
    texts.set(attrs, text);
  }
  return text;
}
const texts = new WeakMap<KeyAttributes, string>();
