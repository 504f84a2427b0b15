import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { claviger, Evaluator, parsePolicies, validateBundle } from '@claviger/authz';
import {
  actions,
  actionTable,
  bundleFormat,
  bundleLimits,
  Control,
  type KeyProfile,
  type PolicyBundle,
  type Principal,
} from '@claviger/contracts';
import { workspaceRoot } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { type PolicyParts, withoutPack, withPack } from '../src/compliance/pack-blocks';
import { readPacks } from '../src/pack-files';
import { compiledOf, ineffectiveIn, testPolicies } from '../src/policy-check/check';

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

test('the starter set with every pack validates, within the bounds of a bundle', () => {
  expect(validateBundle(bundleOf(all, [person('caller', 'auditor')]))).toEqual([]);
  expect(all.policies.length).toBeLessThan(bundleLimits.policiesChars / 2);
});

const testsOf = (...ids: string[]) =>
  new Map(packs.flatMap(({ pack, tests = '' }) => (ids.includes(pack.id) ? [[`${pack.id}.cedar-test.yaml`, tests] as const] : [])));
const failuresIn = (parts: PolicyParts, files: ReadonlyMap<string, string>) => {
  const bundle = bundleOf(parts, []);
  const { outcomes, issues, unreached } = testPolicies(files, bundle, compiledOf(bundle, 'packs', 'new'));
  return { wrong: [...issues, ...outcomes.filter(({ failure }) => failure !== undefined)], unreached };
};

test.each(packs.map(({ pack }) => pack.id))('each policy of %s decides what it is for, and leaves the rest alone', (id) => {
  const { wrong, unreached } = failuresIn(only(id), testsOf(id));
  expect(wrong).toEqual([]);
  expect(unreached.filter((policy) => policy.startsWith(`${id}-`))).toEqual([]);
  // The tests can fail: of a policy that is not there nothing holds.
  expect(failuresIn(bare, testsOf(id)).wrong.length).toBeGreaterThan(0);
});

test('with every pack in force the tests of all packs hold, and those of the starter set', () => {
  const files = testsOf(...packs.map(({ pack }) => pack.id));
  files.set('starter.cedar-test.yaml', read('starter.cedar-test.yaml'));
  expect(failuresIn(all, files).wrong).toEqual([]);
});

test('beside the starter set and each other no policy of a pack is without effect: policy check would refuse it', () => {
  const bundle = bundleOf(all, []);
  expect(ineffectiveIn(bundle, compiledOf(bundle, 'packs', 'new'))).toEqual([]);
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
  expect(withoutPack(once, pack)).toEqual({ ...bare, policies: bare.policies });
  const both = packs.reduceRight((parts, one) => withPack(parts, one.pack, one.policies), bare);
  expect(packs.reduce((parts, one) => withoutPack(parts, one.pack), both)).toEqual(bare);
  const own = { ...(pack.profiles[0] ?? bare.profiles[0]!), id: 'pci-dss-of-our-own' };
  expect(withoutPack({ ...once, profiles: [...once.profiles, own] }, pack).profiles).toEqual([...bare.profiles, own]);
  const endless = { ...once, policies: once.policies.replace('// ── pack pci-dss: end ──', '') };
  expect(() => withoutPack(endless, pack)).toThrow('has no end');
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

test('every control names actions that there are, and no two have the same id', () => {
  for (const { pack } of packs) {
    const named = pack.controls.flatMap(({ id, checks, evidence }) =>
      [...evidence, ...checks].flatMap((one) =>
        ('action' in one && one.action ? [one.action] : 'actions' in one ? one.actions : []).map((name) => [id, name]),
      ),
    );
    expect(named.filter(([, name]) => !actions.some((action) => action === name))).toEqual([]);
    expect(new Set(pack.controls.map(({ id }) => id)).size).toBe(pack.controls.length);
  }
});

test('a control that nothing is looked at for, and nobody supplies anything to, is refused: it would be met by nothing', () => {
  const { manual, ...control } = packs
    .flatMap(({ pack }) => pack.controls)
    .find(({ id, checks }) => id === 'PCI-DSS-4.0.1:3.7.9' && checks.length === 0)!;
  expect(Control.safeParse({ ...control, manual }).success).toBe(true);
  expect(Control.safeParse(control).success).toBe(false);
});

test('a clause that the starter set cites of a standard with sections is one that the pack has, or says comes to the same', () => {
  const { pack } = packs.find((one) => one.pack.id === 'nist-key-management')!;
  const known = new Set(pack.controls.flatMap(({ id, alsoServedBy }) => [id, ...alsoServedBy]));
  const parsed = parsePolicies(bare.policies);
  const cited = (parsed.ok ? parsed.policies : []).flatMap(({ controls }) => controls.filter((id) => id.startsWith('NIST-SP-800-57')));
  expect(cited.length).toBeGreaterThan(0);
  expect(cited.filter((id) => !known.has(id))).toEqual([]);
});
