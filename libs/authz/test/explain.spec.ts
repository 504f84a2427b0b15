import { expect, test } from '@jest/globals';
import { type AuthorizationRequest, Evaluator, explained as explainedBy } from '../src/index';
import { bundleOf, context, key, principal } from './starter-set';

function explained(roles: string[], request: Omit<AuthorizationRequest, 'principalId' | 'context'>) {
  return answered(roles, request).text;
}

function answered(
  roles: string[],
  { context: given = {}, ...request }: Omit<AuthorizationRequest, 'principalId' | 'context'> & { context?: Parameters<typeof context>[0] },
  more: Parameters<typeof bundleOf>[1] = {},
) {
  const evaluator = new Evaluator();
  const loaded = evaluator.load(bundleOf([principal('caller', roles)], more));
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues));
  return explainedBy(evaluator, { ...request, principalId: 'caller', context: context(given) });
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

test('what is missing is there as data: the role of each permit, approval, and a second factor where one would do', () => {
  const { decision, missing, policies } = answered([], { action: 'keys:Suspend', resource: key() });
  expect(decision.kind).toBe('deny');
  expect(policies).toEqual([]);
  expect(missing).toContainEqual({ kind: 'role', role: 'key-administrator', policy: 'key-administrator-administers' });

  const rotate = { action: 'keys:Rotate', resource: key({ environment: 'production' }) } as const;
  const without = answered(['key-administrator'], { ...rotate, context: { mfa: false } });
  expect(without.policies).toMatchObject([
    { id: 'production-needs-mfa', effect: 'forbid', controls: expect.arrayContaining(['PCI-DSS-4.0.1:8.4.1']) },
  ]);
  expect(without.missing).toEqual([{ kind: 'mfa', gives: 'allow' }]);
  expect(without.text).toContain('missing: a second factor; with one it is allowed');
  // It would change nothing of what is missing here.
  expect(answered([], { ...rotate, context: { mfa: false } }).missing.map(({ kind }) => kind)).not.toContain('mfa');

  const exported = answered(['application-owner'], { action: 'keys:Export', resource: key({ owner: 'caller', environment: 'staging' }) });
  expect(exported.missing).toEqual([{ kind: 'approval', quorum: 2, approvers: ['security-officer'] }]);
});

test('uses of grants that would allow it are named, and what the principal may ask for', () => {
  const period = { notBefore: '2020-01-01T00:00:00.000Z', notAfter: '2040-01-01T00:00:00.000Z' };
  const grants = [{ id: 'three-times', principal: 'caller', role: 'key-administrator', uses: 3, revision: 1, ...period }];
  const elevation = { requesters: ['auditor'], quorum: 1, approvers: ['security-officer'], maxMinutes: 60, mfa: false };
  const elevations = [
    { ...elevation, id: 'stand-in', role: 'key-administrator' },
    { ...elevation, id: 'not-for-them', role: 'key-administrator', requesters: ['operator'] },
    { ...elevation, id: 'one-key', actions: ['keys:Rotate'], environments: ['staging' as const] },
  ];
  const rotate = { action: 'keys:Rotate', resource: key({ environment: 'staging' }) } as const;
  const { missing, text } = answered(['auditor'], rotate, { grants, elevations });
  expect(missing).toContainEqual({ kind: 'grant', grants: ['three-times'], gives: 'allow' });
  expect(missing).toContainEqual({ kind: 'request', role: 'key-administrator', rules: ['stand-in'] });
  expect(missing).toContainEqual({ kind: 'request', rules: ['one-key'] });
  expect(text).toContain('claviger access request --role key-administrator');
});
