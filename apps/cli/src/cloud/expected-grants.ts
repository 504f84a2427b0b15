import type { CloudGrant } from './site';

/** Whether a grant is one that people said may come and go: the same fields, where `*` stands for any text in their values, and no operation more. */
export function isExpected(grant: CloudGrant, expected: readonly CloudGrant[]): boolean {
  return expected.some((pattern) => {
    const { operations, ...allowed } = pattern;
    const { operations: asked, ...rest } = grant;
    return asked.every((one) => operations.includes(one)) && matches(rest, allowed);
  });
}

function matches(value: unknown, pattern: unknown): boolean {
  if (typeof value === 'string' && typeof pattern === 'string') return matchesText(value, pattern);
  if (typeof value !== 'object' || typeof pattern !== 'object' || value === null || pattern === null) return value === pattern;
  const [is, may] = [value as Record<string, unknown>, pattern as Record<string, unknown>];
  return [...new Set([...Object.keys(is), ...Object.keys(may)])].every((name) => matches(is[name], may[name]));
}

/** Each part between stars as early as it comes: a text that matches in any way matches so. */
function matchesText(text: string, pattern: string): boolean {
  const [first = '', ...parts] = pattern.split('*');
  const last = parts.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let from = first.length;
  for (const part of parts) {
    const at = text.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return text.length - last.length >= from && text.endsWith(last);
}
