import type { Grant } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { Evaluator } from '../src/index';
import { bundleOf, context, key, keyId, principal } from './starter-set';

const from = '2026-06-01T09:00:00.000Z';
const until = '2026-06-01T17:00:00.000Z';
const fromMs = Date.parse(from);
const untilMs = Date.parse(until);

function loaded(grant: Grant, kind: 'person' | 'service' = 'person') {
  const evaluator = new Evaluator();
  expect(evaluator.load(bundleOf([principal('caller', [], { kind })], { grants: [grant] }))).toMatchObject({ ok: true });
  return evaluator;
}

test('a grant for one action on one key holds from notBefore to just before notAfter, also out of the cache and with a clock that goes back', () => {
  const evaluator = loaded({
    id: 'break-glass',
    principal: 'caller',
    action: 'crypto:Decrypt',
    key: keyId,
    notBefore: from,
    notAfter: until,
    revision: 1,
  });
  const at = (nowMs: number) =>
    evaluator.decide({ principalId: 'caller', action: 'crypto:Decrypt', resource: key(), context: context({ nowMs }) }).kind;
  for (let round = 0; round < 2; round += 1) {
    expect([fromMs - 1, fromMs, untilMs - 1, untilMs, fromMs].map(at)).toEqual(['deny', 'allow', 'allow', 'deny', 'allow']);
  }
});

test('such a grant opens neither another action nor another key', () => {
  const evaluator = loaded({ id: 'break-glass', principal: 'caller', action: 'crypto:Decrypt', key: keyId, revision: 1 });
  const other = key({}, 1, 'k_BBBBBBBBBBBBBBBBBBBBBB');
  expect(evaluator.decide({ principalId: 'caller', action: 'crypto:Decrypt', resource: key(), context: context() }).kind).toBe('allow');
  expect(evaluator.decide({ principalId: 'caller', action: 'crypto:Encrypt', resource: key(), context: context() }).kind).toBe('deny');
  expect(evaluator.decide({ principalId: 'caller', action: 'crypto:Decrypt', resource: other, context: context() }).kind).toBe('deny');
});

test('a grant gives no administration: that takes a role', () => {
  const evaluator = loaded({ id: 'sly', principal: 'caller', action: 'keys:ScheduleDeletion', key: keyId, revision: 1 });
  const decision = evaluator.decide({ principalId: 'caller', action: 'keys:ScheduleDeletion', resource: key(), context: context() });
  expect(decision).toMatchObject({ kind: 'deny', code: 'no-permit' });
});

test('a role granted for a time is held for exactly that time', () => {
  const evaluator = loaded({ id: 'on-call', principal: 'caller', role: 'security-officer', notBefore: from, notAfter: until, revision: 1 });
  const at = (nowMs: number) =>
    evaluator.decide({ principalId: 'caller', action: 'keys:Suspend', resource: key(), context: context({ nowMs }) }).kind;
  expect([fromMs - 1, fromMs, untilMs - 1, untilMs].map(at)).toEqual(['deny', 'allow', 'allow', 'deny']);
  expect(evaluator.rolesOf('caller', untilMs - 1)).toEqual(['security-officer']);
  expect(evaluator.rolesOf('caller', untilMs)).toEqual([]);
});

test('a grant of limited use gives nothing by itself; honoured, its decision is remembered apart from the one without', () => {
  const grant = { id: 'thrice', principal: 'caller', action: 'crypto:Decrypt', key: keyId, notAfter: until, uses: 3, revision: 1 } as const;
  const evaluator = loaded(grant);
  const request = { principalId: 'caller', action: 'crypto:Decrypt', resource: key(), context: context({ nowMs: fromMs }) } as const;
  for (let round = 0; round < 2; round += 1) {
    expect(evaluator.decide(request).kind).toBe('deny');
    expect(evaluator.decide(request, [grant]).kind).toBe('allow');
  }
  expect(evaluator.counts).toEqual({ remembered: 2, evaluated: 2 });
  expect(evaluator.limitedGrants(request)).toEqual([grant]);
  expect(evaluator.limitedGrants({ ...request, action: 'crypto:Encrypt' })).toEqual([]);
  expect(evaluator.limitedGrants({ ...request, context: context({ nowMs: untilMs }) })).toEqual([]);
  expect(evaluator.decide({ ...request, context: context({ nowMs: untilMs }) }, [grant]).kind).toBe('deny');
});

test('a grant of limited use that was honoured is worth what the bundle in force says of it: nothing when it was taken away', () => {
  const wide = { id: 'thrice', principal: 'caller', action: 'crypto:Decrypt', key: keyId, uses: 3, revision: 1 } as const;
  const narrow = { ...wide, context: { equals: { tenant: 'acme' } }, revision: 2 } as const;
  const evaluator = loaded(wide);
  const request = { principalId: 'caller', action: 'crypto:Decrypt', resource: key(), context: context({ nowMs: fromMs }) } as const;
  const inTenant = { ...request, context: { ...request.context, encryptionContext: { tenant: 'acme' } } };
  expect(evaluator.decide(request, [wide]).kind).toBe('allow');
  const publish = (revision: number, grants: Grant[]) =>
    expect(evaluator.load(bundleOf([principal('caller', [], { kind: 'person' })], { revision, grants }))).toMatchObject({ ok: true });
  publish(2, [narrow]);
  // Asked first with what it was before: later requests must not get that either.
  expect([evaluator.decide(request, [wide]).kind, evaluator.decide(inTenant, [wide]).kind]).toEqual(['deny', 'allow']);
  expect([evaluator.decide(request, [narrow]).kind, evaluator.decide(inTenant, [narrow]).kind]).toEqual(['deny', 'allow']);
  publish(3, []);
  expect([evaluator.decide(request, [wide]).kind, evaluator.decide(inTenant, [narrow]).kind]).toEqual(['deny', 'deny']);
});

test('a role of limited use makes nobody an approver', () => {
  const evaluator = loaded({ id: 'once', principal: 'caller', role: 'security-officer', uses: 1, revision: 1 });
  expect(evaluator.rolesOf('caller', fromMs)).toEqual([]);
});
