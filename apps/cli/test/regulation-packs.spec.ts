import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { claviger, Evaluator, parsePolicies, validateBundle } from '@claviger/authz';
import {
  type Action,
  actions,
  actionTable,
  bundleFormat,
  bundleLimits,
  type KeyProfile,
  type PolicyBundle,
  type Principal,
} from '@claviger/contracts';
import { workspaceRoot } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { type PolicyParts, withoutPack, withPack } from '../src/compliance/pack-blocks';
import { readPacks } from '../src/pack-files';

const starter = join(workspaceRoot(), 'deploy/policies/starter');
const read = (name: string) => readFileSync(join(starter, name), 'utf8');
const bare: PolicyParts = { policies: read('policies.cedar'), profiles: JSON.parse(read('profiles.json')) as KeyProfile[], packs: [] };
const packs = readPacks();
const all = packs.reduce((parts, { pack, policies }) => withPack(parts, pack, policies), bare);
const only = (id: string) => {
  const { pack, policies } = packs.find((one) => one.pack.id === id)!;
  return withPack(bare, pack, policies);
};

const person = (id: string, ...roles: string[]): Principal => ({
  ...{ id, kind: 'person', roles, disabled: false, revision: 1, identities: [{ kind: 'token' }] },
});
const service = (id: string, ...roles: string[]): Principal => ({ ...person(id, ...roles), kind: 'service' });
const keyId = 'k_AAAAAAAAAAAAAAAAAAAAAA';
const bundleOf = ({ policies, profiles, packs: inForce }: PolicyParts, principals: Principal[], revision = 1): PolicyBundle => ({
  ...{ format: bundleFormat, revision, policies, schema: read('schema.cedarschema'), roles: JSON.parse(read('roles.json')), principals },
  grants: [
    { id: 'use', principal: 'caller', action: 'crypto:Decrypt', key: keyId, revision: 1 },
    { id: 'sign', principal: 'caller', action: 'crypto:Sign', key: keyId, revision: 1 },
  ],
  ...{ profiles: [...profiles], packs: [...inForce], publishedAt: '2026-01-01T00:00:00.000Z' },
});

interface Case {
  readonly caller: Principal;
  readonly action: Action;
  readonly key?: Record<string, unknown>;
  readonly context?: Record<string, unknown>;
}
const evaluator = new Evaluator();
let revision = 0;
function decide(parts: PolicyParts, { caller, action, key, context }: Case) {
  revision += 1;
  const loaded = evaluator.load(bundleOf(parts, [caller, person('heir', 'application-owner')], revision));
  expect(loaded).toMatchObject({ ok: true });
  const attrs = {
    environment: 'production',
    classification: 'restricted',
    owner: 'caller',
    consumers: ['caller'],
    algorithm: 'AES_256',
    usage: 'encrypt',
  };
  const resource =
    actionTable[action] === 'Key' ? ({ type: 'Key', id: keyId, revision: 1, attrs: { ...attrs, ...key } } as const) : claviger;
  return evaluator.decide({
    ...{ principalId: 'caller', action, resource },
    context: { mfa: true, authMethod: 'token', nowMs: Date.parse('2026-06-01T12:00:00.000Z'), ...context },
  });
}

/** For each policy of a pack what it decides, and beside it what it leaves alone. `without`: as it is without the pack. */
const [administrator, officer, owner, auditor] = ['key-administrator', 'security-officer', 'application-owner', 'auditor'].map((role) =>
  person('caller', role),
) as [Principal, Principal, Principal, Principal];
const app = service('caller', 'application');
const guards: Record<string, { given: Case; outcome: 'forbidden' | 'approval-required'; not: Case }> = {
  'pci-dss-second-factor': {
    given: { caller: administrator, action: 'keys:Rotate', context: { mfa: false } },
    outcome: 'forbidden',
    not: { caller: administrator, action: 'keys:Rotate' },
  },
  'pci-dss-custodians-never-use': {
    given: { caller: officer, action: 'crypto:Decrypt' },
    outcome: 'forbidden',
    not: { caller: app, action: 'crypto:Decrypt' },
  },
  'pci-dss-services-substitute-nothing': {
    given: { caller: service('caller', 'application-owner'), action: 'keys:SetAlias' },
    outcome: 'forbidden',
    not: { caller: owner, action: 'keys:SetAlias' },
  },
  'pci-dss-export-by-two': {
    given: { caller: owner, action: 'keys:Export' },
    outcome: 'approval-required',
    not: { caller: owner, action: 'keys:Update' },
  },
  'pci-dss-destruction-by-two': {
    given: { caller: administrator, action: 'keys:ScheduleDeletion', key: { classification: 'internal' } },
    outcome: 'approval-required',
    not: { caller: administrator, action: 'keys:ScheduleDeletion', key: { environment: 'staging' } },
  },
  'nist-key-management-auditors-change-nothing': {
    given: { caller: person('caller', 'auditor', 'key-administrator'), action: 'keys:Create', key: { classification: 'internal' } },
    outcome: 'forbidden',
    not: { caller: auditor, action: 'audit:Read' },
  },
  'nist-key-management-officers-administer-nothing': {
    given: { caller: person('caller', 'security-officer', 'key-administrator'), action: 'keys:Rotate' },
    outcome: 'forbidden',
    not: { caller: officer, action: 'keys:Suspend' },
  },
  'nist-key-management-roots-by-people': {
    given: { caller: service('caller', 'operator'), action: 'backup:Restore' },
    outcome: 'forbidden',
    not: { caller: person('caller', 'operator'), action: 'backup:Restore' },
  },
  'nist-key-management-external-material': {
    given: { caller: administrator, action: 'keys:ImportMaterial', key: { environment: 'development' }, context: { mfa: false } },
    outcome: 'forbidden',
    not: { caller: administrator, action: 'keys:ImportMaterial', key: { environment: 'development' } },
  },
  'nist-key-management-destruction-by-two': {
    given: { caller: administrator, action: 'keys:ScheduleDeletion', key: { classification: 'confidential' } },
    outcome: 'approval-required',
    not: { caller: administrator, action: 'keys:ScheduleDeletion', key: { classification: 'internal' } },
  },
  'gdpr-named-in-the-key-or-granted': {
    // The grants of the caller are for decryption and signing only.
    given: { caller: app, action: 'crypto:GenerateDataKey', key: { owner: 'other', consumers: [] } },
    outcome: 'forbidden',
    not: { caller: app, action: 'crypto:Decrypt', key: { owner: 'other', consumers: [] } },
  },
  'gdpr-people-open-with-second-factor': {
    given: { caller: owner, action: 'crypto:Decrypt', context: { mfa: false } },
    outcome: 'forbidden',
    not: { caller: owner, action: 'crypto:Decrypt' },
  },
  'gdpr-restore-with-second-factor': {
    given: { caller: person('caller', 'operator'), action: 'backup:Restore', context: { mfa: false } },
    outcome: 'forbidden',
    not: { caller: person('caller', 'operator'), action: 'backup:Restore' },
  },
  'hipaa-people-open-with-second-factor': {
    given: { caller: owner, action: 'crypto:Decrypt', context: { mfa: false } },
    outcome: 'forbidden',
    not: { caller: owner, action: 'crypto:Decrypt' },
  },
  'hipaa-session-ends': {
    given: { caller: officer, action: 'policy:Publish', context: { sessionAgeSeconds: 28_801 } },
    outcome: 'forbidden',
    not: { caller: officer, action: 'policy:Publish', context: { sessionAgeSeconds: 28_800 } },
  },
  'hipaa-workforce-by-role': {
    given: { caller: person('caller', 'operator'), action: 'crypto:Decrypt' },
    outcome: 'forbidden',
    not: { caller: person('caller', 'operator'), action: 'crypto:Decrypt', key: { environment: 'staging' } },
  },
  'hipaa-disposal-by-two': {
    given: { caller: administrator, action: 'keys:ScheduleDeletion' },
    outcome: 'approval-required',
    not: { caller: administrator, action: 'keys:ScheduleDeletion', key: { classification: 'internal' } },
  },
  'soc-2-changes-with-second-factor': {
    given: { caller: officer, action: 'policy:Publish', context: { mfa: false } },
    outcome: 'forbidden',
    not: { caller: officer, action: 'policy:Publish' },
  },
  'soc-2-services-decide-nothing': {
    given: { caller: service('caller', 'security-officer'), action: 'alerts:Acknowledge' },
    outcome: 'forbidden',
    not: { caller: service('caller', 'security-officer'), action: 'policy:Publish' },
  },
  'soc-2-export-by-two': {
    given: { caller: owner, action: 'keys:Export', key: { environment: 'staging' } },
    outcome: 'approval-required',
    not: { caller: owner, action: 'keys:Update', key: { environment: 'staging' } },
  },
  'cnsa-2-new-keys': {
    given: {
      caller: administrator,
      action: 'keys:Create',
      key: { algorithm: 'EC_P384', environment: 'staging', tags: { 'cnsa-use': 'web' } },
    },
    outcome: 'forbidden',
    not: { caller: administrator, action: 'keys:Create', key: { algorithm: 'ML_DSA_87' } },
  },
  'cnsa-2-after-2030': {
    given: {
      caller: app,
      action: 'crypto:Sign',
      key: { algorithm: 'EC_P384', tags: { 'cnsa-use': 'networking' } },
      context: { nowMs: Date.parse('2031-01-01T00:00:00.000Z') },
    },
    outcome: 'forbidden',
    not: {
      caller: app,
      action: 'crypto:Sign',
      key: { algorithm: 'EC_P384', tags: { 'cnsa-use': 'networking' } },
      context: { nowMs: Date.parse('2030-12-31T23:59:59.999Z') },
    },
  },
  'cnsa-2-after-2033': {
    given: {
      caller: app,
      action: 'crypto:Sign',
      key: { algorithm: 'EC_P384', tags: { 'cnsa-use': 'custom' } },
      context: { nowMs: Date.parse('2034-01-01T00:00:00.000Z') },
    },
    outcome: 'forbidden',
    not: {
      caller: app,
      action: 'crypto:Sign',
      key: { algorithm: 'ML_DSA_87', tags: { 'cnsa-use': 'custom' } },
      context: { nowMs: Date.parse('2034-01-01T00:00:00.000Z') },
    },
  },
};

test('the starter set with every pack validates, within the bounds of a bundle', () => {
  expect(validateBundle(bundleOf(all, [person('caller', 'auditor')]))).toEqual([]);
  expect(all.policies.length).toBeLessThan(bundleLimits.policiesChars / 2);
});

test('every policy of every pack has a case here', () => {
  const ids = packs.flatMap(({ policies }) => {
    const parsed = parsePolicies(policies);
    return parsed.ok ? parsed.policies.map(({ id }) => id) : [];
  });
  expect(ids.sort()).toEqual(Object.keys(guards).sort());
});

test.each(Object.entries(guards))('%s decides what it is for, and leaves the rest alone', (id, { given, outcome, not }) => {
  const parts = only(packs.find(({ pack }) => id.startsWith(`${pack.id}-`))!.pack.id);
  const decided = decide(parts, given);
  expect([decided.code, decided.policyIds]).toEqual([outcome, expect.arrayContaining([id])]);
  // It is this policy that decides so, beside what the starter set says.
  expect(decide(parts, not).policyIds).not.toContain(id);
});

test('what the packs permit is permitted with the approval of others only', () => {
  for (const { policies } of packs) {
    const parsed = parsePolicies(policies);
    for (const { id, effect, approval } of parsed.ok ? parsed.policies : [])
      if (effect === 'permit') expect([id, approval]).toEqual([id, { kind: 'asked', quorum: 2, approvers: ['security-officer'] }]);
  }
});

test('with every pack nobody may do more alone than without any, whatever their role', () => {
  const roles = (JSON.parse(read('roles.json')) as { id: string }[]).map(({ id }) => id);
  const people = roles.map((role) => (role === 'application' ? service(role, role) : person(role, role)));
  const [before, after] = [bare, all].map((parts) => {
    const one = new Evaluator();
    const { grants: _, ...bundle } = bundleOf(parts, people);
    expect(one.load({ ...bundle, grants: [] })).toMatchObject({ ok: true });
    return one;
  }) as [Evaluator, Evaluator];
  for (const { id } of people)
    for (const environment of ['development', 'production'])
      for (const action of actions) {
        const attrs = { environment, classification: 'restricted', owner: id, consumers: [id], algorithm: 'AES_256', usage: 'encrypt' };
        const resource = actionTable[action] === 'Key' ? ({ type: 'Key', id: keyId, revision: 1, attrs } as const) : claviger;
        const asked = { principalId: id, action, resource, context: { mfa: true, authMethod: 'token', nowMs: 0 } };
        if (after.decide(asked).kind === 'allow') expect([id, action, before.decide(asked).kind]).toEqual([id, action, 'allow']);
      }
});

test('a pack is put in once however often, renewed in place of its older version, and taken out without a trace', () => {
  const { pack, policies } = packs.find((one) => one.pack.id === 'pci-dss')!;
  const once = withPack(bare, pack, policies);
  expect(withPack(once, pack, policies)).toEqual(once);
  expect(once.packs).toEqual([{ id: 'pci-dss', version: pack.version }]);
  const renewed = withPack(
    withPack(bare, { ...pack, version: '0.9.0' }, '@id("pci-dss-old") @control("x") permit (principal, action, resource);'),
    pack,
    policies,
  );
  expect(renewed).toEqual(once);
  expect(withoutPack(once, 'pci-dss')).toEqual({ ...bare, policies: bare.policies });
  const both = packs.reduceRight((parts, one) => withPack(parts, one.pack, one.policies), bare);
  expect(packs.reduce((parts, one) => withoutPack(parts, one.pack.id), both)).toEqual(bare);
});

test('every control that a policy of a pack names is one of the pack, or of a standard that the starter set names as well', () => {
  for (const { pack, policies } of packs) {
    const parsed = parsePolicies(policies);
    const known = new Set(pack.controls.map(({ id }) => id));
    const prefixes = new Set([...known].map((id) => id.split(':')[0]));
    for (const { id, controls } of parsed.ok ? parsed.policies : [])
      for (const control of controls)
        if (prefixes.has(control.split(':')[0] as string) && !['PCI-DSS-4.0.1:8.4.1', 'PCI-DSS-4.0.1:7.2.2'].includes(control))
          expect([id, control, known.has(control)]).toEqual([id, control, true]);
  }
});
