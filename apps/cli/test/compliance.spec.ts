import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePolicies } from '@claviger/authz';
import {
  type Alert,
  type BackupDescription,
  bundleFormat,
  ComplianceReport,
  type ControlCheck,
  ControlCheck as ControlCheckSchema,
  type KekDescription,
  type KeyDescription,
  type PolicyBundle,
  type Principal,
  type RegulationPack,
  reportFormat,
  type TokenDescription,
} from '@claviger/contracts';
import { ed25519KeyHash, encodeCheckpoint, encodeVerifierKey, leafHash, nodeHash, rawEd25519PublicKey, signNote } from '@claviger/ledger';
import { workspaceRoot } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { decisionsOf } from '../src/compliance/decision-checks';
import { closedSince, gapsOf } from '../src/compliance/gaps';
import { type Observed, recordQuery, seen, unseen } from '../src/compliance/observed';
import { outlineOf } from '../src/compliance/outline';
import { packUnderWay } from '../src/compliance/pack-report';
import { packsInForce, packsUnread } from '../src/compliance/packs-in-force';
import { htmlOf, markdownOf } from '../src/compliance/render';
import { reportDigest } from '../src/compliance/report-digest';
import { verifyReport } from '../src/compliance/verify-report';
import { verifySeal } from '../src/compliance/verify-seal';
import { keysSeenBy } from '../src/compliance-gather';
import { readPacks } from '../src/pack-files';
import { described, version } from './keys-described';

const nowMs = Date.parse('2026-06-01T00:00:00.000Z');
const dayMs = 86_400_000;
const ago = (days: number) => new Date(nowMs - days * dayMs).toISOString();
const starter = (name: string) => readFileSync(join(workspaceRoot(), 'deploy/policies/starter', name), 'utf8');
const person = (id: string, roles: string[], more: Partial<Principal> = {}): Principal => ({
  ...{ id, kind: 'person', roles, disabled: false, revision: 1, identities: [{ kind: 'token' }] },
  ...more,
});
const people = [
  person('kim', ['key-administrator']),
  person('sam', ['security-officer']),
  person('sue', ['security-officer']),
  person('ada', ['auditor']),
];
const bundleOf = (more: Partial<PolicyBundle> = {}): PolicyBundle => ({
  ...{ format: bundleFormat, revision: 1, policies: starter('policies.cedar'), schema: starter('schema.cedarschema') },
  ...{ roles: JSON.parse(starter('roles.json')), principals: people, grants: [], publishedAt: ago(1), ...more },
});
const token: TokenDescription = {
  ...{ label: 'customer', root: true, regions: [], mismatches: [], workers: ['w1'], away: [] },
  record: {} as NonNullable<TokenDescription['record']>,
  validation: { state: 'active', why: 'is validated at level 3', level: 3, daysLeft: 100 },
};
const kek: KekDescription = {
  kekId: 'kek_production_internal_1',
  environment: 'production',
  classification: 'internal',
  revision: 1,
  state: 'active',
  createdAt: ago(10),
};
const backup = {
  ...{ backupId: 'bk_1', state: 'complete', epoch: 'e', createdAt: ago(1), by: 'olga', readableUntil: ago(-100) },
  verified: { at: ago(1), ok: true, keys: 1, proven: 1, failed: [], failures: 0, tookMs: 1 },
} as unknown as BackupDescription;
const alert: Alert = {
  ...{ alertId: 'a1', detector: 'first-use', severity: 'high', title: 'First use', explanation: 'e', expected: 'x', seen: 'y' },
  ...{ firstSeen: ago(0), lastSeen: ago(0), evidence: [], status: 'open' },
};
const found = (record: Record<string, unknown>) => seen([{ index: 7, record: { time: ago(1), ...record } }]);
const all = (more: Partial<Observed> = {}): Observed => ({
  nowMs,
  ...{ bundle: seen(bundleOf()), tokens: seen([token]), keks: seen([kek]), backups: seen([backup]), alerts: seen([alert]) },
  drill: seen({ ok: true, startedAt: ago(30), keys: 50, rtoSeconds: 1, rpoSeconds: 1 }),
  ledger: seen({ size: 10, problems: [], findings: [] }),
  records: new Map([
    [recordQuery({ kind: 'refused-state' }), seen([])],
    [recordQuery({ kind: 'ceremony' }), found({ kind: 'ceremony' })],
  ]),
  ...more,
});

const guardText =
  '@id("some-guard") @control("SOME-1:1") forbid (principal, action == Claviger::Action::"keys:Export", resource) unless { context.mfa };';
const guards = (() => {
  const parsed = parsePolicies(guardText);
  return parsed.ok ? parsed.policies : [];
})();
const packOf = (check: ControlCheck, more: Partial<RegulationPack['controls'][number]> = {}): RegulationPack => ({
  ...{
    format: 'claviger.regulation-pack/1',
    id: 'some',
    title: 'Some',
    version: '1.0.0',
    summary: 's',
    leftOut: 'l',
    sources: [],
    scope: {},
  },
  ...{ dueDays: { high: 30, medium: 90, low: 180 }, profiles: [] },
  controls: [
    {
      id: 'SOME-1:1',
      title: 't',
      requirement: 'r',
      severity: 'high',
      ownerRole: 'security-officer',
      alsoServedBy: [],
      checks: [check],
      evidence: [],
      ...more,
    },
  ],
});
/** Each bundle is compiled once. */
const compiled = new Map<string, ReturnType<typeof decisionsOf>>();
function decisionsFor(given: PolicyBundle) {
  const name = JSON.stringify(given);
  const known = compiled.get(name) ?? decisionsOf(given, nowMs);
  compiled.set(name, known);
  return known;
}
function reportOf(
  pack: RegulationPack,
  observed: Observed,
  keys: readonly KeyDescription[],
  statements: Parameters<typeof packUnderWay>[0]['statements'] = [],
) {
  const decisions = observed.bundle.ok ? seen(decisionsFor(observed.bundle.value)) : observed.bundle;
  const underWay = packUnderWay({ pack, guards, observed, decisions, statements });
  for (const key of keys) underWay.add(key);
  return underWay.report(keysSeenBy('ada', decisions));
}
const look = (check: unknown, { observed = all(), keys = [good] }: { observed?: Observed; keys?: readonly KeyDescription[] } = {}) =>
  reportOf(packOf(ControlCheckSchema.parse(check)), observed, keys).controls[0]!.checks[0]!;

const good = described({
  originatorPeriodEndsAt: ago(-10),
  protectsAtMostDays: 300,
  certified: { at: ago(5), by: 'kim' },
  description: 'cards',
  contact: 'rota',
});
const bundle = (more: Partial<PolicyBundle>) => all({ bundle: seen(bundleOf(more)) });
const without = (id: string) => {
  const parsed = parsePolicies(starter('policies.cedar'));
  return (parsed.ok ? parsed.policies : [])
    .filter((policy) => policy.id !== id)
    .map(({ text }) => text)
    .join('\n');
};
const suspended = version({ state: 'suspended', transitions: [{ to: 'suspended', at: ago(40), reason: 'r' }] });
const bare = version();
const { custody: _, kekId: __, ...lost } = bare;

/** For each check what it passes, in `all()` with the key `good` where nothing else is said, and what it must find. */
const bad: Record<
  ControlCheck['check'],
  {
    check?: object;
    is: { observed?: Observed; keys?: KeyDescription[] };
    passes?: { observed?: Observed; keys?: KeyDescription[] };
    why: RegExp;
  }
> = {
  'key-strength': { check: { bitsMin: 128 }, is: { keys: [described({ algorithm: 'RSA_2048', usage: 'sign' })] }, why: /112 bits/ },
  'key-cnsa2': { is: { keys: [described({ algorithm: 'EC_P384', usage: 'sign' })] }, why: /does not list EC_P384/ },
  'key-cryptoperiod': {
    is: { keys: [described({ cryptoperiod: { originatorDays: 731, recipientDays: 800 } })] },
    why: /731 days, and 730/,
  },
  'key-rotation-scheduled': { check: { withinDays: 365 }, is: { keys: [described()] }, why: /nothing ends/ },
  'key-not-overdue': { is: { keys: [described({ originatorPeriodEndsAt: ago(1) })] }, why: /ended .* still protects/ },
  'key-compromise-answered': {
    is: { keys: [described({ versions: [version({ state: 'compromised' })] })] },
    why: /newest, is compromised/,
  },
  'key-suspension-decided': {
    check: { withinDays: 30 },
    is: { keys: [described({ suspended: true, versions: [suspended] })] },
    why: /nothing is decided/,
  },
  'key-owned': { is: { keys: [described({ owner: 'nobody' })] }, why: /no principal/ },
  'key-described': { check: { says: ['description'] }, is: { keys: [described()] }, why: /description/ },
  'key-certified': {
    check: { everyDays: 365 },
    is: { keys: [described({ certified: { at: ago(366), by: 'kim' } })] },
    why: /certified it last/,
  },
  'key-custody': { is: { keys: [described({ versions: [lost] })] }, why: /not known what protects it/ },
  'key-not-exportable': { is: { keys: [described({ exportable: true })] }, why: /leave/ },
  'key-generated-here': { is: { keys: [described({ origin: 'external' })] }, why: /imported/ },
  'key-consumers-few': { check: { most: 1 }, is: { keys: [described({ consumers: ['a', 'b'] })] }, why: /2 principals/ },
  'key-floor': {
    is: {
      observed: bundle({ profiles: [{ id: 'p', description: 'd', strengthBitsMin: 256 }] }),
      keys: [described({ algorithm: 'AES_128' })],
    },
    why: /profile p: 256 bits/,
  },
  'key-environments-apart': { is: { keys: [described(), described({ environment: 'staging' })] }, why: /of production, and .*staging/ },
  'token-validated': {
    check: { levelMin: 3 },
    is: { observed: all({ tokens: seen([{ ...token, validation: { state: 'expired', why: 'had a validation' } }]) }) },
    why: /had a validation/,
  },
  'token-as-recorded': {
    is: { observed: all({ tokens: seen([{ ...token, mismatches: [{ what: 'model', recorded: 'K7', reported: 'SoftHSM' }] }]) }) },
    why: /model is K7/,
  },
  'kek-rotated': {
    check: { withinDays: 365 },
    is: { observed: all({ keks: seen([{ ...kek, createdAt: ago(366) }]) }) },
    why: /it was made/,
  },
  'pack-guards': {
    passes: { observed: bundle({ policies: `${starter('policies.cedar')}\n${guardText}` }) },
    is: { observed: bundle({ policies: `${starter('policies.cedar')}\n${guardText.replace('context.mfa', 'context.granted')}` }) },
    why: /another content/,
  },
  'second-factor': { is: { observed: bundle({ policies: without('production-needs-mfa') }) }, why: /without a second factor: keys:Create/ },
  'administrators-never-use': {
    is: {
      observed: bundle({
        policies: without('separation-of-duties'),
        grants: [{ id: 'g', principal: 'kim', action: 'crypto:Decrypt', key: 'k_AAAAAAAAAAAAAAAAAAAAAA', revision: 1 }],
      }),
    },
    why: /administer production keys, and crypto:Decrypt/,
  },
  approvals: {
    check: { actions: ['keys:ScheduleDeletion'], quorum: 2, classifications: ['restricted'] },
    is: {
      observed: bundle({
        policies: starter('policies.cedar')
          .replace('unless { resource.environment == "production" && resource.classification == "restricted" }', '')
          .replace(/@id\("restricted-production-deleted-with-approval"\)[^;]*;/, ''),
      }),
    },
    why: /alone \(by key-administrator-deletes\)/,
  },
  'quorum-attainable': {
    is: { observed: bundle({ principals: people.filter(({ id }) => id !== 'sue') }) },
    why: /approval of 2 of security-officer, and 1 may/,
  },
  'roles-separated': {
    check: { pairs: [['auditor', 'security-officer']] },
    is: { observed: bundle({ principals: [...people, person('both', ['auditor', 'security-officer'])] }) },
    why: /holds auditor and security-officer/,
  },
  'role-holders': {
    check: { role: 'security-officer', least: 3 },
    passes: { observed: bundle({ principals: [...people, person('sid', ['security-officer'])] }) },
    is: {},
    why: /2 people hold/,
  },
  'nobody-may': {
    check: { actions: ['access:IssueToken'] },
    is: {
      observed: bundle({
        policies: starter('policies.cedar').replace(
          'Claviger::Action::"access:RevokeSession",',
          'Claviger::Action::"access:RevokeSession", Claviger::Action::"access:IssueToken",',
        ),
      }),
    },
    why: /may access:IssueToken/,
  },
  'grants-end': { is: { observed: bundle({ grants: [{ id: 'g', principal: 'ada', role: 'auditor', revision: 1 }] }) }, why: /for ever/ },
  'principals-identified': {
    is: { observed: bundle({ principals: [...people, person('ghost', [], { identities: [] })] }) },
    why: /no identity/,
  },
  'backup-recent': {
    check: { withinDays: 7 },
    is: { observed: all({ backups: seen([{ ...backup, createdAt: ago(8) }]) }) },
    why: /newest complete backup/,
  },
  'backup-verified': {
    check: { withinDays: 31 },
    is: { observed: all({ backups: seen([{ ...backup, verified: { ...backup.verified!, ok: false, failures: 2 } }]) }) },
    why: /2 key versions/,
  },
  'drill-passed': {
    check: { withinDays: 20 },
    passes: { observed: all({ drill: seen({ ok: true, startedAt: ago(3), keys: 1, rtoSeconds: 1, rpoSeconds: 1 }) }) },
    is: {},
    why: /the drill was on/,
  },
  'ledger-verified': { is: { observed: all({ ledger: seen({ size: 10, problems: ['leaf 3: changed'], findings: [] }) }) }, why: /leaf 3/ },
  'state-untampered': {
    check: { withinDays: 90 },
    is: {
      observed: all({
        records: new Map([
          [recordQuery({ kind: 'refused-state' }), found({ key: 'k', holder: 'w1', bucket: 'keys', reason: 'not-signed' })],
        ]),
      }),
    },
    why: /w1 was given state of keys that is not-signed/,
  },
  'alerts-answered': {
    check: { severity: 'high', withinHours: 72 },
    is: { observed: all({ alerts: seen([{ ...alert, firstSeen: ago(4) }]) }) },
    why: /open since/,
  },
  recorded: {
    check: { what: 'a ceremony', kind: 'ceremony' },
    is: { observed: all({ records: new Map([[recordQuery({ kind: 'ceremony' }), seen([])]]) }) },
    why: /no record of a ceremony/,
  },
};

test.each(Object.entries(bad))('%s passes what is in order, and finds what is not', (name, { check = {}, is, passes = {}, why }) => {
  const asked = { check: name, ...check };
  expect(look(asked, passes)).toMatchObject({ outcome: 'pass', failed: 0 });
  const result = look(asked, is);
  expect(result).toMatchObject({ outcome: 'fail' });
  expect(result.failures.map((failure) => failure.why).join('\n')).toMatch(why);
});

test('what could not be read is unknown, and why; a failure in what was read is one all the same', () => {
  const denied = unseen('you may not read it');
  const nothing = all({
    bundle: denied,
    tokens: denied,
    keks: denied,
    backups: denied,
    alerts: denied,
    drill: denied,
    ledger: denied,
    records: new Map([recordQuery({ kind: 'refused-state' }), recordQuery({ kind: 'ceremony' })].map((query) => [query, denied])),
  });
  for (const [name, { check = {} }] of Object.entries(bad)) {
    const result = look({ check: name, ...check }, { observed: nothing });
    // Without the policies it is not even known whether the list of keys is complete.
    expect([name, result.outcome, result.why]).toEqual([name, 'unknown', expect.stringContaining('you may not read it')]);
  }
  expect(look({ check: 'key-custody' }, { observed: nothing, keys: [described({ versions: [lost] })] })).toMatchObject({
    outcome: 'fail',
    why: expect.stringContaining('all keys'),
  });
  expect(
    look({ check: 'kek-rotated', withinDays: 9 }, { observed: all({ keks: seen([{ ...kek, createdAt: undefined }]) }) }),
  ).toMatchObject({ outcome: 'unknown' });
});

test('the list of keys is complete for whom may describe any key, and for nobody else', () => {
  const decisions = seen(decisionsOf(bundleOf({ principals: [...people, person('owen', ['application-owner'])] }), nowMs));
  expect(['ada', 'kim', 'sam', 'owen', 'nobody'].map((id) => keysSeenBy(id, decisions).complete)).toEqual([true, true, true, false, false]);
});

test('only the keys in scope are looked at, by environment, classification and tag', () => {
  const keys = [
    described({ exportable: true, tags: { pci: 'yes' } }),
    described({ exportable: true }),
    described({ exportable: true, environment: 'staging', tags: { pci: 'yes' } }),
  ];
  const pack = { ...packOf({ check: 'key-not-exportable' }), scope: { environments: ['production' as const] } };
  const counted = (more: Partial<PolicyBundle>) => reportOf(pack, bundle(more), keys).controls[0]!.checks[0]!.failed;
  expect(counted({})).toBe(2);
  expect(counted({ packs: [{ id: 'some', version: '1.0.0', tag: { name: 'pci', value: 'yes' } }] })).toBe(1);
  expect(counted({ packs: [{ id: 'some', version: '1.0.0', tag: { name: 'pci', value: 'no' } }] })).toBe(0);
});

test('a control is served by the policies in force that name it, or what it says serves it as well', () => {
  const { controls } = reportOf(
    packOf({ check: 'grants-end' }, { alsoServedBy: ['NIST-SP-800-53r5:CP-9'] }),
    bundle({ policies: `${starter('policies.cedar')}\n${guardText}` }),
    [],
  );
  expect(controls[0]!.policies).toMatchObject([
    { id: 'operator-backs-up', by: 'NIST-SP-800-53r5:CP-9' },
    { id: 'some-guard', by: 'SOME-1:1' },
  ]);
});

test('CNSA 2.0: a key outside the suite has the last day of its use, or the first of all where nobody says its use', () => {
  const cnsa = readPacks().find(({ pack }) => pack.id === 'cnsa-2')!.pack;
  const keys = [
    described({ algorithm: 'EC_P384', usage: 'sign', tags: { 'cnsa-use': 'web' } }),
    described({ algorithm: 'RSA_3072', usage: 'encrypt' }),
    described(),
  ];
  expect(reportOf(cnsa, all(), keys).transition).toMatchObject([
    { algorithm: 'RSA_3072', lastDay: '2030-12-31', rotateTo: ['ML_KEM_1024'] },
    { algorithm: 'EC_P384', lastDay: '2033-12-31', use: expect.stringContaining('web'), rotateTo: ['ML_DSA_87'] },
  ]);
});

test('a control of CNSA 2.0 is about the keys of its own use only', () => {
  const keys = [
    described({ algorithm: 'EC_P384', usage: 'sign' }),
    described({ algorithm: 'EC_P384', usage: 'agree' }),
    described({ algorithm: 'EC_P384', usage: 'sign', tags: { 'cnsa-use': 'software-signing' } }),
  ];
  const cnsa = readPacks().find(({ pack }) => pack.id === 'cnsa-2')!.pack;
  const failed = Object.fromEntries(
    reportOf(cnsa, all(), keys).controls.flatMap(({ id, checks }) =>
      checks.flatMap(({ check, failed }) => (check === 'key-cnsa2' ? [[id.split(':')[1], failed]] : [])),
    ),
  );
  expect(failed).toEqual({
    ...{ symmetric: 0, hashing: 0, 'key-establishment': 1, signatures: 2 },
    ...{ 'software-signing': 1, 'mandated-2031': 3 },
  });
});

test('what was refused is no record of what was done, where a check says which outcome it means', () => {
  const review = { check: 'recorded', what: 'a review', action: 'access:CompleteReview' };
  const records = new Map([
    [recordQuery({ action: 'access:CompleteReview' }), found({ outcome: 'denied' })],
    [recordQuery({ action: 'access:CompleteReview', outcome: 'success' }), seen([])],
  ]);
  expect(look(review, { observed: all({ records }) }).outcome).toBe('pass');
  expect(look({ ...review, outcome: 'success' }, { observed: all({ records }) }).outcome).toBe('fail');
});

const weak = described({ algorithm: 'RSA_2048', usage: 'sign', owner: 'kim', team: 'payments' });
const weakPack = packOf(ControlCheckSchema.parse({ check: 'key-strength', bitsMin: 128 }), { manual: 'The plan.' });

test('a gap has an owner and a due date that does not slide, and is closed when it is mended', () => {
  const gapsAt = (ms: number, before?: Pick<ComplianceReport, 'gaps'>) =>
    gapsOf(weakPack, reportOf(weakPack, all(), [weak]).controls, before, ms);
  const first = gapsAt(nowMs);
  expect(first).toMatchObject([
    {
      kind: 'failed',
      object: weak.keyId,
      owner: 'kim (payments)',
      severity: 'high',
      due: '2026-07-01',
      overdue: false,
      firstSeen: new Date(nowMs).toISOString(),
    },
    { kind: 'manual', owner: 'security-officer', due: '2026-07-01', what: 'The plan.' },
  ]);
  const later = nowMs + 40 * dayMs;
  expect(gapsAt(later, { gaps: first })).toMatchObject([{ id: first[0]!.id, due: '2026-07-01', overdue: true }, { overdue: true }]);
  expect(gapsAt(later)[0]).toMatchObject({ due: '2026-08-10', overdue: false });
  const mended = gapsOf(weakPack, reportOf(weakPack, all(), [good]).controls, { gaps: first }, later);
  expect(closedSince({ gaps: first }, mended, [{ id: 'some' }])).toMatchObject([{ id: first[0]!.id }]);
  expect(closedSince({ gaps: first }, [], [{ id: 'other' }])).toEqual([]);
});

test('what a person supplied closes what no program sees, until it is over', () => {
  const statement = (validUntil: string) => [{ control: 'SOME-1:1', by: 'Sam', at: '2026-05-01', text: 'plan 7', validUntil }];
  const status = (validUntil: string) => reportOf(weakPack, all(), [good], statement(validUntil)).controls[0]!.status;
  expect([status('2026-06-01'), status('2026-05-31')]).toEqual(['met', 'manual']);
});

const hostile = '<script>alert(1)</script> | [x](javascript:y) `z` \u202e\u0007\n# h';
function whole(more: Partial<ComplianceReport> = {}): ComplianceReport {
  const packs = [reportOf(weakPack, all(), [{ ...weak, name: hostile as KeyDescription['name'], team: hostile }])];
  return ComplianceReport.parse({
    ...{
      format: 'claviger.compliance-report/1',
      madeAt: ago(0),
      madeBy: 'ada',
      since: ago(365),
      unread: [],
      packs,
      evidence: [],
      closed: [],
    },
    gaps: gapsOf(weakPack, packs[0]!.controls, undefined, nowMs),
    ...more,
  });
}

test('names of other people are text in Markdown and HTML, and a page has no script, fetches nothing and says so', () => {
  const html = htmlOf('x', outlineOf(whole()));
  expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  expect(html).not.toMatch(/<script|<img|<link|\son\w+=|href=|src=|\u202e/);
  expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  const markdown = markdownOf(outlineOf(whole()));
  expect(markdown).not.toMatch(/<script|[^\\]\[x[^\\]\]\(|\u202e|^# h/m);
  expect(markdown).toContain('\\| \\[x\\]\\(javascript\\:y\\) \\`z\\`');
  expect(markdown).toContain('| OUTCOME'.toLowerCase());
});

test('a bare link or address in a name is none in Markdown', () => {
  expect(markdownOf([{ is: 'text', text: 'www.evil.example https://evil.example a@evil.example\n- x' }])).toBe(
    'www\\.evil\\.example https\\://evil\\.example a\\@evil\\.example\uFFFD\\- x\n',
  );
});

test('a pack that is in force and not here is unread, and unknown as a whole', () => {
  const all = ['a', 'b'].map((id) => ({ pack: { id } }));
  const { meant, unread } = packsInForce(all, ['b', 'gone']);
  expect([meant, unread.map(({ what }) => what), packsUnread({ unread })]).toEqual([[all[1]], ['the pack gone'], 1]);
  expect(packsInForce(all, [])).toEqual({ meant: all, unread: [] });
  expect(packsUnread({ unread: [{ what: 'the tokens', why: 'x' }] })).toBe(0);
});

test('a sealed report is one that the ledger recorded as it is: what is changed, of somebody else, or not proved is told', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const origin = 'some/ledger';
  const raw = rawEd25519PublicKey(publicKey.export({ type: 'spki', format: 'der' }));
  const trust = { ledger: { origin, vkey: encodeVerifierKey(origin, raw) } };
  const empty = { unread: [], packs: [], evidence: [], gaps: [], closed: [] };
  const report: ComplianceReport = { format: reportFormat, madeAt: ago(0), madeBy: 'ada', since: ago(30), ...empty };
  const seal = async (about: ComplianceReport, more: object = {}) => {
    const said = { kind: 'operation', service: 'audit', action: 'audit:RecordReport', outcome: 'success', principal: 'ada', time: ago(0) };
    const line = JSON.stringify({ ...said, digest: reportDigest(about), ...more });
    const [other, leaf] = ['{}', line].map((one) => leafHash(Buffer.from(one))) as [Buffer, Buffer];
    const checkpoint = await signNote(encodeCheckpoint({ origin, size: 2, root: nodeHash(other, leaf) }), [
      { name: origin, keyHash: ed25519KeyHash(origin, raw), sign: async (bytes) => sign(null, bytes, privateKey) },
    ]);
    return { index: 1, line, proof: [other.toString('base64url')], checkpoint };
  };
  const good = { ...report, seal: await seal(report) };
  expect(verifySeal(good, trust)).toEqual({ index: 1, recordedAt: ago(0), recordedBy: 'ada' });
  // Its order and spaces are none of it.
  expect(verifySeal(JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(good).reverse()), null, 4)), trust)).toHaveProperty(
    'index',
  );
  const wrong = async (changed: Partial<ComplianceReport>) => verifySeal({ ...good, ...changed }, trust);
  const problems = [
    [{ madeAt: ago(1) }, /was changed/],
    [{ seal: undefined }, /not sealed/],
    [{ seal: await seal(report, { principal: 'kim' }) }, /kim recorded it/],
    [{ seal: await seal(report, { outcome: 'denied' }) }, /no record of a report/],
    [{ seal: await seal(report, { action: 'audit:Read' }) }, /no record of a report/],
    [{ seal: { ...good.seal, index: 0 } }, /does not lead/],
    [{ seal: { ...good.seal, line: good.seal.line.replace('"time"', '"at":1,"time"') } }, /does not lead/],
    [{ seal: { ...good.seal, checkpoint: good.seal.checkpoint.replace('\n2\n', '\n3\n') } }, /not signed by the ledger/],
  ] as const;
  for (const [changed, said] of problems)
    expect(await wrong(changed as Partial<ComplianceReport>)).toEqual({ problem: expect.stringMatching(said) });
});

test('the evidence of a report is verified offline: a changed line, hash, proof or checkpoint is found', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const origin = 'some/ledger';
  const raw = rawEd25519PublicKey(publicKey.export({ type: 'spki', format: 'der' }));
  const vkey = encodeVerifierKey(origin, raw);
  const lines = ['a', 'b'].map((kind) => JSON.stringify({ kind, time: ago(1) }));
  const [left, right] = lines.map((line) => leafHash(Buffer.from(line))) as [Buffer, Buffer];
  const text = encodeCheckpoint({ origin, size: 2, root: nodeHash(left, right) });
  const checkpoint = await signNote(text, [
    { name: origin, keyHash: ed25519KeyHash(origin, raw), sign: async (bytes) => sign(null, bytes, privateKey) },
  ]);
  const record = {
    index: 1,
    time: ago(1),
    tells: 'b',
    leafHash: right.toString('base64url'),
    line: lines[1] as string,
    proof: [left.toString('base64url')],
  };
  const verify = (more: object = {}, note = checkpoint) =>
    verifyReport(
      { checkpoint: note, evidence: [{ what: 'x', records: [{ ...record, ...more }], more: false }] },
      { ledger: { origin, vkey } },
    );
  expect(verify()).toEqual({ proven: 1, without: 0, problems: [] });
  expect(verify({ line: '{"kind":"c"}' }).problems).toEqual(['leaf 1: its line is not what was hashed']);
  expect(verify({ index: 0 }).problems).toHaveLength(1);
  expect(verify({ proof: [right.toString('base64url')] }).problems).toHaveLength(1);
  expect(verify({ proof: undefined }).problems).toEqual(['leaf 1: is under the checkpoint, and has no proof']);
  expect(verify({ index: 2, proof: undefined })).toEqual({ proven: 0, without: 1, problems: [] });
  for (const forged of [{ tells: 'c' }, { time: ago(2) }])
    expect(verify(forged).problems).toEqual(['leaf 1: its line does not say what the report says of it']);
  expect(verify({}, checkpoint.replace('\n2\n', '\n3\n')).problems[0]).toMatch(/not signed/);
});
