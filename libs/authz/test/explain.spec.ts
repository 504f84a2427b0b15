import { expect, test } from '@jest/globals';
import { type AuthorizationRequest, Evaluator } from '../src/index';
import { bundleOf, context, key, principal } from './starter-set';

function explained(roles: string[], request: Omit<AuthorizationRequest, 'principalId' | 'context'>) {
  const evaluator = new Evaluator();
  evaluator.load(bundleOf([principal('caller', roles)]));
  const asked = { ...request, principalId: 'caller', context: context() };
  return evaluator.explain(asked, evaluator.decide(asked));
}

test('a permit is explained by its policy, what it is for and the control that it serves', () => {
  const text = explained(['auditor'], { action: 'keys:Describe', resource: key() });
  expect(text).toMatch(/^ALLOWED: caller → keys:Describe on Key k_A+\n/);
  expect(text).toContain('permit auditor-describes: auditors describe keys [NIST-SP-800-53r5:AU-6]');
});

test('a forbid is named, with what it guards', () => {
  const text = explained(['key-administrator', 'application'], { action: 'crypto:Decrypt', resource: key() });
  expect(text).toContain('DENIED');
  expect(text).toContain('forbid separation-of-duties: key administrators never use keys');
});

test('without a permit it says which roles and conditions were missing', () => {
  const text = explained(['application'], { action: 'crypto:Encrypt', resource: key() });
  expect(text).toContain('roles held: application');
  expect(text).toMatch(/missing for application-uses-its-keys: .*not met: when \{ principal\.kind == "service"/);
  expect(explained([], { action: 'keys:Rotate', resource: key() })).toContain(
    'missing for key-administrator-administers: the role key-administrator',
  );
});
