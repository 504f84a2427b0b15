import { readFileSync } from 'node:fs';
import type { Grant, Group, PolicyBundle, RoleConflict } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { issueText, separationBreaches, separationIssues, separationOf, validateBundle } from '../src/index';
import { checkingSeparation } from '../src/separation';
import { bundleOf, principal, starter } from './starter-set';

const conflicts: RoleConflict[] = [{ roles: ['key-administrator', 'application'], reason: 'who administers uses none', control: 'AC-5' }];
const day = (n: number) => new Date(Date.parse('2026-01-01T00:00:00.000Z') + n * 86_400_000).toISOString();
const grant = (role: string, from?: number, until?: number): Grant => ({
  ...{ id: `${role}-${from}-${until}`, principal: 'kim', role, revision: 1 },
  ...(from === undefined ? {} : { notBefore: day(from) }),
  ...(until === undefined ? {} : { notAfter: day(until) }),
});
const group = (name: string, members: string[], roles: string[] = []): Group => {
  const [tenant, id] = name.split('/') as [string, string];
  return { id, tenant, members, roles, revision: 1 };
};
const issues = (roles: string[], more: Partial<PolicyBundle>) =>
  validateBundle(
    bundleOf([principal('kim', roles), principal('noor', ['key-administrator'])], { conflicts, publishedAt: day(10), ...more }),
  )
    .map(issueText)
    .join('\n');

const breaches: [string, string[], Partial<PolicyBundle>, RegExp][] = [
  [
    'both of its own',
    ['key-administrator', 'application'],
    {},
    /key-administrator \(by its own record\) and application \(by its own record\)/,
  ],
  ['one through a group', ['application'], { groups: [group('acme/keys', ['kim'], ['key-administrator'])] }, /by group acme\/keys\)/],
  [
    'one through a group in a group',
    ['application'],
    { groups: [group('acme/keys', ['group:acme/night'], ['key-administrator']), group('acme/night', ['kim'])] },
    /by group acme\/night in acme\/keys\)/,
  ],
  [
    'each through another group',
    [],
    { groups: [group('acme/keys', ['kim'], ['key-administrator']), group('acme/apps', ['kim'], ['application'])] },
    /by group acme\/keys\) and application \(by group acme\/apps\)/,
  ],
  ['a grant beside its own', ['application'], { grants: [grant('key-administrator')] }, /by grant key-administrator/],
  ['a grant that begins later', ['application'], { grants: [grant('key-administrator', 400)] }, /by grant .* from 2027/],
  ['two grants that overlap by a day', [], { grants: [grant('application', 11, 13), grant('key-administrator', 12, 20)] }, /until/],
];

test.each(breaches)('nobody may hold both roles of a pair: %s', (_, roles, more, why) => {
  expect(issues(roles, more)).toMatch(why);
  expect(issues(roles, more)).toMatch(/kim would hold .*who administers uses none \[AC-5\]/);
  expect(issues(roles, { ...more, conflicts: undefined })).toBe('');
});

test.each<[string, string[], Partial<PolicyBundle>]>([
  [
    'grants one after the other, with no moment between',
    [],
    { grants: [grant('application', 11, 12), grant('key-administrator', 12, 20)] },
  ],
  ['a grant that was over when the bundle was published', ['application'], { grants: [grant('key-administrator', 1, 10)] }],
  [
    'a group of the same id in another tenant',
    ['application'],
    { groups: [group('a/keys', [], ['key-administrator']), group('b/keys', ['kim'])] },
  ],
  [
    'a grant for a key, which gives no role',
    ['application'],
    { grants: [{ id: 'g', principal: 'kim', action: 'crypto:Sign', key: 'k_AAAAAAAAAAAAAAAAAAAAAA', revision: 1 }] },
  ],
])('what never comes together is no breach: %s', (_, roles, more) => {
  expect(issues(roles, more)).toBe('');
});

test('a disabled principal counts, and one way is named', () => {
  const bundle = bundleOf([principal('kim', ['key-administrator', 'application'], { disabled: true })], {
    conflicts,
    grants: [grant('application', 11, 12)],
  });
  expect(separationBreaches(bundle)).toMatchObject([{ principal: 'kim', by: [{ role: 'key-administrator' }, { role: 'application' }] }]);
  expect(validateBundle(bundle).map(({ where }) => where)).toEqual([separationOf]);
});

test('no pair of assignments is built twice over: thousands of grants that never meet, and a bounded list of issues', () => {
  let asked = 0;
  const many = Array.from({ length: 4_000 }, (_, n): Grant => {
    const one = grant(n % 2 ? 'application' : 'key-administrator', 20 + n, 21 + n);
    return {
      ...one,
      get role() {
        asked++;
        return n % 2 ? 'application' : 'key-administrator';
      },
    } as Grant;
  });
  expect(separationBreaches(bundleOf([principal('kim', [])], { conflicts, grants: many, publishedAt: day(10) }))).toEqual([]);
  expect(asked).toBeLessThan(5 * many.length);
  const people = Array.from({ length: 150 }, (_, n) => principal(`kim-${n}`, ['key-administrator', 'application']));
  const found = validateBundle(bundleOf(people, { conflicts }));
  expect([found.length, found.at(-1)?.message]).toEqual([101, 'and 50 more such pairs']);
});

test('a pair that names a role which is not there, or one role twice, is refused', () => {
  expect(issues([], { conflicts: [{ ...conflicts[0]!, roles: ['auditor', 'wizard'] }] })).toMatch(/conflicts\.0: names the role wizard/);
  expect(issues([], { conflicts: [{ ...conflicts[0]!, roles: ['auditor', 'auditor'] }] })).toMatch(/does not conflict with itself/);
});

const starterConflicts = JSON.parse(
  readFileSync(new URL('../../../deploy/policies/starter/conflicts.json', import.meta.url), 'utf8'),
) as RoleConflict[];

test('by the starter set nobody who audits does anything else, and who governs neither uses, owns nor administers keys', () => {
  const roles = starter.roles.map(({ id }) => id);
  const excluded = (role: string) =>
    roles.filter((other) => {
      const held = bundleOf([principal('kim', [role, other])], { conflicts: starterConflicts });
      return separationBreaches(held).length > 0;
    });
  expect(excluded('auditor').sort()).toEqual(roles.filter((role) => role !== 'auditor').sort());
  expect(excluded('security-officer').sort()).toEqual(['application', 'application-owner', 'auditor', 'key-administrator', 'operator']);
  expect(excluded('key-administrator').sort()).toEqual(['application', 'auditor', 'security-officer']);
  for (const role of roles) expect(validateBundle(bundleOf([principal('kim', [role])], { conflicts: starterConflicts }))).toEqual([]);
});

test('over random groups and grants a breach is found exactly when some instant finds both roles held', () => {
  const { groups: _, ...base } = bundleOf([principal('kim', [])]);
  const instants = Array.from({ length: 12 }, (__, n) => Date.parse(day(n)) + 43_200_000);
  const role = fc.constantFrom('key-administrator', 'application', 'auditor');
  const timed = fc
    .tuple(role, fc.integer({ min: 0, max: 10 }), fc.integer({ min: 1, max: 11 }))
    .map(([r, from, length]) => [r, from, from + length] as const);
  fc.assert(
    fc.property(
      fc.array(timed, { maxLength: 4 }),
      fc.subarray(['key-administrator', 'application']),
      fc.array(fc.tuple(fc.nat(3), role), { maxLength: 3 }),
      fc.nat(3),
      (given, own, gives, listed) => {
        // g3 in g2 in g1 in g0: whoever is listed in one is in all above.
        const groups = [0, 1, 2, 3].map((n) =>
          group(
            `t/g${n}`,
            [...(n < 3 ? [`group:t/g${n + 1}`] : []), ...(n === listed ? ['kim'] : [])],
            gives.flatMap(([at, r]) => (at === n ? [r] : [])),
          ),
        );
        const grants = given.map(([r, from, until], n) => ({ ...grant(r, from, until), id: `g-${n}` }));
        const standing = [...own, ...gives.flatMap(([at, r]) => (at <= listed ? [r] : []))];
        const both = instants.some((at) => {
          const held = [
            ...standing,
            ...given.flatMap(([r, from, until]) => (Date.parse(day(from)) <= at && at < Date.parse(day(until)) ? [r] : [])),
          ];
          return held.includes('key-administrator') && held.includes('application');
        });
        const bundle = { ...base, principals: [principal('kim', own)], groups, grants, conflicts, publishedAt: day(0) };
        expect(separationBreaches(bundle).length > 0).toBe(
          both || (standing.includes('key-administrator') && standing.includes('application')),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('all principals are looked at in small steps, with room for others between them, and the answer is the same', () => {
  const conflicts = [{ roles: ['key-administrator', 'application'] as [string, string], reason: 'r', control: 'c' }];
  const principals = Array.from({ length: 3_000 }, (_, n) =>
    principal(`p-${n}`, n % 500 === 7 ? ['key-administrator', 'application'] : ['application']),
  );
  const bundle = bundleOf(principals, { conflicts });
  const work = checkingSeparation(bundle);
  let steps = 0;
  let next = work.next();
  for (; !next.done; next = work.next()) steps++;
  expect(steps).toBeGreaterThanOrEqual(30);
  expect(next.value).toEqual(separationIssues(bundle));
  expect(next.value.map(({ message }) => message.split(' ')[0])).toEqual(['p-7', 'p-507', 'p-1007', 'p-1507', 'p-2007', 'p-2507']);
});
