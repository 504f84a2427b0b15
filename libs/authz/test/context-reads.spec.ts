import { policyToJson } from '@cedar-policy/cedar-wasm/nodejs';
import { expect, test } from '@jest/globals';
import { contextReads } from '../src/context-reads';
import { placeAmong } from '../src/thresholds';

function reads(condition: string) {
  const answer = policyToJson(`permit (principal, action, resource) when { ${condition} };`);
  if (answer.type === 'failure') throw new Error(answer.errors.map((error) => error.message).join());
  const { whole, attributes } = contextReads([answer.json]);
  return { whole, ...Object.fromEntries(attributes) };
}
const exact = { exact: true, thresholds: [], tags: [] };
const presence = { exact: false, thresholds: [], tags: [] };
const at = (...instants: string[]) => ({ exact: false, tags: [], thresholds: instants.map((instant) => Date.parse(instant)) });

test.each([
  ['principal.kind == "context" && resource.owner == "context.mfa"', { whole: false }],
  ['{Var: "context"} == {Var: "x"}', { whole: false }],
  ['context.mfa', { whole: false, mfa: exact }],
  ['context["mfa"] == true', { whole: false, mfa: exact }],
  ['if context.mfa then principal.kind == context.authMethod else false', { whole: false, mfa: exact, authMethod: exact }],
  ['context has ip', { whole: false, ip: presence }],
  ['context has ip && context.ip.isInRange(ip("10.0.0.0/8"))', { whole: false, ip: exact }],
  ['context has a.b.c', { whole: false, a: exact }],
  ['[principal, resource].contains(context.x.y)', { whole: false, x: exact }],
  ['context == {mfa: true}', { whole: true }],
  ['[context].contains({mfa: true})', { whole: true }],
  ['{a: context}.a.mfa', { whole: true }],
  ['(if principal.kind == "x" then context else context).mfa', { whole: true }],
  ['context.now < datetime("2026-01-01")', { whole: false, now: at('2026-01-01T00:00:00Z') }],
  ['datetime("2026-01-01T02:00:00+0530") <= context.now', { whole: false, now: at('2025-12-31T20:30:00Z') }],
  [
    'context.now > datetime("2026-01-01T02:00:00.250-0100") || context.now == datetime("2025-01-01T00:00:00Z")',
    { whole: false, now: at('2025-01-01T00:00:00Z', '2026-01-01T03:00:00.250Z') },
  ],
  ['context.now < datetime("2026-01-01").offset(duration("1h"))', { whole: false, now: exact }],
  ['context.now.toTime() < duration("17h")', { whole: false, now: exact }],
  [
    'context.now < datetime("2026-01-01") && context.now == resource.until',
    { whole: false, now: { ...at('2026-01-01T00:00:00Z'), exact: true } },
  ],
  [
    'context.sessionAgeSeconds <= 900 && -5 < context.sessionAgeSeconds',
    { whole: false, sessionAgeSeconds: { exact: false, tags: [], thresholds: [-5, 900] } },
  ],
  ['context.sessionAgeSeconds + 1 <= 900', { whole: false, sessionAgeSeconds: exact }],
  [
    'context.encryptionContext.hasTag("b") && context.encryptionContext.getTag("a") == "x"',
    { whole: false, encryptionContext: { exact: false, thresholds: [], tags: ['a', 'b'] } },
  ],
  ['context.encryptionContext.hasTag(principal.id)', { whole: false, encryptionContext: exact }],
  ['context.encryptionContext == resource', { whole: false, encryptionContext: exact }],
])('what %s can read of the context', (condition, expected) => {
  expect(reads(condition)).toEqual(expected);
});

test('two values are in one place among thresholds exactly when they compare alike with each of them', () => {
  const thresholds = [-3, 0, 7];
  for (let a = -5; a < 10; a += 1) {
    for (let b = -5; b < 10; b += 1) {
      const alike = thresholds.every((t) => Math.sign(a - t) === Math.sign(b - t));
      expect(placeAmong(thresholds, a) === placeAmong(thresholds, b)).toBe(alike);
    }
  }
});
