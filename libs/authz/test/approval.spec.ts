import { expect, test } from '@jest/globals';
import { approvalOf, claviger, Evaluator, strictest } from '../src/index';
import { settle } from '../src/settle';
import { bundleOf, context, principal, starter } from './starter-set';

const guarded = (annotations: string, id = 'guarded') => `@id("${id}") @control("test") ${annotations}
  permit (principal in Claviger::Role::"security-officer", action == Claviger::Action::"policy:Publish", resource);`;

function publish(policies: string) {
  const evaluator = new Evaluator();
  const result = evaluator.load(bundleOf([principal('officer', ['security-officer'])], { policies }));
  return {
    result,
    decision: evaluator.decide({ principalId: 'officer', action: 'policy:Publish', resource: claviger, context: context() }),
  };
}

test('a matching permit with @quorum and @approvers needs approval', () => {
  const { decision } = publish(guarded('@quorum("2") @approvers("security-officer, auditor")'));
  expect(decision).toMatchObject({ kind: 'needs-approval', quorum: 2, approvers: ['security-officer', 'auditor'], policyIds: ['guarded'] });
});

test('another permit that asks for nothing does not dilute the guard', () => {
  const { decision } = publish(`${starter.policies}${guarded('@quorum("1") @approvers("auditor")')}`);
  expect(decision).toMatchObject({ kind: 'needs-approval', quorum: 1, policyIds: ['guarded', 'security-officer-governs'] });
});

test('of two guards the larger quorum counts, from roles that both name; without such a role it is denied', () => {
  const both = publish(guarded('@quorum("1") @approvers("auditor,operator")') + guarded('@quorum("3") @approvers("operator")', 'second'));
  expect(both.decision).toMatchObject({ kind: 'needs-approval', quorum: 3, approvers: ['operator'] });
  const none = publish(guarded('@quorum("1") @approvers("auditor")') + guarded('@quorum("3") @approvers("operator")', 'second'));
  expect(none.decision).toMatchObject({ kind: 'deny', code: 'invalid-approval', failure: true });
  expect(strictest([])).toBeUndefined();
});

test.each([
  '@quorum("0") @approvers("auditor")',
  '@quorum @approvers("auditor")',
  '@quorum("") @approvers("auditor")',
  '@quorum("-1") @approvers("auditor")',
  '@quorum("2.5") @approvers("auditor")',
  '@quorum("two") @approvers("auditor")',
  '@approvers("auditor")',
  '@quorum("2")',
  '@quorum("2") @approvers(" , ")',
  '@quorum("2") @approvers("no-such-role")',
])('a guard that cannot be read closes the way: %s', (annotations) => {
  const { result, decision } = publish(guarded(annotations));
  expect(result).toMatchObject({ ok: false, code: 'invalid' });
  expect(decision).toMatchObject({ kind: 'deny', code: 'bundle-not-loaded' });
});

test('an unreadable guard denies even if it came past the load', () => {
  const answer = { type: 'success', response: { decision: 'allow', diagnostics: { reason: ['p'], errors: [] } }, warnings: [] } as const;
  const settled = (annotations: Record<string, string>) =>
    settle(
      { ...answer, response: { decision: 'allow', diagnostics: { reason: ['p'], errors: [] } }, warnings: [] },
      new Map([['p', { approval: approvalOf(annotations) }]]),
    );
  expect(settled({ quorum: '0', approvers: 'auditor' })).toMatchObject({ kind: 'deny', code: 'invalid-approval' });
  expect(settled({ approvers: 'auditor' })).toMatchObject({ kind: 'deny', code: 'invalid-approval' });
  expect(settled({})).toMatchObject({ kind: 'allow' });
});

test('a forbid cannot be approved away', () => {
  const policies = '@id("f") @control("test") @quorum("2") @approvers("auditor") forbid (principal, action, resource);';
  expect(publish(policies).result).toMatchObject({ ok: false, code: 'invalid' });
});
