import type { Action } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type CompiledPolicies,
  compilePolicies,
  decideQuestion,
  decidingBySituation,
  Evaluator,
  ineffectivePolicies,
  widenings,
} from '../src/index';
import { bundleOf, context, key, principal, starter } from './starter-set';

let slots = 0;
function compiled(policies: string): CompiledPolicies {
  const compilation = compilePolicies({ policies, schema: starter.schema }, `analysis ${slots++ % 4}`, 'new');
  if (!compilation.ok) throw new Error(JSON.stringify(compilation.issues));
  return compilation.compiled;
}
const policy = (id: string, text: string, more = '') => `@id("${id}") @control("test") ${more} ${text};\n`;
const role = (id: string) => `principal in Claviger::Role::"${id}"`;
const action = (id: string) => `action == Claviger::Action::"${id}"`;
const compare = (older: string, newer: string) => widenings(compiled(older), compiled(newer));
/** Without the hash of what changed. */
const named = (id: string) => id.replace(/ #[\w-]{16}$/, '');
const told = (older: string, newer: string) => compare(older, newer).widenings.map(({ id, example }) => [named(id), example]);

const describes = policy('describes', `permit (${role('auditor')}, ${action('keys:Describe')}, resource)`);
const exportsOf = (quorum: number, approvers: string) =>
  policy(
    'exports',
    `permit (${role('application-owner')}, ${action('keys:Export')}, resource)`,
    `@quorum("${quorum}") @approvers("${approvers}")`,
  );

test('what a new permit allows is told with the roles that it takes and the situation, without what does not matter', () => {
  const rotates = policy(
    'rotates',
    `permit (${role('operator')}, ${action('keys:Rotate')}, resource is Claviger::Key) when { resource.environment == "staging" && context.mfa }`,
  );
  expect(told(describes, describes + rotates)).toEqual([
    [
      'keys:Rotate: deny -> allow: role:operator: rotates',
      'context.mfa is true, resource.environment is staging, the caller has role operator',
    ],
  ]);
  expect(compare(describes + rotates, describes)).toMatchObject({ widenings: [], narrowed: expect.any(Number) });
});

test('a guard that lets more through, a lower quorum, further approvers and an approval that fell away widen; renaming does not', () => {
  const guard = (condition: string) =>
    policy('guard', `forbid (principal, ${action('keys:Describe')}, resource is Claviger::Key) unless { ${condition} }`);
  expect(told(describes + guard('context.mfa'), describes + guard('context.mfa || resource.owner == principal.id'))).toEqual([
    [
      'keys:Describe: deny -> allow: role:auditor: describes',
      'context.mfa is false, resource.owner is the caller, the caller has role auditor',
    ],
  ]);
  const ids = (older: string, newer: string) => told(older, newer).map(([id]) => id);
  expect(ids(exportsOf(2, 'security-officer'), exportsOf(1, 'security-officer'))).toEqual([
    'keys:Export: 2 of security-officer -> 1 of security-officer: role:application-owner: exports',
  ]);
  expect(ids(exportsOf(2, 'security-officer'), exportsOf(2, 'security-officer, auditor'))).toHaveLength(1);
  expect(ids(exportsOf(2, 'security-officer, auditor'), exportsOf(3, 'auditor'))).toEqual([]);
  expect(
    ids(
      exportsOf(2, 'auditor'),
      exportsOf(2, 'auditor') + policy('free', `permit (${role('operator')}, ${action('keys:Export')}, resource)`),
    ),
  ).toEqual(['keys:Export: deny -> allow: role:operator: free']);
  expect(ids(describes, describes.replaceAll('describes', 'other-name'))).toEqual([]);
  expect(compare(starter.policies, starter.policies)).toMatchObject({ widenings: [], compared: 0, notCompared: [], inexact: [] });
});

const when = (condition: string) =>
  policy('guarded', `permit (principal, ${action('keys:Describe')}, resource is Claviger::Key) when { ${condition} }`);

test('a range of addresses that grew at its end, and a further class of authentication, are told', () => {
  const within = (range: string) => when(`context has ip && context.ip.isInRange(ip("${range}"))`);
  expect(told(within('10.0.0.0/24'), within('10.0.0.0/16'))).toEqual([
    ['keys:Describe: deny -> allow: anybody: guarded', expect.stringContaining('context.ip is 10.0.')],
  ]);
  expect(told(within('2001:db8::/64'), within('2001:db8::/48'))).toHaveLength(1);
  expect(compare(within('10.0.0.0/16'), within('10.0.0.0/24'))).toMatchObject({
    widenings: [],
    inexact: [expect.stringContaining('context.ip')],
  });
  const acr = (...values: string[]) => when(`context has acr && [${values.map((one) => `"${one}"`)}].contains(context.acr)`);
  expect(told(acr('gold'), acr('gold', 'silver'))).toEqual([['keys:Describe: deny -> allow: anybody: guarded', 'context.acr is silver']]);
});

test('what is acknowledged is one change: a later one through the same policies has another id, and one compared by examples has its own', () => {
  const ids = (older: string, newer: string) => compare(older, newer).widenings.map(({ id }) => id);
  const guard = (condition: string) =>
    describes + policy('guard', `forbid (principal, ${action('keys:Describe')}, resource is Claviger::Key) unless { ${condition} }`);
  const [once, later] = ['resource.environment == "staging"', 'resource.environment != "production"'].map((condition) =>
    ids(guard('context.mfa'), guard(`context.mfa || ${condition}`)),
  );
  expect([once!.map(named), once!.length]).toEqual([later!.map(named), 1]);
  expect(once).not.toEqual(later);
  const like = (pattern: string) => when(`resource.owner like "${pattern}"`);
  const unsure = (older: string, newer: string) => compare(older, newer).unsure.map(({ id }) => named(id));
  expect(unsure(like('a*'), like('ab*'))).toEqual(['keys:Describe: compared by examples']);
  expect(unsure(like('a*'), like('a*') + describes)).toEqual([]);
  const forbid = policy(
    'no',
    `forbid (principal, ${action('keys:Describe')}, resource is Claviger::Key) when { resource.owner like "a*" }`,
  );
  expect([unsure(describes, describes + forbid), unsure(describes + forbid, describes)]).toEqual([
    [],
    ['keys:Describe: compared by examples'],
  ]);
});

test('policies that can never apply, or that a forbid always overrides, are named with why; the starter set has none', () => {
  const of = (policies: string) =>
    ineffectivePolicies({ roles: starter.roles }, compiled(describes + policies)).map(({ policy: id, why, certain }) => [id, certain, why]);
  expect(of('')).toEqual([]);
  expect(
    of(
      policy(
        'typo',
        `permit (${role('auditor')}, ${action('keys:Rotate')}, resource is Claviger::Key) when { resource.environment == "prod" }`,
      ),
    ),
  ).toEqual([['typo', true, 'its scope and conditions hold in no request']]);
  expect(
    of(
      policy(
        'contradiction',
        `permit (principal, ${action('keys:Rotate')}, resource is Claviger::Key) when { context.mfa } unless { context.mfa }`,
      ),
    ),
  ).toHaveLength(1);
  expect(of(policy('nobody', `permit (${role('wizard')}, ${action('keys:Rotate')}, resource)`))).toEqual([
    ['nobody', true, 'nobody can hold Role wizard: the bundle has none of that name'],
  ]);
  expect(
    of(
      policy(
        'covered',
        `permit (${role('operator')}, ${action('keys:Rotate')}, resource is Claviger::Key) when { resource.environment == "staging" }`,
      ) +
        policy(
          'cover',
          `forbid (principal, action in Claviger::Action::"keys", resource is Claviger::Key) when { resource.environment != "production" && principal in Claviger::Role::"operator" }`,
        ),
    ),
  ).toEqual([['covered', true, 'wherever it applies, a forbid does: cover']]);
  expect(ineffectivePolicies({ roles: starter.roles }, compiled(starter.policies))).toEqual([]);
});

const scope = (id: Action) => `(principal, ${action(id)}, resource is Claviger::Key)`;
const pool = [
  `permit (${role('auditor')}, ${action('crypto:Encrypt')}, resource)`,
  `permit ${scope('crypto:Encrypt')} when { context.granted }`,
  `permit ${scope('crypto:Encrypt')} when { context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") == principal.id }`,
  `permit ${scope('crypto:Encrypt')} when { resource.hasTag("team") && resource.getTag("team") != "red" }`,
  `permit ${scope('crypto:Encrypt')} when { resource.consumers.contains(principal.id) || ["alpha", "beta"].contains(resource.owner) }`,
  `permit ${scope('crypto:Encrypt')} when { context.now >= datetime("2026-06-01") && context.now < datetime("2026-06-02") }`,
  `forbid ${scope('crypto:Encrypt')} when { context has sessionAgeSeconds && context.sessionAgeSeconds > 900 }`,
  `forbid ${scope('crypto:Encrypt')} unless { context.mfa }`,
  `forbid ${scope('crypto:Encrypt')} when { resource has createdBy && resource.createdBy == resource.owner }`,
  `forbid ${scope('crypto:Encrypt')} when { principal == Claviger::Principal::"alpha" && context.authMethod == "oidc" }`,
  `forbid ${scope('crypto:Encrypt')} when { resource.hasTag("team") && resource.getTag("team") == "red" }`,
].map((text, index) => policy(`p${index}`, text));
const some = <T>(...values: T[]) => fc.constantFrom(...values);
const names = some('alpha', 'beta', 'gamma');
const asked = fc.record({
  caller: names,
  roles: fc.subarray(['auditor', 'operator']),
  owner: names,
  createdBy: fc.option(names, { nil: undefined }),
  consumers: fc.subarray(['alpha', 'beta', 'gamma']),
  team: some(undefined, 'red', 'blue'),
  tenant: some(undefined, 'alpha', 'other'),
  mfa: fc.boolean(),
  authMethod: some('token', 'oidc'),
  nowMs: some(
    ...['2026-05-31T23:59:59.999Z', '2026-06-01T00:00:00.000Z', '2026-06-01T10:00:00.000Z', '2026-06-02T00:00:00.000Z'].map((at) =>
      Date.parse(at),
    ),
  ),
  sessionAgeSeconds: some(undefined, 0, 900, 901),
});

test('no request exists that the newer set allows and the older does not, unless it is told', () => {
  fc.assert(
    fc.property(
      fc.subarray(pool, { minLength: 1, maxLength: 5 }),
      fc.subarray(pool, { minLength: 1, maxLength: 5 }),
      fc.array(asked, { minLength: 20, maxLength: 20 }),
      (older, newer, requests) => {
        const [before, after] = [compiled(older.join('')), compiled(newer.join(''))];
        const wider = requests.filter(({ caller, roles, owner, createdBy, consumers, team, tenant, sessionAgeSeconds, ...rest }) => {
          const question = {
            principal: principal(caller, roles),
            action: 'crypto:Encrypt' as const,
            resource: key({ owner, consumers, ...(createdBy ? { createdBy } : {}), tags: team ? { team } : {} }),
            context: context({
              ...rest,
              ...(sessionAgeSeconds === undefined ? {} : { sessionAgeSeconds }),
              encryptionContext: tenant ? { tenant } : {},
            }),
            ...{ grants: [], groups: [] },
          };
          const [was, is] = [before, after].map((set) => decideQuestion({ roles: starter.roles }, set, question).kind);
          return was === 'deny' && is === 'allow';
        });
        const comparison = widenings(before, after);
        expect(wider.length > 0 && comparison.widenings.length === 0 ? wider[0] : undefined).toBeUndefined();
      },
    ),
    { numRuns: 15 },
  );
});

test('a grant that holds in one encryption context only is remembered with it', () => {
  const policies = policy('granted', `permit ${scope('crypto:Encrypt')} when { context.granted }`);
  const people = [principal('alpha', [])];
  const { id } = key();
  const grants = [
    { id: 'one', principal: 'alpha', action: 'crypto:Encrypt' as const, key: id, context: { equals: { tenant: 'a' } }, revision: 1 },
  ];
  const evaluator = new Evaluator();
  expect(evaluator.load(bundleOf(people, { policies, grants }))).toMatchObject({ ok: true });
  const alike = decidingBySituation({ principals: people, roles: starter.roles, grants }, compiled(policies), (request) =>
    evaluator.decide(request),
  );
  const kinds = ['a', 'b', 'a'].map(
    (tenant) =>
      alike({ principalId: 'alpha', action: 'crypto:Encrypt', resource: key(), context: context({ encryptionContext: { tenant } }) }).kind,
  );
  expect(kinds).toEqual(['allow', 'deny', 'allow']);
});

test('what is remembered by situation is what is decided anew, for any principal, key and context', () => {
  const hours = `permit ${scope('crypto:Decrypt')} when { context.now.toTime() < duration("17h") };`;
  fc.assert(
    fc.property(
      fc.subarray(pool, { minLength: 1, maxLength: 6 }),
      fc.array(asked, { minLength: 40, maxLength: 40 }),
      (policies, requests) => {
        const set = compiled(policies.join('') + policy('hours', hours.slice(0, -1)));
        const people = ['alpha', 'beta', 'gamma'].map((id) => principal(id, id === 'beta' ? ['auditor'] : []));
        const evaluator = new Evaluator();
        expect(evaluator.load(bundleOf(people, { policies: policies.join('') + policy('hours', hours.slice(0, -1)) }))).toMatchObject({
          ok: true,
        });
        const alike = decidingBySituation({ principals: people, roles: starter.roles, grants: [] }, set, (request) =>
          evaluator.decide(request),
        );
        for (const { caller, roles: _, owner, createdBy, consumers, team, tenant, sessionAgeSeconds, ...rest } of requests) {
          const request = {
            principalId: caller,
            action: caller === 'gamma' ? ('crypto:Decrypt' as const) : ('crypto:Encrypt' as const),
            resource: key({ owner, consumers, ...(createdBy ? { createdBy } : {}), tags: team ? { team } : {} }),
            context: context({
              ...rest,
              ...(sessionAgeSeconds === undefined ? {} : { sessionAgeSeconds }),
              encryptionContext: tenant ? { tenant } : {},
            }),
          };
          expect(alike(request)).toEqual(evaluator.decide(request));
        }
      },
    ),
    { numRuns: 15 },
  );
});
