import { readFileSync, writeFileSync } from 'node:fs';
import { layout } from '@claviger/installation';
import { readMachine, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CliCallers, calling } from './cli-caller';
import { type System, startSystem } from './system';

let system: System;
let cli: CliCallers;
const keyIds: Record<string, string> = {};

beforeAll(async () => {
  system = await startSystem('cli-inventory');
  cli = await CliCallers.start(system);
  const restricted = ['--environment', 'production', '--classification', 'restricted'];
  await create(
    'inv/cards',
    ...restricted,
    '--consumer',
    'payments-api',
    '--tag',
    'pci=yes',
    '--team',
    'payments',
    '--owner',
    'payments-api',
  );
  await create('inv/orders', '--consumer', 'orders-api', '--consumer', 'payments-api', '--tag', 'pci=no', '--team', 'orders');
  await create('inv/old-signer', '--environment', 'production', '--algorithm', 'RSA_2048', '--owner', 'nobody-here');
  await create('inv/frozen', '--team', 'orders');
  await ok('sam', 'keys', 'suspend', keyIds['inv/frozen'] as string, '--reason', 'doubts');
}, 180_000);
afterAll(async () => {
  await system?.stop();
  await cli?.stop();
}, 60_000);

const { file, as, ok, json } = calling(() => cli);
async function create(name: string, ...more: string[]): Promise<void> {
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', name, ...more);
  keyIds[name] = keyId;
}
const namesBy = async (...flags: string[]) =>
  (await json<{ name: string }[]>('ada', 'keys', 'list', ...flags)).map(({ name }) => name.replace('inv/', '')).sort();

test('keys are listed by what is asked of them, all of it at once', async () => {
  expect(await namesBy('--name-prefix', 'inv/')).toEqual(['cards', 'frozen', 'old-signer', 'orders']);
  expect(await namesBy('--consumer', 'payments-api', '--tag', 'pci')).toEqual(['cards', 'orders']);
  expect(await namesBy('--consumer', 'payments-api', '--tag', 'pci=yes', '--environment', 'production')).toEqual(['cards']);
  expect(await namesBy('--environment', 'production', '--name-prefix', 'inv/')).toEqual(['cards', 'old-signer']);
  expect(await namesBy('--algorithm', 'RSA_2048', '--usage', 'sign', '--owner', 'nobody-here')).toEqual(['old-signer']);
  expect(await namesBy('--suspended', '--team', 'orders')).toEqual(['frozen']);
  expect(await namesBy('--kek', 'kek_production_restricted_1', '--custody', 'wrapped')).toEqual(['cards']);
  expect(await namesBy('--created-before', '2020-01-01T00:00:00Z')).toEqual([]);
  expect(await as('ada', 'keys', 'list', '--state', 'alive')).toMatchObject({ code: 64 });
});

test('an inventory finds what is weak, unowned, below its floor or frozen, says what to do, and exits with 1', async () => {
  const found = async (...flags: string[]) => {
    const { code, stdout } = await as('ada', '--json', 'keys', 'inventory', ...flags);
    const rows = (JSON.parse(stdout) as { check: string; name: string; next: string }[]).filter(({ name }) => name.startsWith('inv/'));
    return { code, rows: rows.map(({ check, name }) => `${check} ${name.replace('inv/', '')}`), nexts: rows.map(({ next }) => next) };
  };
  expect(await found('--weak')).toMatchObject({ code: 1, rows: ['weak old-signer'] });
  expect(await found('--deprecated')).toMatchObject({ code: 1, rows: ['deprecated old-signer'] });
  expect(await found('--suspended')).toMatchObject({ code: 1, rows: ['suspended frozen'] });
  const unowned = await found('--unowned');
  expect(unowned).toMatchObject({ code: 1, rows: ['unowned old-signer', 'unowned old-signer'] });
  expect(unowned.nexts[0]).toContain(`keys set-owner ${keyIds['inv/old-signer']}`);
  expect((await found('--non-compliant')).rows.sort()).toEqual(['cards', 'old-signer'].map((name) => `non-compliant ${name}`));
  const { code, stdout, stderr } = await as('kim', 'keys', 'inventory');
  expect(code).toBe(1);
  expect(stdout).toMatch(/CHECK +KEY +NAME +WHY +NEXT/);
  expect(stderr).toContain('you may not read policies');
  expect(await as('kim', 'keys', 'inventory', '--unowned')).toMatchObject({ code: 2, stdout: '' });
  // Each is younger than that.
  expect(await as('ada', 'keys', 'inventory', '--unused')).toMatchObject({ code: 0 });
  expect((await found('--unused', '--unused-days', '0')).rows).toHaveLength(4);
});

test('a key below the profile of its environment and classification is not made; one of which nothing was said is rotated as it asks', async () => {
  const restricted = ['--environment', 'production', '--classification', 'restricted'];
  const { code, stderr } = await as('kim', 'keys', 'create', 'inv/weak', ...restricted, '--algorithm', 'RSA_2048');
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^ERR_BELOW_FLOOR.*profile restricted: RSA_2048 is not let in/s)]);
  expect((await as('kim', 'keys', 'create', 'inv/weak', ...restricted, '--every', '91d')).stderr).toContain('at least every 90 days');
  const cards = keyIds['inv/cards'] as string;
  expect(await json('kim', 'keys', 'describe', cards)).toMatchObject({ schedule: { everyDays: 90 }, protectsAtMostDays: 90 });
  expect((await as('kim', 'keys', 'set-rotation', cards, '--every', '180d', '--reason', 'r')).stderr).toMatch(/^ERR_BELOW_FLOOR/);
  expect((await as('kim', 'keys', 'schedule-deletion', cards, '--wait-days', '30', '--reason', 'r')).stderr).toMatch(
    /^ERR_APPROVAL_REQUIRED/,
  );
  const denied = await json<{ records: { record: { action: string; problem?: string } }[] }>(
    'ada',
    'audit',
    'query',
    '--outcome',
    'denied',
    '--key',
    cards,
  );
  expect(JSON.stringify(denied)).toContain('ERR_BELOW_FLOOR');
  const certify = ['--json', 'keys', 'certify', cards, '--reason', 'as every year'];
  expect(await as('kim', ...certify)).toMatchObject({ code: 2, stderr: expect.stringContaining('keys:Certify') });
  expect(await ok('sam', 'policy', 'show')).toContain('production-restricted (restricted production keys): rotateWithinDays 90');
  expect(await ok('sam', 'policy', 'assignments', '--of', 'kim')).toMatch(/kim +key-administrator +its own record/);
  expect(await ok('sam', 'policy', 'assignments', '--role', 'auditor')).not.toContain('kim');
  await ok('sam', 'policy', 'export', file('exported'));
  const profiles = JSON.parse(readFileSync(`${file('exported')}/profiles.json`, 'utf8')) as { id: string }[];
  expect(profiles.map(({ id }) => id)).toContain('production-restricted');
  expect(await ok('sam', 'policy', 'check', file('exported'))).toMatch(/profiles +5/);
});

test('a profile that asks for a validated module lets keys only into a token whose record has one, and what is there already is found', async () => {
  const staging = ['--environment', 'staging', '--classification', 'confidential'];
  await create('inv/staged', ...staging, '--team', 'orders');
  const tokens = await as('olga', 'tokens', 'list');
  expect(tokens).toMatchObject({ code: 0, stdout: expect.stringMatching(/^customer +the roots .*unknown$/m) });
  await ok('sam', 'policy', 'export', file('assured'));
  const profiles = JSON.parse(readFileSync(file('assured/profiles.json'), 'utf8')) as object[];
  const profile = { id: 'validated', description: 'd', environments: ['staging'], classifications: ['confidential'], moduleLevel: 3 };
  writeFileSync(file('assured/profiles.json'), JSON.stringify([...profiles, profile]));
  const record = (status: string) => ({
    ...{ label: 'customer', vendor: 'Example HSM', model: 'K7', firmware: '7.8.1', contact: 'psirt@vendor.example' },
    incidents: { terms: 'support contract 17', notifyWithinHours: 24 },
    validation: { standard: 'FIPS 140-3', certificate: '4567', level: 3, firmware: ['7.8.1'], validUntil: '2099-12-31', status },
  });
  const publish = async (status: string) => {
    writeFileSync(file('assured/tokens.json'), JSON.stringify([record(status)]));
    await ok('sam', 'policy', 'publish', file('assured'), '--reason', `it is ${status}`);
  };
  await publish('revoked');
  const make = () => as('kim', 'keys', 'create', 'inv/staged-too', ...staging, '--team', 'orders');
  const refused = await until(
    async () => {
      const { code, stderr } = await make();
      return code === 2 ? stderr : undefined;
    },
    { what: 'the policies at key-lifecycle', timeoutMs: 20_000 },
  );
  expect(refused).toMatch(/^ERR_ASSURANCE.*profile validated: a module validated at level 3 .* certificate 4567 was revoked/s);
  const { code, stdout } = await as('ada', 'keys', 'inventory', '--non-compliant');
  expect([code, stdout]).toEqual([1, expect.stringMatching(/inv\/staged .*token customer lost its validation.*tokens list/)]);
  expect((await as('kim', 'keys', 'rotate', keyIds['inv/staged'] as string, '--reason', 'r')).stderr).toMatch(/^ERR_ASSURANCE/);
  expect((await as('kim', 'keks', 'rotate', ...staging, '--reason', 'r')).stderr).toMatch(/^ERR_ASSURANCE/);
  // What it says itself is not what is on record either.
  const listed = await as('ada', 'tokens', 'list');
  expect([listed.code, listed.stderr]).toEqual([
    1,
    expect.stringMatching(/lost its validation[\s\S]*not as on record: model K7, and it says SoftHSM v2/),
  ]);
  expect(await ok('ada', 'tokens', 'describe', 'customer')).toMatch(
    /^keys +[1-9].*\n[\s\S]*^in an incident +within 24 hours: support contract 17$/m,
  );
  const alerts = () => ok('sam', '--json', 'alerts', 'list');
  await until(async () => (await alerts()).includes('Token customer counts as validated no more'), {
    what: 'the alert',
    timeoutMs: 40_000,
    everyMs: 500,
  });
  await publish('active');
  await until(async () => ((await make()).code === 0 ? true : undefined), { what: 'the key', timeoutMs: 20_000 });
});

test('a copy of a managed key is found in another token, and what lives in a folder', async () => {
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'inv/kept', '--algorithm', 'ED25519');
  const { installationFolder } = system.stack;
  const folder = await as('ada', 'discover', 'folder', installationFolder);
  expect(folder).toMatchObject({ code: 0, stderr: expect.stringContaining('no keys') });
  // The token that the key is in, as if it were somebody else's.
  const token = ['discover', 'token', 'customer', '--library', readMachine().pkcs11.libraryPath];
  const env = { SOFTHSM2_CONF: layout(installationFolder).softhsmConf('customer') };
  const found = await cli.asIn(env, 'ada', ...token, '--pin-file', layout(installationFolder).pinFile('customer'));
  expect(found).toMatchObject({ code: 1, stdout: expect.stringMatching(new RegExp(`^copy .*${keyId}#1 is here`, 'm')) });
  expect(found.stdout).toMatch(/^unmanaged +customer: root /m);
});

test('a CBOM of all keys is written whole, for its owner’s eyes', async () => {
  await ok('ada', 'keys', 'inventory', '--cbom', '--out', file('cbom.json'));
  const { components, specVersion } = JSON.parse(readFileSync(file('cbom.json'), 'utf8')) as {
    specVersion: string;
    components: { 'bom-ref': string; name: string }[];
  };
  expect(specVersion).toBe('1.6');
  const names = components.map(({ name }) => name);
  for (const name of ['inv/cards', 'inv/old-signer', 'kek_production_restricted_1', 'RSA-2048', 'AES-256-GCM'])
    expect(names).toContain(name);
  expect((await as('ada', 'keys', 'inventory', '--cbom', '--weak')).code).toBe(64);
});

test('the tree shows what is wrapped under what, and no KEKs to whom may not list them', async () => {
  const tree = await ok('ada', 'keys', 'tree', '--name-prefix', 'inv/');
  expect(tree).toMatch(/─ root .*\n(.*\n)*.*KEK kek_production_restricted_1 .*\n.*inv\/cards.*\n.*version 1 active \(primary\)\n/);
  const { code, stderr } = await as('payments-api', 'keys', 'tree');
  expect([code, stderr]).toEqual([2, expect.stringContaining('ERR_ACCESS_DENIED')]);
});

test('the impact of a KEK is that of the keys under it; a compromised version names who must re-encrypt', async () => {
  expect(await json('ada', 'keys', 'impact', 'kek_production_restricted_1')).toMatchObject({
    keys: 1,
    versions: 1,
    consumers: { 'payments-api': 1 },
    ifLost: { unreadable: 1 },
    ifCompromised: { readable: 1 },
  });
  const orders = keyIds['inv/orders'] as string;
  await ok('kim', 'keys', 'rotate', orders, '--reason', 'yearly');
  await ok('sam', 'keys', 'mark-compromised', orders, '--reason', 'leaked', '--key-version', '1');
  const { code, stdout, stderr } = await as('ada', 'keys', 'impact', orders);
  expect(code).toBe(0);
  expect(stdout).toMatch(/compromised now +1/);
  expect(stderr).toMatch(/COMPROMISED inv\/orders .* version 1 since .*: orders-api, payments-api must re-encrypt .*, with version 2/);
  expect(await as('ada', 'keys', 'impact', 'x')).toMatchObject({ code: 64 });
});

test('an auditor reports on a regulation: what is in force, what is wrong, and evidence that verifies with trust.json alone', async () => {
  interface Report {
    unread: { what: string }[];
    packs: {
      id: string;
      inForce?: object;
      controls: { id: string; policies: object[]; checks: { check: string; outcome: string; failures: { name: string }[] }[] }[];
    }[];
    evidence: { what: string; records: { index: number; line: string; proof?: string[] }[] }[];
    gaps: { id: string; firstSeen: string; object: string; owner: string }[];
  }
  const folder = file('regulated');
  await ok('sam', 'policy', 'export', folder);
  await ok('sam', 'policy', 'packs', 'add', 'pci-dss', folder);
  await ok('sam', 'policy', 'publish', folder, '--reason', 'PCI DSS');
  expect(await ok('sam', 'policy', 'show')).toMatch(/packs +pci-dss 1\.1\.0/);
  const report = async (name: string, ...more: string[]) => {
    const { code, stderr } = await as('ada', 'compliance', 'report', '--format', 'json', '--out', file(name), ...more);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/SHA-256 [0-9a-f]{64}\n\d+ failed, \d+ unknown/)]);
    expect(stderr).not.toContain('NOT sealed');
    return JSON.parse(readFileSync(file(name), 'utf8')) as Report;
  };
  const first = await report('first.json');
  expect(first.packs).toMatchObject([{ id: 'pci-dss', inForce: { version: '1.1.0' } }]);
  // All that an auditor is to read, she may read: only the file of a drill was not given.
  expect(first.unread.map(({ what }) => what)).toEqual(expect.not.arrayContaining(['all keys', 'the alerts', 'the ledger', 'the backups']));
  const control = (id: string) => first.packs[0]!.controls.find((one) => one.id === `PCI-DSS-4.0.1:${id}`)!;
  const check = (id: string, name: string) => control(id).checks.find((one) => one.check === name)!;
  expect(check('3.7.7', 'pack-guards').outcome).toBe('pass');
  expect(check('3.7.7', 'second-factor').outcome).toBe('pass');
  expect(check('3.7.7', 'ledger-verified').outcome).toBe('pass');
  expect(check('3.7.4', 'key-rotation-scheduled').failures.map(({ name }) => name)).toContain('inv/old-signer');
  expect(control('3.7.5').policies).toEqual(expect.arrayContaining([expect.objectContaining({ id: 'pci-dss-destruction-by-two' })]));
  const made = first.evidence.find(({ what }) => what === 'keys made')!;
  expect(made.records.map(({ line, proof }) => [line.includes('keys:Create'), (proof ?? []).length > 0])).toEqual(
    made.records.map(() => [true, true]),
  );
  expect(made.records.length).toBeGreaterThan(0);
  expect(await ok('ada', 'compliance', 'verify', file('first.json'))).toMatch(/sealed +leaf \d+, .*, by ada\n[\s\S]*problems +0/);
  writeFileSync(file('changed.json'), readFileSync(file('first.json'), 'utf8').replace('keys:Create', 'keys:Rotate'));
  const changed = readFileSync(file('changed.json'), 'utf8');
  writeFileSync(file('changed.json'), changed.replace(/(\\"action\\":\\")keys:/, '$1kets:'));
  expect(await as('ada', 'compliance', 'verify', file('changed.json'))).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/something of it was changed[\s\S]*its line is not what was hashed/),
  });
  // What was seen first then is not seen first now.
  const second = await report('second.json', '--since', file('first.json'));
  const seenFirst = new Map(first.gaps.map(({ id, firstSeen }) => [id, firstSeen]));
  expect(second.gaps.filter(({ id }) => seenFirst.has(id)).every(({ id, firstSeen }) => firstSeen === seenFirst.get(id))).toBe(true);
  expect(second.gaps.find(({ object }) => object === keyIds['inv/cards'])?.owner).toContain('payments');
  const html = await as('ada', 'compliance', 'report', '--pack', 'cnsa-2', '--format', 'html', '--quick', '--no-seal');
  expect([html.code, html.stdout]).toEqual([1, expect.stringMatching(/^<!doctype html>[\s\S]*inv\/old-signer[\s\S]*ML_DSA_87/)]);
  // Who may not read it all learns what is unknown, and is told of nothing that it is in order.
  const partial = await as('kim', 'compliance', 'report', '--pack', 'soc-2', '--format', 'json');
  expect(partial.stderr).toContain('the report is NOT sealed: ERR_ACCESS_DENIED');
  const { unread, packs } = JSON.parse(partial.stdout) as Report;
  expect(unread.map(({ what }) => what)).toEqual(expect.arrayContaining(['the policies in force', 'the backups', 'all keys']));
  expect(packs[0]!.controls.flatMap(({ checks }) => checks).filter(({ outcome }) => outcome === 'pass')).toEqual([]);
});

test('access is reviewed with when it was last used, and somebody who leaves is seen off with the keys', async () => {
  await ok('sam', 'policy', 'export', file('people'));
  const people = JSON.parse(readFileSync(file('people/principals.json'), 'utf8')) as { id: string }[];
  const owen = people.find(({ id }) => id === 'owen');
  writeFileSync(
    file('people/principals.json'),
    JSON.stringify([...people, { ...owen, id: 'nia', displayName: 'Nia', identities: [{ kind: 'token' }] }]),
  );
  await ok('sam', 'policy', 'publish', file('people'), '--reason', 'Nia came');

  const { reviewId } = await json<{ reviewId: string }>(
    'sam',
    'reviews',
    'start',
    'yearly',
    '--role',
    'key-administrator',
    '--reviewer',
    'sam',
    '--reason',
    'r',
  );
  const shown = await until(
    async () => {
      const { items } = await json<{ items: { assignment: string; lastUse: { known: string; index?: number } }[] }>(
        'ada',
        'reviews',
        'show',
        reviewId,
      );
      return items[0]?.lastUse.known === 'used' ? items : undefined;
    },
    { what: 'the last use', timeoutMs: 20_000, everyMs: 500 },
  );
  expect(shown).toMatchObject([{ assignment: 'role:kim:key-administrator', lastUse: { known: 'used', index: expect.any(Number) } }]);
  expect((await as('sam', 'reviews', 'complete', reviewId, '--reason', 'done')).stderr).toMatch(/^ERR_REVIEW_INCOMPLETE/);
  await ok('sam', 'reviews', 'decide', reviewId, '--all-undecided', '--keep', '--reason', 'still does it');
  expect(await ok('sam', 'reviews', 'complete', reviewId, '--reason', 'done')).toMatch(/^kept +1$/m);
  expect(await ok('ada', 'reviews', 'list')).toContain(`${reviewId}  yearly  role key-administrator  completed`);
  expect(await as('ada', 'access', 'stale')).toMatchObject({ code: 0, stderr: expect.stringContaining('told after 60 days') });

  await create('inv/leaver', '--owner', 'owen');
  const left = await as('sam', 'access', 'offboard', 'owen', '--reason', 'new job');
  expect([left.code, left.stdout]).toEqual([1, expect.stringMatching(new RegExp(`keys still owned +.*${keyIds['inv/leaver']}`))]);
  expect(await ok('sam', 'access', 'offboard', 'owen', '--to', 'nia', '--reason', 'new job')).toMatch(/^keys handed over +1$/m);
  expect(await json('kim', 'keys', 'describe', keyIds['inv/leaver'] as string)).toMatchObject({ owner: 'nia' });
  expect((await as('sam', 'access', 'offboard', 'kim', '--reason', 'r')).stderr).toMatch(/^ERR_LAST_HOLDER/);
});
