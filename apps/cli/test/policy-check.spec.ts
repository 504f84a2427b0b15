import { bundleFormat, type Grant, type PolicyBundle, type Principal } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { acknowledge, acknowledgementsIn } from '../src/policy-check/acknowledgements';
import { assignmentWidenings } from '../src/policy-check/assignments';
import { junitXml } from '../src/policy-check/junit';
import { parseTestFile } from '../src/policy-check/test-file';

const parsed = (yaml: string) => parseTestFile(yaml, 'x.cedar-test.yaml');
const issues = (yaml: string) => {
  const read = parsed(yaml);
  return read.ok ? [] : read.issues.map(({ place, message }) => `${place} ${message}`);
};
const test1 = (more: string) => `tests:\n  - name: one\n    principal: { id: kim, roles: [auditor] }\n    action: keys:Describe\n${more}`;

test('a test has what it leaves out by default, and is one for each action that it names', () => {
  const read = parsed(test1('    expect: allow\n').replace('keys:Describe', '[keys:Describe, keys:Rotate]'));
  expect(read).toMatchObject({
    ok: true,
    tests: [
      { action: 'keys:Describe', place: 'x.cedar-test.yaml:2', context: { mfa: false, method: 'token' }, expect: { decision: 'allow' } },
      { action: 'keys:Rotate', key: { environment: 'development', consumers: [] } },
    ],
  });
});

test.each([
  ['tests:\n  - name: [unclosed\n', 'x.cedar-test.yaml:3'],
  [test1('    expect: perhaps\n'), 'x.cedar-test.yaml:5 tests.0.expect: '],
  [
    test1('    expect: allow\n    context:\n      acr: gold\n      colour: red\n'),
    'x.cedar-test.yaml:7 tests.0.context: Unrecognized key: "colour"',
  ],
  [test1('    expect: { decision: allow, quorum: 2 }\n'), 'x.cedar-test.yaml:5 tests.0.expect: quorum and approvers are of needs-approval'],
  [test1('    expect: deny\n').replace('keys:Describe', 'keys:Explode'), 'x.cedar-test.yaml:4 tests.0.action: '],
  [test1('    expect: deny\n    key: {}\n').replace('keys:Describe', 'keys:List'), 'this action is about the system'],
  ['- a\n', 'x.cedar-test.yaml:1 '],
  ['', 'x.cedar-test.yaml'],
  [`a: &a [x, x]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(50)}]\n`, 'x.cedar-test.yaml'],
])('what is wrong with a file is told with its line: %s', (yaml, expected) => {
  expect(issues(yaml)[0]).toContain(expected);
});

const bundle = (changes: Partial<PolicyBundle>): PolicyBundle => ({
  ...{ format: bundleFormat, revision: 1, policies: 'x', schema: 'x', publishedAt: '2026-01-01T00:00:00.000Z' },
  ...{ principals: [], roles: [], grants: [] },
  ...changes,
});
const person = (id: string, roles: string[], disabled = false) => ({
  id,
  kind: 'person' as const,
  roles,
  disabled,
  revision: 1,
  identities: [],
});
const grant = (notAfter?: string): Grant => ({
  id: 'g',
  principal: 'ada',
  role: 'auditor',
  revision: 1,
  ...(notAfter ? { notAfter } : {}),
});

test('who gains a role, also through a group, by being enabled or by a longer grant, is told; who loses one is not', () => {
  const gains = (older: Partial<PolicyBundle>, newer: Partial<PolicyBundle>) =>
    assignmentWidenings(bundle(older), bundle(newer)).map(({ id }) => id);
  expect(gains({ principals: [person('ada', ['auditor'])] }, { principals: [person('ada', [])] })).toEqual([]);
  expect(gains({ principals: [person('ada', [])] }, { principals: [person('ada', ['auditor'])] })).toEqual(['ada gains role auditor']);
  expect(gains({ principals: [person('ada', ['auditor'], true)] }, { principals: [person('ada', ['auditor'])] })).toEqual([
    'ada gains kind person',
    'ada gains role auditor',
  ]);
  const group = (members: string[]) => [{ id: 'readers', tenant: 'acme', members, roles: ['auditor'], revision: 1 }];
  const ada = [person('ada', [])];
  expect(gains({ principals: ada, groups: group([]) }, { principals: ada, groups: group(['ada']) })).toEqual([
    'ada gains role auditor',
    'ada gains group acme/readers',
  ]);
  const [short, long] = [grant('2026-01-01T00:00:00.000Z'), grant('2027-01-01T00:00:00.000Z')];
  expect(gains({ grants: [long] }, { grants: [short] })).toEqual([]);
  expect(gains({ grants: [short] }, { grants: [long] })).toHaveLength(1);
  expect(gains({ grants: [long] }, { grants: [grant()] })).toHaveLength(1);
  const key = (tenant: string): Grant => ({
    ...{ id: 'g', principal: 'ada', action: 'crypto:Decrypt', key: 'k', revision: 1, context: { equals: { tenant } } },
  });
  expect(gains({}, { grants: [key('a')] })).not.toEqual(gains({}, { grants: [key('b')] }));
  expect(gains({}, { grants: [key('a')] })).toEqual(gains({}, { grants: [{ ...key('a'), revision: 2 }] }));
});

test('another claim of an identity, a key to approve with and another kind of caller are gains; the same in another order is not', () => {
  const gains = (older: Partial<Principal>, newer: Partial<Principal>) =>
    assignmentWidenings(
      bundle({ principals: [{ ...person('ci', []), ...older }] }),
      bundle({ principals: [{ ...person('ci', []), ...newer }] }),
    ).map(({ id }) => id);
  const oidc = (claims: Record<string, string>) => ({
    identities: [{ kind: 'oidc' as const, issuer: 'https://ci.example', claims }],
  });
  expect(gains(oidc({ ref: 'main', job: 'a' }), oidc({ job: 'a', ref: 'main' }))).toEqual([]);
  expect(gains(oidc({ ref: 'main' }), oidc({ ref: 'dev' }))).toEqual([
    'ci gains identity {"claims":{"ref":"dev"},"issuer":"https://ci.example","kind":"oidc"}',
  ]);
  const key = (x: string, label: string) => ({
    approvalKeys: [{ kind: 'signature' as const, label, jwk: { kty: 'OKP' as const, crv: 'Ed25519' as const, x } }],
  });
  // RFC 8037, appendix A.3.
  const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
  expect(gains({}, key(x, 'a'))).toEqual(['ci gains approval key kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k']);
  expect(gains(key(x, 'a'), key(x, 'b'))).toEqual([]);
  expect(gains({}, { kind: 'service' })).toEqual(['ci gains kind service']);
});

test('an acknowledged widening is no finding, and one that is not there is told', () => {
  const reasons = acknowledgementsIn('- reason: change 4711\n  widenings: ["a", "gone"]\n');
  expect(acknowledge([{ id: 'a' }, { id: 'b' }], reasons)).toEqual({
    open: [{ id: 'b' }],
    acknowledged: [{ id: 'a', reason: 'change 4711' }],
    stale: ['gone'],
  });
  expect(() => acknowledgementsIn('- widenings: [a]\n')).toThrow('reason');
});

test('outcomes as JUnit XML hold no markup of theirs', () => {
  const xml = junitXml([
    { name: 'a < b & "c"', place: 'f.cedar-test.yaml:3', action: 'keys:List', policies: [], failure: 'expected\u0007 <allow>' },
    { name: 'd', place: 'f.cedar-test.yaml:9', action: 'keys:List', policies: [] },
  ]);
  expect(xml).toContain('<testsuite name="f.cedar-test.yaml" tests="2" failures="1">');
  expect(xml).toContain('a &lt; b &amp; &quot;c&quot; (keys:List)');
  expect(xml).toContain('expected\uFFFD &lt;allow&gt;');
});
