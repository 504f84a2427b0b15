import { bundleFormat, type PolicyBundle } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isExpected } from '../src/cloud/expected-grants';
import { KeyPolicy, statementsOf } from '../src/cloud/key-policy';
import { type CloudKey, CloudSite, cloudFormat, type SeenKey } from '../src/cloud/site';
import { siteDrift } from '../src/cloud/site-drift';
import { jsonAs } from '../src/cloud/strict-json';
import { driftOf } from '../src/policy-check/drift';
import { linesOfJson } from '../src/sarif/json-lines';
import { sarifLog } from '../src/sarif/log';
import { driftTold } from '../src/sarif/of-drift';
import { placesIn } from '../src/sarif/places';
import { sarifProblems } from './sarif-schema';

const policy = (id: string, condition = '') => `@id("${id}") @control("c") permit (principal, action, resource)${condition};\n`;
const bundle = (changes: Partial<PolicyBundle> = {}): PolicyBundle => ({
  ...{ format: bundleFormat, revision: 1, policies: policy('a') + policy('b'), schema: 's', publishedAt: '2026-01-01T00:00:00.000Z' },
  ...{ principals: [], roles: [{ id: 'auditor', description: 'reads', revision: 1 }], grants: [] },
  ...changes,
});

test('order, white space, revisions and a missing empty part are no drift', () => {
  const running = bundle({
    revision: 9,
    policies: policy('b') + policy('a').replace(' permit', '\n\npermit'),
    groups: [],
    roles: [{ description: 'reads', revision: 7, id: 'auditor' }],
  });
  expect(driftOf(running, bundle())).toEqual([]);
});

test('access that was asked for and approved, and what has to be reviewed, is no drift; a grant that nobody asked for is', () => {
  const grant = { id: 'g', principal: 'otto', role: 'auditor', revision: 1 };
  const change = `ch_${'A'.repeat(22)}`;
  const elevated = { by: 'request' as const, rules: ['r'], change, reason: 'x', approvedBy: ['sofia'] };
  const review = { id: 'jit-1' } as NonNullable<PolicyBundle['breakGlassReviews']>[number];
  expect(driftOf(bundle({ grants: [{ ...grant, elevated }], breakGlassReviews: [review] }), bundle())).toEqual([]);
  expect(driftOf(bundle({ grants: [grant] }), bundle())).toEqual([{ part: 'grants', id: 'g', how: 'only runs' }]);
});

test('what only runs, is only committed, or differs is told by its id and fields', () => {
  const running = bundle({
    policies: policy('a', ' when { context.mfa }') + policy('c'),
    roles: [{ id: 'auditor', description: 'writes', revision: 1 }],
    schema: 't',
  });
  expect(driftOf(running, bundle())).toEqual([
    { part: 'policies', id: 'a', how: 'differs', fields: ['conditions'] },
    { part: 'policies', id: 'b', how: 'only committed' },
    { part: 'policies', id: 'c', how: 'only runs' },
    { part: 'roles', id: 'auditor', how: 'differs', fields: ['description'] },
    { part: 'schema', how: 'differs' },
  ]);
});

const root = 'arn:aws:iam::111122223333:root';
const statement = (changes: object = {}) => ({
  ...{ Sid: 's', Effect: 'Allow', Principal: { AWS: root }, Action: ['kms:Decrypt', 'kms:Encrypt'], Resource: '*' },
  ...{ Condition: { StringEquals: { 'aws:PrincipalTag/a': ['x', 'y'] }, Bool: { 'aws:SecureTransport': true } } },
  ...changes,
});
const meanings = (...statements: object[]) =>
  [...statementsOf(KeyPolicy.parse({ Version: '2012-10-17', Statement: statements })).keys()].sort();
const other = { Effect: 'Deny', Principal: '*', NotAction: 'kms:Describe*', NotResource: ['*'] };

test.each([
  ['order of statements', [other, statement()]],
  ['a repeated statement', [statement(), other, statement()]],
  ['Sid', [statement({ Sid: undefined }), other]],
  ['one text in place of a list', [statement(), { ...other, NotAction: ['kms:Describe*'], NotResource: '*' }]],
  ['both ways to write all principals', [statement(), { ...other, Principal: { AWS: ['*'] } }]],
  ['order and case of actions', [statement({ Action: ['KMS:encrypt', 'kms:decrypt', 'kms:Decrypt'] }), other]],
  ['an account in place of its root', [statement({ Principal: { AWS: '111122223333' } }), other]],
  [
    'order and types in conditions',
    [statement({ Condition: { Bool: { 'aws:SecureTransport': 'true' }, StringEquals: { 'aws:PrincipalTag/a': ['y', 'x'] } } }), other],
  ],
])('a key policy means the same, whatever: %s', (_, statements) => {
  expect(meanings(...statements)).toEqual(meanings(statement(), other));
});

test.each([
  ['an action more', { Action: ['kms:Decrypt', 'kms:Encrypt', 'kms:CreateGrant'] }],
  ['all but the actions', { Action: undefined, NotAction: ['kms:Decrypt', 'kms:Encrypt'] }],
  ['denied', { Effect: 'Deny' }],
  ['another account', { Principal: { AWS: 'arn:aws:iam::111122223334:root' } }],
  ['a service of the name of an account', { Principal: { Service: '111122223333' } }],
  ['all but the principal', { Principal: undefined, NotPrincipal: { AWS: root } }],
  ['another resource', { Resource: 'arn:aws:kms:eu-central-1:111122223333:key/a' }],
  ['no condition', { Condition: undefined }],
  ['another value', { Condition: { StringEquals: { 'aws:PrincipalTag/a': ['x', 'Y'] }, Bool: { 'aws:SecureTransport': true } } }],
  ['another operator', { Condition: { StringLike: { 'aws:PrincipalTag/a': ['x', 'y'] }, Bool: { 'aws:SecureTransport': true } } }],
])('a key policy means something else with %s', (_, changes) => {
  expect(meanings(statement(changes), other)).not.toEqual(meanings(statement(), other));
});

test('the version of a key policy counts, and one of a form that is not known is not read', () => {
  const of = (policy: object) => [...statementsOf(KeyPolicy.parse(policy)).keys()];
  expect(of({ Version: '2012-10-17', Statement: other })).not.toEqual(of({ Statement: other }));
  expect(of({ Version: '2008-10-17', Statement: [other] })).toEqual(of({ Statement: other }));
  for (const policy of [{ Statement: { ...other, Principle: '*' } }, { Statement: [], Extra: 1 }, {}, { Statement: { Effect: 'Maybe' } }])
    expect(typeof jsonAs(KeyPolicy, JSON.stringify(policy))).toBe('string');
  expect(jsonAs(KeyPolicy, '{"Statement": {"Effect": "Allow", "Condition": {"StringEquals": {"__proto__": "x"}}}}')).toBe(
    'a field is named __proto__',
  );
});

const key = (id: string, changes: Partial<CloudKey> = {}): CloudKey => ({
  ...{ id, aliases: ['alias/a', 'alias/b'], state: 'Enabled', spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'AWS_KMS' },
  ...{ rotationDays: 365, tags: { team: 'pay' }, policy: KeyPolicy.parse({ Version: '2012-10-17', Statement: statement() }) },
  grants: [{ grantee: 'arn:aws:iam::111122223333:role/app', operations: ['Decrypt', 'Encrypt'], includes: { tenant: 'acme' } }],
  ...changes,
});
const committedSite = (...keys: CloudKey[]): CloudSite =>
  CloudSite.parse({ format: cloudFormat, provider: 'aws-kms', account: '111122223333', region: 'eu-central-1', keys });
const seen = (...keys: (CloudKey | SeenKey)[]) => ({
  ...{ account: '111122223333', region: 'eu-central-1' },
  keys: keys.map((one): SeenKey => ('unseen' in one ? one : { id: one.id, key: one, unseen: [] })),
});
const told = (...[is, was]: Parameters<typeof siteDrift>) =>
  siteDrift(is, was).drift.map(({ id, part, how, what }) => `${id} ${part} ${how}: ${what}`);

test('what governs a key of a cloud KMS is told thing by thing; order is no drift', () => {
  const same = key('k', {
    aliases: ['alias/b', 'alias/a'],
    grants: [{ operations: ['Encrypt', 'Decrypt'], includes: { tenant: 'acme' }, grantee: 'arn:aws:iam::111122223333:role/app' }],
  });
  expect(siteDrift(seen(same), committedSite(key('k')))).toEqual({ drift: [], unseen: [] });
  const changed = key('k', {
    ...{ state: 'Disabled', rotationDays: 0, aliases: ['alias/a', 'alias/c'], tags: { team: 'ops' } },
    multiRegion: { type: 'PRIMARY', primary: 'eu-central-1', replicas: ['us-east-1'] },
    policy: KeyPolicy.parse({ Version: '2012-10-17', Statement: [statement(), { Effect: 'Allow', Principal: '*', Action: 'kms:*' }] }),
    grants: [{ grantee: 'arn:aws:iam::111122223333:role/app', operations: ['Decrypt', 'Encrypt'] }],
  });
  expect(told(seen(changed, key('new')), committedSite(key('gone'), key('k')))).toEqual([
    'k state differs: Enabled is committed, Disabled runs',
    'k multiRegion only runs: PRIMARY of eu-central-1, replicas: us-east-1',
    'k rotationDays differs: every 365 days is committed, never rotated runs',
    'k aliases only runs: alias/c',
    'k aliases only committed: alias/b',
    'k tags only runs: team=ops',
    'k tags only committed: team=pay',
    'k policy only runs: Allow kms:* to AWS *',
    'k grants only runs: Decrypt, Encrypt to arn:aws:iam::111122223333:role/app',
    'k grants only committed: Decrypt, Encrypt to arn:aws:iam::111122223333:role/app for at least {"tenant":"acme"}',
    'new key only runs: SYMMETRIC_DEFAULT, Enabled, alias/a, alias/b',
    'gone key only committed: SYMMETRIC_DEFAULT, Enabled, alias/a, alias/b',
  ]);
});

test('a grant that is expected may come and go; one with another field, value or an operation more is told', () => {
  const disk = {
    grantee: 'arn:aws:sts::1:assumed-role/aws:ec2-infrastructure/i-1',
    operations: ['Decrypt'],
    includes: { 'aws:ebs:id': 'vol-1' },
  };
  const expected = {
    ...disk,
    grantee: 'arn:*:assumed-role/aws:ec2-infrastructure/i-*',
    operations: ['Decrypt', 'Encrypt'],
    includes: { 'aws:ebs:id': 'vol-*' },
  };
  const committed = committedSite(key('k', { grants: [], expectedGrants: [expected] }));
  const grants = (...some: CloudKey['grants']) => told(seen(key('k', { grants: some })), committed).length;
  expect([grants(), grants(disk), grants(disk, { ...disk, includes: { 'aws:ebs:id': 'vol-2' } })]).toEqual([0, 0, 0]);
  const others: CloudKey['grants'] = [
    { ...disk, operations: ['Decrypt', 'CreateGrant'] },
    { ...disk, grantee: 'arn:aws:iam::1:role/app' },
    { ...disk, includes: { 'aws:ebs:id': 'snap-1' } },
    { grantee: disk.grantee, operations: disk.operations },
    { ...disk, includes: { 'aws:ebs:id': 'vol-1', more: 'x' } },
    { ...disk, retiring: 'arn:aws:iam::1:role/app' },
  ];
  expect(others.map((one) => grants(one))).toEqual(others.map(() => 1));
  // A star stands for any text, no text too, and each part for a part of its own.
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 4 }), fc.string(), (parts, between) => {
      const [grantee, pattern] = [`.${parts.join(between)}.`, `.${parts.map((part) => part.replaceAll('*', '')).join('*')}.`];
      expect(isExpected({ grantee: grantee.replaceAll('*', ''), operations: [] }, [{ grantee: pattern, operations: [] }])).toBe(true);
      expect(isExpected({ grantee: `${grantee.replaceAll('*', '')}!`, operations: [] }, [{ grantee: pattern, operations: [] }])).toBe(
        false,
      );
    }),
  );
});

test('what was not shown is unseen, never absent and never the same; of a site that is not committed every key only runs', () => {
  const { policy: _, ...rest } = key('k', { state: 'Disabled' });
  const hidden: SeenKey = { id: 'k', key: rest, unseen: [{ part: 'policy', why: 'AccessDeniedException' }] };
  const nothing: SeenKey = { id: 'h', unseen: [{ part: 'key', why: 'AccessDeniedException' }] };
  expect(told(seen(hidden, nothing), committedSite(key('k'), key('h')))).toEqual(['k state differs: Enabled is committed, Disabled runs']);
  expect(siteDrift(seen(hidden, nothing), committedSite(key('k'), key('h'))).unseen).toEqual([
    { place: 'aws-kms/111122223333/eu-central-1 k policy', why: 'AccessDeniedException' },
    { place: 'aws-kms/111122223333/eu-central-1 h', why: 'AccessDeniedException' },
  ]);
  const locked = { region: 'eu-central-1', keys: [], unseen: 'no list' };
  expect(siteDrift(locked, committedSite(key('k')))).toEqual({
    drift: [],
    unseen: [{ place: 'aws-kms/?/eu-central-1', why: 'no list' }],
  });
  expect(told(seen(key('k')), undefined)).toEqual(['k key only runs: SYMMETRIC_DEFAULT, Enabled, alias/a, alias/b']);
  // AWS says nothing of the rotation of a key that is to be deleted.
  const { rotationDays: __, ...doomed } = key('k', { state: 'PendingDeletion', deletionAt: '2027-01-01T00:00:00.000Z' });
  expect(told(seen(doomed), committedSite(key('k')))).toEqual([
    'k state differs: Enabled is committed, PendingDeletion runs',
    'k deletionAt only runs: 2027-01-01T00:00:00.000Z',
  ]);
});

test('every value of a JSON text has the line on which it begins', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      const text = JSON.stringify(value, null, 2);
      const lines = linesOfJson(text, 10);
      const at = (pointer: string, one: unknown): void => {
        expect(text.split('\n')[lines.get(pointer)! - 1]).toContain(JSON.stringify(one, null, 2).split('\n')[0]!);
        if (typeof one === 'object' && one !== null)
          for (const [name, inner] of Object.entries(one)) at(`${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, inner);
      };
      at('', value);
    }),
    { numRuns: 100 },
  );
});

test('drift as SARIF 2.1.0 stands at the committed line, relative to where the command runs, and what was not looked at is a result', () => {
  const site = committedSite(key('h'), key('k'));
  const text = JSON.stringify(site, null, 2);
  const found = siteDrift(
    seen(key('k', { policy: KeyPolicy.parse({ Statement: other }) }), { id: 'h', unseen: [{ part: 'key', why: 'AccessDenied' }] }),
    site,
  );
  const files: Record<string, string> = {
    'po licies/policies.cedar': `\n${policy('a')}`,
    'po licies/roles.json': JSON.stringify([{ id: 'x' }, { id: 'auditor' }], null, 2),
  };
  const log = sarifLog(
    'policy drift',
    driftTold(
      'po licies',
      {
        ofBundles: [
          { environment: 'running', part: 'policies', id: 'a', how: 'differs', fields: ['conditions'] },
          { environment: 'running', part: 'roles', id: 'auditor', how: 'only committed' },
          { environment: 'running', part: 'grants', id: 'g', how: 'only runs' },
        ],
        ...{ ...found, sites: [{ file: 'po licies/cloud/aws-kms/111122223333/eu-central-1.json', site, text }] },
        notAsked: ['aws-kms/111122223333/eu-west-1'],
      },
      placesIn('po licies', (file) => files[file]),
    ),
    '/somewhere/repository',
  );
  expect(sarifProblems(log)).toEqual([]);
  expect(JSON.stringify(log)).not.toContain('somewhere');
  type Located = { physicalLocation: { artifactLocation: { uri: string }; region?: { startLine: number } } };
  const [{ results }] = (log as { runs: [{ results: { ruleId: string; locations: [Located] }[] }] }).runs;
  const lineOf = (part: RegExp) => text.split('\n').findLastIndex((line) => part.test(line)) + 1;
  const cloudFile = 'po%20licies/cloud/aws-kms/111122223333/eu-central-1.json';
  expect(
    results.map(({ ruleId, locations: [{ physicalLocation }] }) => [
      ruleId,
      physicalLocation.artifactLocation.uri,
      physicalLocation.region?.startLine,
    ]),
  ).toEqual([
    ['drift/differs', 'po%20licies/policies.cedar', 2],
    ['drift/only-committed', 'po%20licies/roles.json', 5],
    ['drift/only-runs', 'po%20licies/grants.json', undefined],
    ...Array.from({ length: 4 }, () => ['cloud-drift/policy', cloudFile, lineOf(/"policy"/)]),
    ['drift/not-looked-at', cloudFile, lineOf(/"id": "h"/) - 1],
    ['drift/not-looked-at', 'po%20licies/cloud/aws-kms/111122223333/eu-west-1.json', undefined],
  ]);
});
