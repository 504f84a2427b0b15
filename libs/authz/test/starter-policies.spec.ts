import {
  type Action,
  accessOperations,
  actions,
  actionTable,
  alertOperations,
  auditOperations,
  cryptoOperations,
  explainOperations,
  exportOperations,
  importOperations,
  keyOperations,
  policyOperations,
  reportOperations,
} from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { claviger, Evaluator, type RequestContext, type Resource, validateBundle } from '../src/index';
import { bundleOf, context, key, keyId, principal, starter } from './starter-set';

const roles = starter.roles.map((role) => role.id);
const cryptoActions = actions.filter((action) => action.startsWith('crypto:'));

/** One for all, since it parses and validates the policies once while only people change. */
const shared = new Evaluator();
let revision = 0;

function decide(
  roleIds: string[],
  action: Action,
  resource: Resource,
  about: RequestContext = context(),
  kind: 'person' | 'service' = 'person',
) {
  revision += 1;
  expect(shared.load(bundleOf([principal('caller', roleIds, { kind })], { revision }))).toMatchObject({ ok: true });
  return shared.decide({ principalId: 'caller', action, resource, context: about });
}

test('the starter set is a valid bundle, without warnings', () => {
  expect(validateBundle(bundleOf([]))).toEqual([]);
});

test('whoever has the role key-administrator never uses a key, whatever other roles, grants and attributes there are', () => {
  fc.assert(
    fc.property(
      fc.subarray(roles),
      fc.constantFrom('person' as const, 'service' as const),
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom('development', 'production'),
      (others, kind, byGrant, mfa, environment) => {
        const held = others.filter((role) => role !== 'key-administrator');
        const grants = [
          ...cryptoActions.map((action, index) => ({ id: `use-${index}`, principal: 'caller', action, key: keyId, revision: 1 })),
          ...(byGrant ? [{ id: 'administer', principal: 'caller', role: 'key-administrator', revision: 1 }] : []),
        ];
        const caller = principal('caller', byGrant ? held : [...held, 'key-administrator'], { kind });
        revision += 1;
        expect(shared.load(bundleOf([caller], { grants, revision }))).toMatchObject({ ok: true });
        for (const action of cryptoActions) {
          const resource = actionTable[action] === 'Key' ? key({ owner: 'caller', consumers: ['caller'], environment }) : claviger;
          const decision = shared.decide({ principalId: 'caller', action, resource, context: context({ mfa }) });
          expect(decision).toMatchObject({ kind: 'deny', code: 'forbidden', policyIds: ['separation-of-duties'] });
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a security officer hands a key to an application owner who is another person; an owner to whomever', () => {
  revision += 1;
  const people = [
    principal('officer', ['security-officer', 'application-owner']),
    principal('owner', ['application-owner']),
    principal('gone', ['application-owner'], { disabled: true }),
    principal('robot', ['application-owner'], { kind: 'service' }),
    principal('app', ['application'], { kind: 'service' }),
  ];
  shared.load(bundleOf(people, { revision }));
  const handOver = (principalId: string, newOwner: string, owner = 'left') =>
    shared.decide({ principalId, action: 'keys:SetOwner', resource: key({ owner }), context: context({ newOwner }) }).kind;
  expect(handOver('officer', 'owner')).toBe('allow');
  for (const nobody of ['officer', 'app', 'robot', 'gone', 'stranger'])
    expect([nobody, handOver('officer', nobody)]).toEqual([nobody, 'deny']);
  // What was decided about one is not remembered for another.
  expect(handOver('officer', 'owner')).toBe('allow');
  expect([handOver('owner', 'app', 'owner'), handOver('owner', 'app')]).toEqual(['allow', 'deny']);
});

test('an application uses only keys that name it, and only as a service', () => {
  expect(decide(['application'], 'crypto:Encrypt', key({ consumers: ['caller'] }), context(), 'service').kind).toBe('allow');
  expect(decide(['application'], 'crypto:Encrypt', key({ owner: 'caller' }), context(), 'service').kind).toBe('allow');
  expect(decide(['application'], 'crypto:Encrypt', key({ consumers: ['other', 'caller2'] }), context(), 'service')).toMatchObject({
    code: 'no-permit',
  });
  expect(decide(['application'], 'crypto:Encrypt', key({ consumers: ['caller'] }), context(), 'person')).toMatchObject({
    code: 'no-permit',
  });
});

test('the creator of a key never uses it, also after the role was given back', () => {
  const decision = decide(['application'], 'crypto:Decrypt', key({ consumers: ['caller'], createdBy: 'caller' }), context(), 'service');
  expect(decision).toMatchObject({ kind: 'deny', code: 'forbidden', policyIds: ['creator-never-uses'] });
});

test('who protects a key against deletion cannot lift that, but for the security officer, who needs a second factor for it in production', () => {
  const production = key({ environment: 'production' });
  for (const role of ['key-administrator', 'application-owner'])
    expect(decide([role], 'keys:Unprotect', key({ owner: 'caller' }))).toMatchObject({ code: 'no-permit' });
  expect(decide(['security-officer'], 'keys:Unprotect', production, context({ mfa: false }))).toMatchObject({ kind: 'deny' });
  expect(decide(['security-officer'], 'keys:Unprotect', production).kind).toBe('allow');
  expect(decide(['security-officer'], 'keys:Protect', production, context({ mfa: false })).kind).toBe('allow');
  expect(decide(['application'], 'keys:RegisterData', key({ consumers: ['other'] }), context(), 'service')).toMatchObject({
    code: 'no-permit',
  });
});

test('aliases are set by key administrators and by the owner of the key, of production keys with a second factor; who uses a key does not name it', () => {
  const production = key({ environment: 'production', owner: 'caller' });
  for (const role of ['key-administrator', 'application-owner']) {
    expect(decide([role], 'keys:SetAlias', production, context({ mfa: false }))).toMatchObject({ policyIds: ['production-needs-mfa'] });
    expect(decide([role], 'keys:SetAlias', production).kind).toBe('allow');
  }
  expect(decide(['application-owner'], 'keys:SetAlias', key({ owner: 'somebody' }))).toMatchObject({ code: 'no-permit' });
  for (const role of ['security-officer', 'application', 'auditor', 'operator'])
    expect(decide([role], 'keys:SetAlias', key({ owner: 'caller', consumers: ['caller'] }), context(), 'service').kind).toBe('deny');
});

test('an application owner has no say over the keys of others', () => {
  expect(decide(['application-owner'], 'keys:SetConsumers', key({ owner: 'somebody' }))).toMatchObject({ code: 'no-permit' });
});

test('a key is exported by its owner alone only with the approval of two security officers, and by nobody else', () => {
  const own = key({ owner: 'caller' });
  const approval = { kind: 'needs-approval', quorum: 2, approvers: ['security-officer'] };
  expect(decide(['application-owner'], 'keys:Export', own)).toMatchObject(approval);
  expect(decide(['application-owner', 'key-administrator', 'security-officer'], 'keys:Export', own)).toMatchObject(approval);
  expect(decide(['application-owner'], 'keys:Export', key({ owner: 'somebody' })).kind).toBe('deny');
  expect(
    decide(['application-owner'], 'keys:Export', key({ owner: 'caller', environment: 'production' }), context({ mfa: false })).kind,
  ).toBe('deny');
  for (const role of ['key-administrator', 'security-officer', 'application', 'auditor', 'operator'])
    expect([role, decide([role], 'keys:Export', own).kind]).toEqual([role, 'deny']);
});

test('the deletion of a restricted production key takes the approval of two security officers, that of any other key takes none', () => {
  const restricted = { environment: 'production', classification: 'restricted' };
  const approval = { kind: 'needs-approval', quorum: 2, approvers: ['security-officer'] };
  expect(decide(['key-administrator'], 'keys:ScheduleDeletion', key(restricted))).toMatchObject(approval);
  expect(decide(roles, 'keys:ScheduleDeletion', key({ ...restricted, owner: 'caller' }))).toMatchObject(approval);
  expect(decide(['key-administrator'], 'keys:ScheduleDeletion', key(restricted), context({ mfa: false })).kind).toBe('deny');
  for (const other of [{ environment: 'staging' }, { classification: 'confidential' }])
    expect(decide(['key-administrator'], 'keys:ScheduleDeletion', key({ ...restricted, ...other })).kind).toBe('allow');
  for (const role of ['security-officer', 'application-owner', 'application', 'auditor', 'operator'])
    expect([role, decide([role], 'keys:ScheduleDeletion', key({ ...restricted, owner: 'caller' })).kind]).toEqual([role, 'deny']);
  expect(decide(['key-administrator'], 'keys:CancelDeletion', key(restricted)).kind).toBe('allow');
});

test('production keys are administered with MFA only, but suspending never waits for it', () => {
  const production = key({ environment: 'production' });
  const without = context({ mfa: false });
  expect(decide(['key-administrator'], 'keys:Rotate', production, without)).toMatchObject({ policyIds: ['production-needs-mfa'] });
  expect(decide(['key-administrator'], 'keys:Rotate', production).kind).toBe('allow');
  expect(decide(['key-administrator'], 'keys:RotateKek', production, without)).toMatchObject({ policyIds: ['production-needs-mfa'] });
  expect(decide(['key-administrator'], 'keys:RotateKek', key(), without).kind).toBe('allow');
  for (const action of ['keys:RotateRoot', 'keys:DestroyRoot', 'keys:MigrateToken', 'keys:ProveTokenEmpty'] as const)
    expect(decide(['key-administrator'], action, claviger, without)).toMatchObject({ policyIds: ['roots-need-mfa'] });
  expect(decide(['key-administrator'], 'keys:SetRotation', production, without).kind).toBe('deny');
  for (const action of ['keys:MarkCompromised', 'keys:Update'] as const)
    expect(decide(['key-administrator'], action, production, without).kind).toBe('deny');
  expect(decide(['key-administrator'], 'keys:Suspend', production, without).kind).toBe('allow');
  expect(decide(['security-officer'], 'keys:Suspend', production, without).kind).toBe('allow');
  expect(decide(['key-administrator'], 'keys:Rotate', key(), without).kind).toBe('allow');
});

test('what a production key is worth is said with MFA only, and lowered by security officers', () => {
  const production = key({ environment: 'production', owner: 'caller' });
  const without = context({ mfa: false });
  for (const role of ['key-administrator', 'security-officer', 'application-owner']) {
    expect(decide([role], 'keys:SetClassification', production).kind).toBe('allow');
    expect(decide([role], 'keys:SetClassification', production, without)).toMatchObject({ policyIds: ['production-worth-needs-mfa'] });
    expect(decide([role], 'keys:LowerClassification', production).kind).toBe(role === 'security-officer' ? 'allow' : 'deny');
  }
  expect(decide(['application-owner'], 'keys:SetClassification', key({ owner: 'somebody' })).kind).toBe('deny');
});

test('the material of a production key is brought by its owner, who neither created it nor administers keys', () => {
  const of = (more: object) => key({ environment: 'production', owner: 'caller', createdBy: 'kim', ...more });
  for (const action of ['keys:ImportParameters', 'keys:ImportMaterial'] as const) {
    const kinds = (resource: Resource) =>
      ['key-administrator', 'application-owner', 'security-officer'].map((role) => decide([role], action, resource).kind);
    expect([action, kinds(of({}))]).toEqual([action, ['deny', 'allow', 'deny']]);
    expect([action, kinds(of({ owner: 'somebody' }))]).toEqual([action, ['deny', 'deny', 'deny']]);
    expect([action, kinds(of({ createdBy: 'caller' }))]).toEqual([action, ['deny', 'deny', 'deny']]);
    expect([action, kinds(of({ environment: 'staging', owner: 'somebody' }))]).toEqual([action, ['allow', 'deny', 'deny']]);
    expect(decide(['key-administrator', 'application-owner'], action, of({}))).toMatchObject({
      kind: 'deny',
      policyIds: ['production-material-comes-from-the-owner'],
    });
    expect(decide(['application-owner'], action, of({}), context({ mfa: false }))).toMatchObject({ policyIds: ['production-needs-mfa'] });
  }
});

test('every action that an operation names can be asked of policy', () => {
  const operations = [
    cryptoOperations,
    keyOperations,
    importOperations,
    exportOperations,
    policyOperations,
    explainOperations,
    accessOperations,
    auditOperations,
    reportOperations,
    alertOperations,
  ].flatMap((group) => Object.values(group));
  expect(operations.length).toBeGreaterThan(20);
  expect(operations.map(({ action }) => action).filter((action) => !Object.hasOwn(actionTable, action))).toEqual([]);
});
