import { bundleLimits, type Quota } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { bundleHash, Evaluator, issueText, validateBundle } from '../src/index';
import { bundleOf, context, key, principal, starter } from './starter-set';

const app = principal('app', ['application'], { kind: 'service' });
const admin = principal('admin', ['key-administrator']);
const use = { principalId: 'app', action: 'crypto:Encrypt', resource: key({ consumers: ['app'] }), context: context() } as const;
const extra = (policy: string) => ({ policies: `${starter.policies}\n${policy}` });
const when = (condition: string) => extra(`@id("extra") @control("test") permit (principal, action, resource) when { ${condition} };`);
const oidc = { kind: 'oidc', issuer: 'https://id.example', subject: 's' } as const;

const quotas = (more: Partial<Quota>) =>
  bundleOf([app], { quotas: [{ id: 'q', actions: ['crypto'], per: 'principal', limit: 5, window: 'minute', ...more }] });

const hostile: [string, unknown, RegExp][] = [
  ['not an object', 'bundle', /bundle: /],
  ['null', null, /bundle: /],
  ['an unknown field', { ...bundleOf([app]), extra: 1 }, /extra/],
  ['another format', { ...bundleOf([app]), format: 'claviger.bundle/2' }, /format/],
  ['a principal with an unknown field', bundleOf([{ ...app, admin: true } as typeof app]), /admin/],
  ['a principal id that is no slug', bundleOf([{ ...app, id: 'a.b>*' }]), /principals\.0\.id/],
  ['a revision of 0', bundleOf([app], { revision: 0 }), /revision/],
  ['policies beyond the limit', bundleOf([app], { policies: ' '.repeat(bundleLimits.policiesChars + 1) }), /policies/],
  [
    'a syntax error',
    bundleOf([app], { policies: 'permit (\n  principal,\n  action foo' }),
    /policies: line 3, column 10: unexpected token `foo`/,
  ],
  ['no policy at all', bundleOf([app], { policies: '// nothing' }), /no policy/],
  ['a policy without @id', bundleOf([app], extra('@control("x") permit (principal, action, resource);')), /needs @id/],
  ['a policy without @control', bundleOf([app], extra('@id("x") permit (principal, action, resource);')), /policy x: needs @control/],
  ['two policies of one @id', bundleOf([app], extra(starter.policies)), /another policy has the same @id/],
  ['a template', bundleOf([app], extra('@id("t") @control("x") permit (principal == ?principal, action, resource);')), /templates/],
  ['an attribute that the schema lacks', bundleOf([app], when('principal.shoeSize == 43')), /policy extra: .*shoeSize/],
  ['an optional attribute without has', bundleOf([app], when('context.ip.isLoopback()')), /policy extra: .*ip/],
  ['a type error', bundleOf([app], when('context.now < 5')), /policy extra: /],
  ['a role that no schema knows as entity', bundleOf([app], when('principal in Claviger::Roll::"x"')), /policy extra: .*Roll/],
  ['a broken schema', bundleOf([app], { schema: 'namespace Claviger { entity' }), /schema: line 1/],
  ['a schema without one of the actions', bundleOf([app], { schema: starter.schema.replace('"policy:Read", ', '') }), /policy:Read/],
  [
    'a schema that wants what the evaluator cannot give',
    bundleOf([app], { schema: starter.schema.replace('mfa: Bool', 'mfa: Bool, shoe: Long') }),
    /cannot express crypto:Encrypt.*shoe/,
  ],
  ['brackets 400 deep', bundleOf([app], when(`${'('.repeat(400)}true${')'.repeat(400)}`)), /nested more than 32 deep/],
  [
    'brackets 400 deep after a comment that a CR ends',
    bundleOf([app], when(`//\r${'('.repeat(400)}true${')'.repeat(400)}\n`)),
    /nested more than 32 deep/,
  ],
  ['4,000 chained operators', bundleOf([app], when(`1${'+1'.repeat(4000)} == 1`)), /more than 200 operators/],
  [
    'a schema type 400 deep',
    bundleOf([app], { schema: `namespace C { entity E { a: ${'Set<'.repeat(400)}Long${'>'.repeat(400)} }; }` }),
    /nested more than 32/,
  ],
  ['a quota for a role that is not listed', quotas({ role: 'wizard' }), /quotas\.0 \(q\): is for the role wizard/],
  ['a quota for a group that is not listed', quotas({ group: 'a/b' }), /is for the group a\/b/],
  ['a quota for nobody', quotas({ principal: 'ghost' }), /is for ghost/],
  ['a quota of no action', quotas({ actions: ['crypto:Brew'] }), /names crypto:Brew, which is no action/],
  ['a quota by key of what has none', quotas({ actions: ['access', 'keys:List'], per: 'key' }), /none of its actions is about one key/],
  ['a quota of none', quotas({ limit: 0 }), /quotas\.0\.limit/],
  ['a role that is not listed', bundleOf([principal('app', ['wizard'])]), /principals\.0 \(app\): has the role wizard/],
  ['one principal twice', bundleOf([app, app]), /the id app is used twice/],
  [
    'one OIDC identity for two',
    bundleOf([{ ...app, identities: [oidc] }, principal('b', [], { identities: [oidc] })]),
    /same oidc identity as app/,
  ],
  [
    'a grant for a stranger',
    bundleOf([app], { grants: [{ id: 'g', principal: 'x', role: 'auditor', revision: 1 }] }),
    /who is not in principals/,
  ],
  [
    'a grant of both a role and an action',
    bundleOf([app], { grants: [{ id: 'g', principal: 'app', role: 'auditor', action: 'keys:List', key: 'k', revision: 1 } as never] }),
    /grants\.0/,
  ],
  [
    'a grant that is never in force',
    bundleOf([app], {
      grants: [
        {
          id: 'g',
          principal: 'app',
          role: 'auditor',
          notBefore: '2026-01-01T00:00:00.000Z',
          notAfter: '2026-01-01T00:00:00.000Z',
          revision: 1,
        },
      ],
    }),
    /never in force/,
  ],
];

test.each(hostile)('a bundle is refused, said why, and the old one stays in force: %s', (_, bundle, why) => {
  const evaluator = new Evaluator();
  expect(evaluator.load(bundleOf([app]))).toMatchObject({ ok: true });
  const next =
    typeof bundle === 'object' && bundle !== null && (bundle as { revision: number }).revision === 1 ? { ...bundle, revision: 2 } : bundle;
  const result = evaluator.load(next);
  expect(result).toMatchObject({ ok: false, code: 'invalid' });
  expect((result.ok ? [] : result.issues).map(issueText).join('\n')).toMatch(why);
  expect(validateBundle(next).map(issueText).join('\n')).toMatch(why);
  expect(evaluator.current?.bundle.revision).toBe(1);
  expect(evaluator.decide(use).kind).toBe('allow');
  expect(evaluator.usable).toBe(true);
});

test('text at the very bounds leaves Cedar whole', () => {
  const evaluator = new Evaluator();
  for (const inner of [`1${'+1'.repeat(199)} == 1`, `${'if true then true else '.repeat(199)}true`, `true${' && true'.repeat(199)}`]) {
    const condition = `${'('.repeat(30)}${inner}${')'.repeat(30)}`;
    evaluator.load(bundleOf([app], { ...when(condition), revision: (evaluator.current?.bundle.revision ?? 0) + 1 }));
    evaluator.decide(use);
    expect(evaluator.usable).toBe(true);
  }
});

test('a lower revision is refused, the same one with another content too, the same again is fine', () => {
  const evaluator = new Evaluator();
  const bundle = bundleOf([app], { revision: 5 });
  expect(evaluator.load(bundle)).toEqual({ ok: true, revision: 5, hash: bundleHash(bundle) });
  expect(evaluator.load(bundle)).toMatchObject({ ok: true });
  expect(evaluator.load(bundleOf([app], { revision: 4 }))).toMatchObject({ ok: false, code: 'lower-revision' });
  expect(evaluator.load(bundleOf([], { revision: 5 }))).toMatchObject({ ok: false, code: 'conflicting-revision' });
  expect(evaluator.decide(use).kind).toBe('allow');
});

test('two evaluators in one process do not see each other’s policies', () => {
  const open = new Evaluator();
  const shut = new Evaluator();
  open.load(bundleOf([app]));
  shut.load(bundleOf([app], extra('@id("stop") @control("test") forbid (principal, action, resource);')));
  expect([open.decide(use).kind, shut.decide(use).kind]).toEqual(['allow', 'deny']);
});

test('the hash does not depend on the order of members', () => {
  const bundle = bundleOf([app]);
  expect(bundleHash(Object.fromEntries(Object.entries(bundle).reverse()) as typeof bundle)).toBe(bundleHash(bundle));
});

/** As before these actions came. */
const earlier = (text: string) =>
  text.replace(/,\s*(Claviger::Action::)?"keys:(Update|ListKeks)"/g, '').replace(/(Claviger::Action::)?"keys:(Update|ListKeks)"\s*,/g, '');

test('a bundle from before an action came stays in force: that action is denied with a code of its own, and no new bundle may lack it', () => {
  const evaluator = new Evaluator();
  const { policies, schema } = bundleOf([]);
  const bundle = bundleOf([app, admin], { policies: earlier(policies), schema: earlier(schema) });
  expect(evaluator.load(bundle)).toMatchObject({ ok: true });
  expect(evaluator.missing).toEqual(['keys:ListKeks', 'keys:Update']);
  expect(evaluator.decide(use).kind).toBe('allow');
  const asked = { ...use, principalId: 'admin', action: 'keys:Update' as const };
  expect(evaluator.decide(asked)).toMatchObject({ kind: 'deny', code: 'action-not-in-schema', failure: true });
  expect(validateBundle(bundle).map(issueText).join('\n')).toMatch(/cannot express keys:Update/);
  expect(evaluator.load(bundleOf([app, admin], { revision: 2 }))).toMatchObject({ ok: true });
  expect(evaluator.missing).toEqual([]);
  expect(evaluator.decide(asked).kind).toBe('allow');
});

test('a bundle from before an attribute came stays in force and is asked without it; a new one must know it', () => {
  const evaluator = new Evaluator();
  const before = (text: string) =>
    text
      .replace('    createdBy?: String,\n', '')
      .replace('    authMethod: String,\n', '')
      .replace('} tags String;\n\n  // The system', '};\n\n  // The system');
  const { policies, schema } = bundleOf([]);
  // The only policy that reads one of them.
  const kept = policies.replace(/@id\("creator-never-uses"\)[\s\S]*?;\n/, '');
  const bundle = bundleOf([app, admin], { policies: kept, schema: before(schema) });
  expect(before(schema)).not.toMatch(/createdBy\?:|authMethod:/);
  expect(evaluator.load(bundle)).toMatchObject({ ok: true });
  expect(evaluator.missing).toEqual([]);
  const { resource } = use;
  expect(
    evaluator.decide({ ...use, resource: { ...resource, attrs: { ...resource.attrs, createdBy: 'kim', tags: { team: 'a' } } } }).kind,
  ).toBe('allow');
  expect(validateBundle(bundle)).not.toEqual([]);
});
