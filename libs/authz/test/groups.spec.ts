import type { Group } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { Evaluator, explained, issueText, validateBundle } from '../src/index';
import { bundleOf, context, key, principal, starter } from './starter-set';

const nowMs = Date.parse('2026-06-01T12:00:00.000Z');
const group = (name: string, members: string[], roles: string[] = []): Group => {
  const [tenant, id] = name.split('/') as [string, string];
  return { id, tenant, members, roles, revision: 1 };
};
const people = ['kim', 'noor', 'sam'].map((id) => principal(id, []));
const rotate = (principalId: string) => ({ principalId, action: 'keys:Rotate', resource: key(), context: context() }) as const;

function loaded(groups: Group[], changes: Partial<ReturnType<typeof bundleOf>> = {}) {
  const evaluator = new Evaluator();
  expect(evaluator.load(bundleOf(people, { groups, ...changes }))).toMatchObject({ ok: true });
  return evaluator;
}

test('whoever is in a group, also through member groups, holds its roles, and nobody else', () => {
  const evaluator = loaded([
    group('acme/all', ['group:acme/keys'], ['auditor']),
    group('acme/keys', ['group:acme/keys-night', 'noor'], ['key-administrator']),
    group('acme/keys-night', ['kim']),
  ]);
  expect(['kim', 'noor', 'sam'].map((id) => evaluator.rolesOf(id, nowMs)?.toSorted())).toEqual([
    ['auditor', 'key-administrator'],
    ['auditor', 'key-administrator'],
    [],
  ]);
  expect(evaluator.groupsOf('kim')).toEqual(['acme/all', 'acme/keys', 'acme/keys-night']);
  expect(['kim', 'noor', 'sam'].map((id) => evaluator.decide(rotate(id)).kind)).toEqual(['allow', 'allow', 'deny']);
});

test('two groups of one id in two tenants are two groups', () => {
  const evaluator = loaded([group('acme/security', ['kim'], ['security-officer']), group('other/security', ['noor'])]);
  expect([evaluator.rolesOf('kim', nowMs), evaluator.rolesOf('noor', nowMs)]).toEqual([['security-officer'], []]);
  const answers = (id: string, approver: string) => evaluator.mayApproveAs(id, approver, nowMs);
  expect([answers('kim', 'group:acme/security'), answers('noor', 'group:acme/security')]).toEqual([true, false]);
  expect([answers('kim', 'group:other/security'), answers('noor', 'group:other/security')]).toEqual([false, true]);
  expect([answers('kim', 'security-officer'), answers('noor', 'security-officer')]).toEqual([true, false]);
  expect(answers('nobody', 'group:acme/security')).toBe(false);
});

test('who is disabled is no approver through a group either', () => {
  const evaluator = loaded([group('acme/security', ['kim'])], { principals: [{ ...people[0]!, disabled: true }] });
  expect(evaluator.mayApproveAs('kim', 'group:acme/security', nowMs)).toBe(false);
});

test('a decision ends with the membership that it rests on, and comes with it', () => {
  const evaluator = loaded([group('acme/keys', ['kim'], ['key-administrator'])]);
  expect(evaluator.decide(rotate('kim')).kind).toBe('allow');
  expect(evaluator.load(bundleOf(people, { revision: 2, groups: [group('acme/keys', ['noor'], ['key-administrator'])] })).ok).toBe(true);
  expect([evaluator.decide(rotate('kim')).kind, evaluator.decide(rotate('noor')).kind]).toEqual(['deny', 'allow']);
  const inner = [group('acme/keys', ['group:acme/night'], ['key-administrator']), group('acme/night', ['kim'])];
  expect(evaluator.load(bundleOf(people, { revision: 3, groups: inner })).ok).toBe(true);
  expect([evaluator.decide(rotate('kim')).kind, evaluator.decide(rotate('noor')).kind]).toEqual(['allow', 'deny']);
});

test('policies and approvers name groups by tenant and id', () => {
  const policies = `${starter.policies}
    @id("acme-rotates") @control("test") @quorum("1") @approvers("auditor, group:acme/security")
    permit (principal in Claviger::Group::"acme/security", action == Claviger::Action::"keys:Rotate", resource);`;
  const groups = [group('acme/security', ['group:acme/night']), group('acme/night', ['kim']), group('other/security', ['noor'])];
  const evaluator = loaded(groups, { policies });
  expect(evaluator.decide(rotate('kim'))).toMatchObject({ kind: 'needs-approval', approvers: ['auditor', 'group:acme/security'] });
  expect(explained(evaluator, rotate('kim')).text).toContain('of the role auditor or in the group acme/security');
  expect(evaluator.decide(rotate('noor'))).toMatchObject({ kind: 'deny', code: 'no-permit' });
  expect(explained(evaluator, rotate('noor')).text).toContain('membership of the group acme/security');
});

test('under a schema from before groups they give roles all the same, also in a new bundle', () => {
  const schema = starter.schema.replace('in [Role, Group]', 'in [Role]').replace('entity Group;', '');
  const bundle = bundleOf(people, { schema, groups: [group('acme/keys', ['kim'], ['key-administrator'])] });
  expect(validateBundle(bundle)).toEqual([]);
  const evaluator = new Evaluator();
  expect(evaluator.load(bundle)).toMatchObject({ ok: true });
  expect([evaluator.decide(rotate('kim')).kind, evaluator.decide(rotate('sam')).kind]).toEqual(['allow', 'deny']);
});

test.each<[string, Group[], RegExp]>([
  ['a member that is nobody', [group('acme/a', ['nobody'])], /groups\.0 \(acme\/a\): has the member nobody, who is not in principals/],
  ['a member group of another tenant', [group('acme/a', []), group('other/b', ['group:other/a'])], /group:other\/a, who is not in groups/],
  ['a role that is not listed', [group('acme/a', ['kim'], ['wizard'])], /gives the role wizard/],
  ['one name twice', [group('acme/a', []), group('acme/a', [])], /the id acme\/a is used twice/],
  ['a group in itself', [group('acme/a', ['group:acme/a'])], /member of itself: acme\/a has acme\/a/],
  [
    'groups in a circle',
    [group('acme/z', ['group:acme/a']), group('acme/a', ['kim', 'group:acme/b']), group('acme/b', ['group:acme/a'])],
    /member of itself: acme\/a has acme\/b has acme\/a/,
  ],
  ['a member that is no name', [group('acme/a', ['group:a'])], /groups\.0\.members\.0/],
  ['a tenant with a slash', [{ ...group('acme/a', []), tenant: 'a/b' }], /groups\.0\.tenant/],
])('a bundle is refused for %s', (_, groups, why) => {
  expect(validateBundle(bundleOf(people, { groups })).map(issueText).join('\n')).toMatch(why);
});

test('a chain of a thousand groups is walked without a stack', () => {
  const chain = Array.from({ length: 1_000 }, (_, n) => group(`acme/g${n}`, n === 999 ? ['kim'] : [`group:acme/g${n + 1}`]));
  chain[0]!.roles.push('auditor');
  expect(loaded(chain).rolesOf('kim', nowMs)).toEqual(['auditor']);
});
