import type { Grant } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { claviger, Evaluator, type RequestContext } from '../src/index';
import { bundleOf, context, key, keyId, principal, starter } from './starter-set';

const use = (principalId: string, about: Partial<RequestContext> = {}) =>
  ({ principalId, action: 'crypto:Encrypt', resource: key({ consumers: ['app', 'gone'] }), context: context(about) }) as const;

test('what cannot be decided is denied as a failure, what is decided against is not one', () => {
  const evaluator = new Evaluator();
  expect(evaluator.decide(use('app'))).toMatchObject({ kind: 'deny', code: 'bundle-not-loaded', failure: true });
  const gone = principal('gone', ['application'], { kind: 'service', disabled: true });
  evaluator.load(bundleOf([principal('app', ['application'], { kind: 'service' }), gone, principal('nobody', [])]));
  expect(evaluator.decide(use('stranger'))).toMatchObject({ kind: 'deny', code: 'unknown-principal', failure: false });
  expect(evaluator.decide(use('gone'))).toMatchObject({ kind: 'deny', code: 'disabled-principal', failure: false });
  expect(evaluator.decide(use('nobody'))).toMatchObject({ kind: 'deny', code: 'no-permit', failure: false });
  expect(evaluator.decide(use('app'))).toMatchObject({ kind: 'allow', code: 'permitted', policyIds: ['application-uses-its-keys'] });
  expect(evaluator.decide(use('app', { nowMs: Number.NaN }))).toMatchObject({ kind: 'deny', code: 'evaluation-failed', failure: true });
  const wrongKind = { ...use('app'), resource: claviger };
  expect(evaluator.decide(wrongKind)).toMatchObject({ kind: 'deny', code: 'evaluation-failed', failure: true });
});

test('a policy that fails while it is evaluated denies, also when it is a forbid that Cedar would skip', () => {
  const policies = `${starter.policies}
    @id("overflow") @control("test")
    forbid (principal, action == Claviger::Action::"crypto:Encrypt", resource)
    when { context has sessionAgeSeconds && context.sessionAgeSeconds * 9223372036854775807 == 1 };`;
  const evaluator = new Evaluator();
  evaluator.load(bundleOf([principal('app', ['application'], { kind: 'service' })], { policies }));
  expect(evaluator.decide(use('app')).kind).toBe('allow');
  expect(evaluator.decide(use('app', { sessionAgeSeconds: 5 }))).toMatchObject({
    kind: 'deny',
    code: 'policy-error',
    failure: true,
    policyIds: ['overflow'],
  });
});

test('a unique encryption context per request costs no evaluation while no policy mentions it', () => {
  const evaluator = new Evaluator();
  evaluator.load(bundleOf([principal('app', ['application'], { kind: 'service' })]));
  const unreadable = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error('the encryption context was read');
      },
    },
  );
  const first = evaluator.decide(use('app', { encryptionContext: unreadable }));
  expect(first.kind).toBe('allow');
  expect(evaluator.decide(use('app', { encryptionContext: { order: '2' }, ip: '10.0.0.1', sessionAgeSeconds: 7 }))).toBe(first);
});

test('a key that is only proposed is decided anew each time: its revision says nothing about it', () => {
  const evaluator = new Evaluator();
  evaluator.load(bundleOf([principal('admin', ['key-administrator'])]));
  const create = (environment: string) =>
    evaluator.decide({
      principalId: 'admin',
      action: 'keys:Create',
      resource: key({ environment }, 'proposed'),
      context: context({ mfa: false }),
    }).kind;
  expect([create('development'), create('production'), create('development')]).toEqual(['allow', 'deny', 'allow']);
});

test('keys of the same attributes share what is decided about them, unless a policy names one, or a grant does', () => {
  const forbid = (condition: string, scope = 'resource') =>
    `@id("one") @control("test") forbid (principal, action == Claviger::Action::"crypto:Encrypt", ${scope})${condition};`;
  const permit = `@id("all") @control("test") permit (principal, action == Claviger::Action::"crypto:Encrypt", resource);`;
  const other = 'k_BBBBBBBBBBBBBBBBBBBBBB';
  const named = `Claviger::Key::"${keyId}"`;
  const decided = (policies: string, grants: Grant[] = []) => {
    const evaluator = new Evaluator();
    const loaded = evaluator.load(bundleOf([principal('app', [])], { policies, grants }));
    expect(loaded).toMatchObject({ ok: true });
    const ask = (id: string, attrs = {}) => evaluator.decide({ ...use('app'), resource: key(attrs, 1, id) }).kind;
    const kinds = [ask(keyId), ask(other), ask(other), ask(keyId), ask(other, { owner: 'app' })];
    return [kinds.join(' '), evaluator.counts.evaluated];
  };
  expect(decided(permit)).toEqual(['allow allow allow allow allow', 2]);
  for (const by of [
    ...[forbid('', `resource == ${named}`), forbid('', `resource in ${named}`), forbid('', `resource is Claviger::Key in ${named}`)],
    ...[
      forbid(` when { resource == ${named} }`),
      forbid(` when { resource in ${named} }`),
      forbid(` when { [${named}].contains(resource) }`),
    ],
    ...[forbid(` when { resource is Claviger::Key in ${named} }`), forbid(` when { { key: resource }.key == ${named} }`)],
  ])
    expect(decided(`${permit}\n${by}`)).toEqual(['deny allow allow deny allow', 2]);
  expect(decided(`${permit}\n${forbid(' when { resource.owner == principal.id }')}`)).toEqual(['allow allow allow allow deny', 2]);
  const grant = { id: 'g', principal: 'app', revision: 1, action: 'crypto:Encrypt' as const, key: keyId };
  const granted = permit.replace(';', ' when { context.granted };');
  expect(decided(granted, [grant])).toEqual(['allow deny deny allow deny', 3]);
});

test('entries of the encryption context with the names of Cedar’s escapes and of JavaScript’s prototype are only text', () => {
  const policies = `@id("tenant") @control("test")
    permit (principal, action == Claviger::Action::"crypto:Encrypt", resource)
    when { context.encryptionContext.hasTag("__proto__") && context.encryptionContext.getTag("__proto__") == "acme" };`;
  const evaluator = new Evaluator();
  evaluator.load(bundleOf([principal('app', [])], { policies }));
  const decide = (entries: [string, string][]) => evaluator.decide(use('app', { encryptionContext: Object.fromEntries(entries) })).kind;
  expect(
    decide([
      ['__entity', 'x'],
      ['__extn', 'y'],
      ['__proto__', 'acme'],
    ]),
  ).toBe('allow');
  expect(
    decide([
      ['__entity', 'x'],
      ['__extn', 'y'],
    ]),
  ).toBe('deny');
  expect(
    decide([
      ['tenant', 'acme'],
      ['__proto__', 'other'],
    ]),
  ).toBe('deny');
});

test('changed policies hold at once, for what was decided before too', () => {
  const evaluator = new Evaluator();
  const people = [principal('app', ['application'], { kind: 'service' })];
  evaluator.load(bundleOf(people));
  expect(evaluator.decide(use('app')).kind).toBe('allow');
  evaluator.load(
    bundleOf(people, { revision: 2, policies: `${starter.policies} @id("stop") @control("test") forbid (principal, action, resource);` }),
  );
  expect(evaluator.decide(use('app'))).toMatchObject({ kind: 'deny', policyIds: ['stop'] });
});

test('a policy that reads the time of day is evaluated each time', () => {
  const policies = `@id("office-hours") @control("test") permit (principal, action == Claviger::Action::"crypto:Encrypt", resource)
    when { context.now.toTime() >= duration("9h") && context.now.toTime() < duration("17h") };`;
  const evaluator = new Evaluator();
  evaluator.load(bundleOf([principal('app', [])], { policies }));
  const at = (time: string) => evaluator.decide(use('app', { nowMs: Date.parse(`2026-06-01T${time}Z`) })).kind;
  expect(['08:59:59.999', '09:00:00.000', '16:59:59.999', '17:00:00.000'].map(at)).toEqual(['deny', 'allow', 'allow', 'deny']);
});
