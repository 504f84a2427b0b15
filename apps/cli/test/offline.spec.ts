import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMachine, startNatsServer, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { buildCommand, claviger } from './command-line';
import { sarifProblems } from './sarif-schema';

let folder: TemporaryFolder;
const starter = join(workspaceRoot(), 'deploy/policies/starter');

beforeAll(async () => {
  folder = await temporaryFolder('cli-offline');
  await buildCommand();
});
afterAll(() => folder.remove());

test('a missing setting is named with its variable and its flag, exit 78', async () => {
  const { code, stderr, stdout } = await claviger(['keys', 'list']);
  expect(code).toBe(78);
  expect(stderr).toContain('CLAVIGER_URL is not set');
  expect(stderr).toContain('--url');
  expect(stdout).toBe('');
});

test('with --json the failure is one JSON object on stderr', async () => {
  const { stderr } = await claviger(['--json', 'keys', 'list']);
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'ERR_CLI_CONFIGURATION', exitCode: 78 } });
});

test('wrong usage is exit 64; help is exit 0', async () => {
  expect((await claviger(['keys', 'explode'])).code).toBe(64);
  expect((await claviger(['keys', 'rotate', 'k_x'])).code).toBe(64);
  const help = await claviger(['--help']);
  expect(help.code).toBe(0);
  expect(help.stdout).toContain('Exit codes');
});

test('a token file that others can read is refused before anything is sent', async () => {
  const file = join(folder.path, 'open-token');
  writeFileSync(file, 'x.y.z');
  chmodSync(file, 0o644);
  const { code, stderr } = await claviger(['keys', 'list'], { CLAVIGER_URL: 'nats://127.0.0.1:1', CLAVIGER_TOKEN_FILE: file });
  expect(code).toBe(78);
  expect(stderr).toContain('chmod 600');
});

test('no broker: exit 3, with the code and what to do', async () => {
  const file = join(folder.path, 'token');
  writeFileSync(file, 'opaque', { mode: 0o600 });
  const env = { CLAVIGER_URL: 'nats://127.0.0.1:1', CLAVIGER_TOKEN_FILE: file, CLAVIGER_PRINCIPAL: 'kim', CLAVIGER_TIMEOUT_MS: '300' };
  const { code, stderr } = await claviger(['status'], env);
  expect(code).toBe(3);
  expect(stderr).toMatch(/^ERR_CONNECTION: /);
});

test('a secret is not printed unless asked for: refused before connecting', async () => {
  for (const command of [
    ['decrypt', 'k_x'],
    ['open', 'k_x'],
    ['random', '16'],
    ['access', 'issue-token'],
  ]) {
    const { code, stderr } = await claviger(command, { CLAVIGER_URL: 'nats://127.0.0.1:1' });
    // Settings are looked at first where a connection is needed; either way nothing was printed.
    expect([64, 78]).toContain(code);
    expect(stderr).not.toBe('');
  }
});

test('two results under one name are refused before anything is asked, however the name is written', async () => {
  symlinkSync(folder.path, join(folder.path, 'link'));
  const file = join(folder.path, 'result');
  for (const [command, other] of [
    ['encapsulate', '--ciphertext-out'],
    ['data-key-pair', '--public-out'],
  ] as const)
    for (const name of [file, join(folder.path, '.', 'result'), `${folder.path}/link/../link/result`]) {
      const { code, stderr } = await claviger([command, 'k_x', '--out', file, other, name], { CLAVIGER_URL: 'nats://127.0.0.1:1' });
      expect([code, stderr]).toEqual([64, expect.stringContaining('the same file')]);
    }
  expect(existsSync(file)).toBe(false);
  const distinct = await claviger(['encapsulate', 'k_x', '--out', file, '--ciphertext-out', `${file}.kem`]);
  expect(distinct).toMatchObject({ code: 78 });
});

test('a question is explained by the policies and people of a folder, without a service', async () => {
  const policies = join(folder.path, 'explained');
  cpSync(starter, policies, { recursive: true });
  const kim = { id: 'kim', kind: 'person', roles: ['key-administrator'], disabled: false, revision: 1, identities: [] };
  writeFileSync(join(policies, 'principals.json'), JSON.stringify([kim]));
  const root = ['policy', 'explain', policies, '--of', 'kim', '--action', 'keys:RotateRoot'];
  const why = await claviger(root);
  expect(why).toMatchObject({ code: 0, stdout: expect.stringContaining('DENIED: kim → keys:RotateRoot on System claviger') });
  expect(why.stdout).toContain('missing: a second factor; with one it is allowed');
  expect(JSON.parse((await claviger(['--json', ...root, '--mfa'])).stdout)).toMatchObject({ decision: 'allow', missing: [] });
});

test('the starter policies validate; a broken folder says what is wrong, exit 1', async () => {
  expect(await claviger(['policy', 'check', starter])).toMatchObject({ code: 0 });
  const broken = join(folder.path, 'policies');
  cpSync(starter, broken, { recursive: true });
  writeFileSync(join(broken, 'profiles.json'), JSON.stringify([{ id: 'validated', description: 'd', moduleLevel: 3 }]));
  const unmet = await claviger(['policy', 'check', broken]);
  expect([unmet.code, unmet.stderr]).toEqual([
    0,
    expect.stringContaining('profile validated: no token on record has an active validation'),
  ]);
  const group = (members: string[]) => [{ id: 'security', tenant: 'acme', members, roles: ['security-officer'], revision: 1 }];
  writeFileSync(join(broken, 'groups.json'), JSON.stringify(group([])));
  expect((await claviger(['policy', 'check', broken])).stdout).toMatch(/groups +1\n *conflicts +10/);
  writeFileSync(join(broken, 'groups.json'), JSON.stringify(group(['nobody'])));
  expect(await claviger(['policy', 'check', broken])).toMatchObject({ code: 1, stdout: expect.stringContaining('has the member nobody') });
  writeFileSync(
    join(broken, 'policies.cedar'),
    '@id("x") @control("c") permit (principal, action == Claviger::Action::"crypto:Explode", resource);',
  );
  const sarif = join(folder.path, 'broken.sarif');
  const { code, stdout } = await claviger(['--json', 'policy', 'check', broken, '--sarif', sarif]);
  expect(code).toBe(1);
  const log = JSON.parse(readFileSync(sarif, 'utf8')) as { runs: [{ results: { ruleId: string }[] }] };
  expect(sarifProblems(log)).toEqual([]);
  expect(new Set(log.runs[0].results.map(({ ruleId }) => ruleId))).toEqual(new Set(['policy/invalid']));
  const { valid, issues } = JSON.parse(stdout) as { valid: boolean; issues: { message: string }[] };
  expect(valid).toBe(false);
  expect(issues.length).toBeGreaterThan(0);
});

test('policy check is a gate: a test that fails, a policy without effect, and a widening that nobody acknowledged, are exit 1', async () => {
  const changed = join(folder.path, 'changed');
  cpSync(starter, changed, { recursive: true });
  const policies = join(changed, 'policies.cedar');
  const check = (...more: string[]) => claviger(['--json', 'policy', 'check', changed, ...more]);
  const junit = join(folder.path, 'junit.xml');
  const same = await check('--against', starter, '--junit', junit);
  expect([same.code, JSON.parse(same.stdout)]).toMatchObject([0, { ok: true, ineffective: [], widened: { widenings: { open: [] } } }]);
  expect(readFileSync(junit, 'utf8')).toContain('failures="0"');
  const text = readFileSync(policies, 'utf8');
  writeFileSync(
    policies,
    text.replace(/(@id\("roots-need-mfa"\)[\s\S]*?)unless \{ context\.mfa \}/, '$1when { resource == Claviger::System::"prod" }'),
  );
  const sarif = join(folder.path, 'check.sarif');
  const wider = await check('--against', starter, '--sarif', sarif);
  const log = JSON.parse(readFileSync(sarif, 'utf8')) as {
    runs: [{ results: { ruleId: string; locations: { physicalLocation: object }[] }[] }];
  };
  expect(sarifProblems(log)).toEqual([]);
  const [{ results }] = log.runs;
  const line = readFileSync(policies, 'utf8')
    .split('\n')
    .findIndex((one) => one.includes('@id("roots-need-mfa")'));
  expect(Object.fromEntries([...Map.groupBy(results, ({ ruleId }) => ruleId)].map(([id, some]) => [id, some.length]))).toMatchObject({
    ...{ 'policy/test-failed': 3, 'policy/without-effect': 1, 'policy/widens': 4 },
  });
  expect(results.find(({ ruleId }) => ruleId === 'policy/without-effect')?.locations[0]?.physicalLocation).toMatchObject({
    artifactLocation: { uri: expect.stringMatching(/changed\/policies\.cedar$/) },
    region: { startLine: line + 1 },
  });
  const { problems, tests, ineffective, widened } = JSON.parse(wider.stdout) as {
    problems: string[];
    tests: { failed: object[] };
    ineffective: object[];
    widened: { widenings: { open: { id: string }[] } };
  };
  expect([wider.code, problems]).toEqual([1, ['3 test(s) fail', '1 policies without effect', '4 widening(s) that nobody acknowledged']]);
  expect(ineffective).toEqual([expect.objectContaining({ policy: 'roots-need-mfa', certain: true })]);
  expect(tests.failed[0]).toMatchObject({ place: expect.stringMatching(/starter\.cedar-test\.yaml:\d+$/) });
  expect(widened.widenings.open[0]).toMatchObject({
    id: expect.stringMatching(/^keys:RotateRoot: deny -> allow: role:key-administrator: key-administrator-rotates-roots #[\w-]{16}$/),
    example: expect.stringContaining('context.mfa is false'),
  });
  const acknowledged = join(folder.path, 'widenings.yaml');
  writeFileSync(acknowledged, JSON.stringify([{ reason: 'change 4711', widenings: widened.widenings.open.map(({ id }) => id) }]));
  rmSync(join(changed, 'starter.cedar-test.yaml'));
  writeFileSync(join(changed, 'bad.cedar-test.yaml'), 'tests:\n  - name: x\n');
  mkdirSync(join(changed, 'cloud', 'aws-kms'), { recursive: true });
  writeFileSync(join(changed, 'cloud', 'aws-kms', 'eu-central-1.json'), '{}');
  const { stderr } = await claviger(['policy', 'check', changed, '--against', starter, '--allow-widening', acknowledged]);
  expect(stderr).not.toContain('WIDENS');
  expect(stderr).toContain('bad.cedar-test.yaml:2: tests.0.principal');
  expect(stderr).toMatch(/CLOUD FILE .*eu-central-1\.json: format: /);
  expect(stderr).toContain('WITHOUT EFFECT roots-need-mfa: its scope and conditions hold in no request');
});

test('a regulation pack is put into a policy folder and taken out again; what would not validate is not written', async () => {
  const governed = join(folder.path, 'governed');
  cpSync(starter, governed, { recursive: true });
  const add = () => claviger(['--json', 'policy', 'packs', 'add', 'pci-dss', governed, '--tag', 'pci=yes']);
  const added = await add();
  expect([added.code, JSON.parse(added.stdout)]).toMatchObject([0, { packs: [{ id: 'pci-dss', tag: { name: 'pci', value: 'yes' } }] }]);
  const policies = () => readFileSync(join(governed, 'policies.cedar'), 'utf8');
  const once = policies();
  expect((await add()).code).toBe(0);
  expect(policies()).toBe(once);
  expect((await claviger(['policy', 'check', governed])).stdout).toMatch(/packs +pci-dss 1\.1\.0 \(keys with the tag pci=yes\)/);
  const remove = async (id: string) => (await claviger(['policy', 'packs', 'remove', id, governed])).code;
  expect([await remove('soc-2'), await remove('../governed/x'), policies() === once]).toEqual([65, 64, true]);
  expect((await claviger(['policy', 'packs', 'remove', 'pci-dss', governed])).code).toBe(0);
  expect(policies()).toBe(readFileSync(join(starter, 'policies.cedar'), 'utf8'));
  const profilesIn = (place: string) => JSON.parse(readFileSync(join(place, 'profiles.json'), 'utf8'));
  expect(profilesIn(governed)).toEqual(profilesIn(starter));
  expect(existsSync(join(governed, 'packs.json'))).toBe(false);
  writeFileSync(join(governed, 'roles.json'), '[]');
  const refused = await claviger(['policy', 'packs', 'add', 'soc-2', governed]);
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('@approvers names security-officer')]);
  expect(policies()).not.toContain('soc-2');
  expect((await claviger(['policy', 'packs', 'list'])).stdout).toMatch(/^cnsa-2 +1\.1\.0 /m);
  expect((await claviger(['policy', 'packs', 'show', 'sox'])).code).toBe(64);
});

test('a policy folder that is not there is exit 65', async () => {
  expect((await claviger(['policy', 'check', join(folder.path, 'nowhere')])).code).toBe(65);
});

test('what discover could not look at is in its result, and no success', async () => {
  const looked = join(folder.path, 'looked');
  mkdirSync(looked);
  writeFileSync(join(looked, 'notes'), 'no key');
  const discover = (...more: string[]) => claviger(['--json', 'discover', 'folder', looked, '--offline', ...more]);
  const clean = await discover();
  expect([clean.code, JSON.parse(clean.stdout)]).toEqual([0, { keys: [], findings: [], unseen: [] }]);
  writeFileSync(join(looked, 'large'), Buffer.alloc(4 * 1_048_576 + 1));
  const sarif = join(looked, '..', 'looked.sarif');
  const { code, stdout, stderr } = await discover('--sarif', sarif);
  const log = JSON.parse(readFileSync(sarif, 'utf8')) as { runs: [{ results: { ruleId: string }[] }] };
  expect([sarifProblems(log), log.runs[0].results.map(({ ruleId }) => ruleId)]).toEqual([[], ['discovery/not-looked-at']]);
  expect([code, JSON.parse(stdout)]).toEqual([
    1,
    { keys: [], findings: [], unseen: [{ place: join(looked, 'large'), why: 'more than 4 MiB' }] },
  ]);
  expect(stderr).toContain('1 place(s) that could not be looked at');
});

test('a file that is not there is exit 65 and says what to check, and no control character of a name reaches the terminal', async () => {
  const nowhere = join(folder.path, 'no\x1b]0;x\x07where');
  for (const command of [
    ['discover', 'folder', folder.path, '--offline', '--accept', nowhere],
    ['discover', 'folder', nowhere, '--offline'],
    ['keys', 'verify-certificate', nowhere],
  ]) {
    const { code, stderr } = await claviger(command);
    expect([code, stderr]).toEqual([65, expect.stringMatching(/cannot be read \(ENOENT\)\n→ Check its name/)]);
    expect(stderr).toContain('no\uFFFD]0;x\uFFFDwhere');
  }
  const certificate = join(folder.path, 'certificate');
  writeFileSync(certificate, 'a.b.c');
  const trust = await claviger(['keys', 'verify-certificate', certificate, '--trust-file', nowhere]);
  expect([trust.code, trust.stderr]).toEqual([65, expect.stringContaining('ENOENT')]);
});

test('the ceremony makes an installation once, and a first token is signed in its control token', async () => {
  const place = ['--folder', join(folder.path, 'installation'), '--library', readMachine().pkcs11.libraryPath];
  const first = await claviger(['--json', 'bootstrap', 'ceremony', ...place]);
  expect(first.code).toBe(0);
  const { created, trustFile } = JSON.parse(first.stdout) as { created: boolean; trustFile: string };
  expect(created).toBe(true);
  const trust = readFileSync(trustFile, 'utf8');
  expect(JSON.parse((await claviger(['--json', 'bootstrap', 'ceremony', ...place])).stdout)).toMatchObject({ created: false });
  expect(readFileSync(trustFile, 'utf8')).toBe(trust);

  const out = join(folder.path, 'admin-token');
  const issued = await claviger(['bootstrap', 'token', ...place, '--for', 'kim', '--mfa', '--out', out]);
  expect(issued.code).toBe(0);
  const token = readFileSync(out, 'utf8').trim();
  expect(issued.stdout).not.toContain(token);
  expect(statSync(out).mode & 0o777).toBe(0o600);
  const [header, claims] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
  expect(header).toMatchObject({ alg: 'ES256', typ: 'claviger-token+jwt' });
  expect(claims).toMatchObject({ iss: 'claviger', sub: 'kim', amr: ['pwd', 'mfa'] });
  expect(claims.exp - claims.iat).toBe(900);
});

test('the broker runs on the configuration that the command renders, and is provisioned twice alike', async () => {
  const installation = join(folder.path, 'installation');
  const config = await claviger(['bootstrap', 'broker-config', '--folder', installation, '--host', '127.0.0.1', '--port', '0']);
  expect(config.code).toBe(0);
  expect(config.stdout).not.toMatch(/\bS[UAX][A-Z2-7]{50}/);
  const broker = await startNatsServer({ dir: join(folder.path, 'nats'), config: config.stdout });
  try {
    const provision = () => claviger(['--json', 'bootstrap', 'provision', '--folder', installation], { CLAVIGER_URL: broker.url });
    const first = await provision();
    expect(JSON.parse(first.stdout).done).toEqual(
      expect.arrayContaining(['created stream AUDIT', 'created consumer ALERTS/security-team']),
    );
    expect((await provision()).stdout).not.toContain('created');
  } finally {
    await broker.stop();
  }
});
