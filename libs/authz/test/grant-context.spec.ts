import type { KeyGrant } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Evaluator, validateBundle } from '../src/index';
import { bundleOf, context, key, keyId, principal } from './starter-set';

const grantOf = (change: Partial<KeyGrant>): KeyGrant => ({
  ...{ id: 'g', principal: 'caller', revision: 1, action: 'crypto:Decrypt', key: keyId },
  ...change,
});
const entries = fc.dictionary(fc.constantFrom('tenant', 'user', 'toString'), fc.constantFrom('a', 'b', ''), { maxKeys: 3 });
const callers = [principal('caller', [])];
const shared = new Evaluator();
let revision = 0;

function decide(asked: KeyGrant['context'], given: Record<string, string> | undefined) {
  revision += 1;
  const grants = [grantOf(asked ? { context: asked } : {})];
  expect(shared.load(bundleOf(callers, { revision, grants }))).toMatchObject({ ok: true });
  const about = context(given ? { encryptionContext: given } : {});
  return shared.decide({ principalId: 'caller', action: 'crypto:Decrypt', resource: key(), context: about }).kind;
}

test('a grant with `equals` is for exactly these entries, one with `includes` for at least these', () => {
  fc.assert(
    fc.property(entries, entries, (asked, given) => {
      const isIn = Object.entries(asked).every(([name, value]) => Object.hasOwn(given, name) && given[name] === value);
      const isAll = isIn && Object.keys(given).length === Object.keys(asked).length;
      expect(decide({ includes: asked }, given)).toBe(isIn ? 'allow' : 'deny');
      expect(decide({ equals: asked }, given)).toBe(isAll ? 'allow' : 'deny');
    }),
    { numRuns: 100 },
  );
});

test('a request without an encryption context has an empty one', () => {
  expect(decide({ equals: {} }, undefined)).toBe('allow');
  expect(decide({ includes: { tenant: 'a' } }, undefined)).toBe('deny');
  expect(decide(undefined, { tenant: 'a' })).toBe('allow');
});

test('a grant that says neither, or of an action without an encryption context, is no grant', () => {
  const issues = (change: Partial<KeyGrant>) => validateBundle(bundleOf(callers, { grants: [grantOf(change)] }));
  expect(issues({ context: { includes: { tenant: 'a' } } })).toEqual([]);
  expect(issues({ context: {} })).not.toEqual([]);
  expect(issues({ action: 'crypto:Sign', context: { equals: {} } })).toEqual([
    expect.objectContaining({ message: expect.stringContaining('crypto:Sign') }),
  ]);
});

test.each([
  ['of the same attributes look alike to the policies', ''],
  [
    'are told apart by a policy',
    `\n@id("one-key")\n@control("test")\nforbid (principal, action, resource == Claviger::Key::"k_BBBBBBBBBBBBBBBBBBBBBB");`,
  ],
])('what is remembered of one encryption context is not the answer for another, where keys %s', (_, more) => {
  const evaluator = new Evaluator();
  const grants = [grantOf({ context: { includes: { tenant: 'a' } } })];
  const base = bundleOf(callers, { grants });
  expect(evaluator.load({ ...base, policies: base.policies + more })).toMatchObject({ ok: true });
  const ask = (tenant: string) => {
    const about = context({ encryptionContext: { tenant } });
    return evaluator.decide({ principalId: 'caller', action: 'crypto:Decrypt', resource: key(), context: about }).kind;
  };
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b'), { maxLength: 8 }), (tenants) => {
      for (const tenant of tenants) expect(ask(tenant)).toBe(tenant === 'a' ? 'allow' : 'deny');
    }),
    { numRuns: 20 },
  );
  expect(evaluator.counts.remembered).toBeGreaterThan(0);
});
