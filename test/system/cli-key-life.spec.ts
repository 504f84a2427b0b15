import { spawnSync } from 'node:child_process';
import { createDecipheriv, createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from '@claviger/client';
import type { ApprovalKey, Principal } from '@claviger/contracts';
import { builtProgram, readMachine, runCommand, until, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { cast } from '../demo/cast';
import { CliCallers, calling } from './cli-caller';
import { blocksOf, run } from './own-keys';
import { type System, startSystem } from './system';

let system: System;
let cli: CliCallers;

beforeAll(async () => {
  system = await startSystem('cli-key-life');
  cli = await CliCallers.start(system);
}, 180_000);
afterAll(async () => {
  await system?.stop();
  await cli?.stop();
}, 60_000);

const { file, as, ok, json } = calling(() => cli);

test('a key waits for its activation, protects, then only processes, and is of no use once it is compromised', async () => {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
  const create = ['keys', 'create', 'cli/waits', '--consumer', 'payments-api', '--activate-at'];
  expect(await as('kim', ...create, 'tomorrow')).toMatchObject({ code: 64, stderr: expect.stringContaining('2027-01-31T08:00:00Z') });
  expect((await as('kim', ...create, '2020-01-01T00:00:00Z')).stderr).toMatch(/^ERR_MALFORMED_REQUEST/);
  const { keyId } = await json<{ keyId: string }>('kim', ...create, tomorrow);
  expect(await ok('kim', 'keys', 'describe', keyId)).toContain(`pre-activation until ${tomorrow}`);
  writeFileSync(file('waits'), 'forty-two');
  const encrypt = () => as('payments-api', 'encrypt', keyId, '--in', file('waits'), '--out', file('waits.jwe'));
  const decrypt = () => as('payments-api', 'decrypt', keyId, '--in', file('waits.jwe'), '--reveal');
  const change = (who: string, command: string, ...more: string[]) =>
    json(who, 'keys', command, keyId, '--reason', `to ${command}`, ...more);
  expect((await encrypt()).stderr).toMatch(/^ERR_KEY_STATE.*pre-activation/s);
  expect(await change('kim', 'activate')).toMatchObject({ confirmed: true });
  expect(await encrypt()).toMatchObject({ code: 0 });
  expect(await change('kim', 'deactivate')).toMatchObject({ confirmed: true });
  expect((await encrypt()).stderr).toMatch(/^ERR_KEY_STATE.*deactivated/s);
  expect((await decrypt()).stdout).toBe('forty-two');
  expect((await as('kim', 'keys', 'mark-compromised', keyId, '--reason', 'r', '--key-version', '2')).stderr).toMatch(/^ERR_NOT_FOUND/);
  expect(await change('sam', 'mark-compromised', '--key-version', '1')).toMatchObject({ confirmed: true });
  expect((await decrypt()).stderr).toMatch(/^ERR_KEY_STATE/);
  const { versions } = await json<{ versions: { transitions: { to: string; reason: string }[] }[] }>('kim', 'keys', 'describe', keyId);
  expect(versions[0]?.transitions.map(({ to, reason }) => [to, reason])).toEqual([
    ['pre-activation', 'created'],
    ['active', 'to activate'],
    ['deactivated', 'to deactivate'],
    ['compromised', 'to mark-compromised'],
  ]);
});

test('a key whose classification is raised, that is compromised or that is handed over gets a new version by itself', async () => {
  const { keyId } = await json<{ keyId: string }>(
    ...(['kim', 'keys', 'create', 'cli/raised', '--owner', 'ada', '--consumer', 'payments-api'] as const),
    ...['--every', '300d', '--on-owner-change'],
  );
  const change = (who: string, command: string, ...more: string[]) =>
    as(who, 'keys', command, keyId, ...more, '--reason', 'it holds cards');
  const described = () =>
    json<{ classification: string; rotationDue?: object; versions: { kekId: string; state: string; transitions: { reason: string }[] }[] }>(
      'kim',
      ...['keys', 'describe', keyId],
    );
  const rotated = (version: number) =>
    until(async () => (await described()).versions.length === version, { what: `version ${version}`, timeoutMs: 30_000 });
  expect((await change('kim', 'set-classification', 'secret')).code).toBe(2);
  expect(await change('kim', 'set-classification', 'confidential')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('rotation due'),
  });
  await rotated(2);
  const { classification, versions, rotationDue } = await described();
  expect([classification, rotationDue, versions.map(({ kekId }) => kekId)]).toEqual([
    'confidential',
    undefined,
    ['kek_development_internal_1', 'kek_development_confidential_1'],
  ]);
  expect(versions[1]?.transitions[0]?.reason).toBe('classification raised from internal to confidential: it holds cards');
  expect(await change('kim', 'set-classification', 'public')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('keys:LowerClassification'),
  });
  expect((await change('sam', 'set-classification', 'internal')).code).toBe(0);
  expect((await change('sam', 'mark-compromised', '--key-version', '2', '--rotate')).code).toBe(0);
  await rotated(3);
  expect((await change('sam', 'set-owner', 'owen')).code).toBe(0);
  await rotated(4);
  expect((await described()).versions.map(({ state }) => state)).toEqual(['deactivated', 'compromised', 'deactivated', 'active']);
  writeFileSync(file('raised'), 'forty-two');
  expect((await as('payments-api', 'encrypt', keyId, '--in', file('raised'), '--out', file('raised.jwe'))).code).toBe(0);
});

test('a key is made and used only where its residency lets it be; its owner narrows that, a security officer widens it', async () => {
  const create = ['keys', 'create', 'cli/resident', '--owner', 'ada', '--consumer', 'payments-api'];
  expect(await as('kim', ...create, '--region', 'mars')).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERR_RESIDENCY/) });
  const { keyId } = await json<{ keyId: string }>('kim', ...create, '--region', 'local', '--region', 'mars');
  writeFileSync(file('resident'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('resident'), '--out', file('resident.jwe'));
  const set = (who: string, ...more: string[]) => as(who, 'keys', 'set-residency', keyId, ...more, '--reason', 'where the customers are');
  expect(await set('kim', '--region', 'local')).toMatchObject({ code: 2, stderr: expect.stringContaining('keys:SetResidency') });
  expect(await set('sam', '--region', 'local')).toMatchObject({ code: 0, stdout: expect.stringMatching(/residency +local/) });
  expect((await set('sam', '--region', 'mars')).stderr).toMatch(/^ERR_RESIDENCY/);
  expect(await set('sam', '--anywhere')).toMatchObject({ code: 0 });
  expect((await set('sam')).code).toBe(64);
});

test('a key that waits for its deletion and is still asked for is an alert, and can be kept', async () => {
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/obsolete', '--consumer', 'payments-api');
  writeFileSync(file('wanted'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('wanted'), '--out', file('wanted.jwe'));
  await ok('kim', 'keys', 'schedule-deletion', keyId, '--reason', 'nobody needs it', '--wait-days', '7');
  const decrypt = () => as('payments-api', 'decrypt', keyId, '--in', file('wanted.jwe'), '--reveal');
  expect((await decrypt()).stderr).toMatch(/^ERR_KEY_PENDING_DELETION/);
  const alert = await until(
    async () => {
      const alerts = await json<Record<string, unknown>[]>('sam', 'alerts', 'list');
      return alerts.find((one) => one.detector === 'deletion-probe' && one.keyId === keyId);
    },
    { what: 'the alert', timeoutMs: 20_000 },
  );
  expect(alert).toMatchObject({ severity: 'high', principal: 'payments-api' });
  await ok('kim', 'keys', 'cancel-deletion', keyId, '--reason', 'payments needs it');
  await ok('sam', 'keys', 'resume', keyId, '--reason', 'payments needs it');
  expect((await decrypt()).stdout).toBe('forty-two');
});

/** As if so many days had gone by for this key. */
async function age(keyId: string, days: number): Promise<void> {
  const program = await builtProgram('test/system/age-key.ts');
  const { installationFolder, databasePrefix, storeUrl } = system.stack;
  const args = [installationFolder, readMachine().pkcs11.libraryPath, `${databasePrefix}keys`, keyId, String(days)];
  await runCommand(process.execPath, [program, ...args], {
    cwd: workspaceRoot(),
    env: { ...process.env, MONGODB_URL: storeUrl },
  });
}

test('a key that nobody needs is found, protected, deleted after its wait, and its destruction is certified', async () => {
  const create = (name: string) => json<{ keyId: string }>('kim', 'keys', 'create', name, '--consumer', 'payments-api');
  const [{ keyId }, { keyId: wanted }] = [await create('reap/orphan'), await create('reap/archive')];
  writeFileSync(file('old'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('old'), '--out', file('old.jwe'));
  expect(await ok('ada', 'keys', 'describe', wanted)).toMatch(/last use +never/);
  const last = await until(
    async () => (await json<{ lastUse?: { known: string; use?: { index: number } } }>('ada', 'keys', 'describe', keyId)).lastUse?.use,
    { what: 'the use in the ledger', timeoutMs: 20_000 },
  );
  expect(last).toMatchObject({ action: 'crypto:Encrypt', principal: 'payments-api', version: 1, index: expect.any(Number) });

  const orphans = async (...more: string[]) => as('kim', 'keys', 'orphans', '--name-prefix', 'reap/', '--unused-days', '0', ...more);
  const reason = ['--reason', 'spring cleaning'];
  await ok('payments-api', 'keys', 'register-data', wanted, 'backup:2026', '--until', '2099-01-01T00:00:00Z', ...reason);
  const found = await orphans();
  expect(found).toMatchObject({ code: 1, stdout: expect.stringContaining(keyId) });
  expect(found.stdout).not.toContain(wanted);
  expect((await as('kim', 'keys', 'schedule-deletion', wanted, ...reason)).stderr).toMatch(/^ERR_KEY_PROTECTED.*backup:2026/s);
  await ok('payments-api', 'keys', 'unregister-data', wanted, 'backup:2026', ...reason);
  await ok('kim', 'keys', 'protect', wanted, ...reason);
  expect((await as('kim', 'keys', 'unprotect', wanted, ...reason)).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  expect((await orphans('--schedule-deletion')).code).toBe(64);
  const purge = await orphans('--schedule-deletion', '--wait-days', '7', ...reason);
  expect(purge).toMatchObject({ code: 1, stderr: expect.stringMatching(/reap\/archive k_\w+ stays: .*ERR_KEY_PROTECTED/) });
  expect(await json('kim', 'keys', 'describe', keyId)).toMatchObject({ deletionOrder: { by: 'kim', reason: 'spring cleaning' } });

  expect(await as('ada', 'keys', 'certificate', keyId)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('it is destroyed at 20'),
  });
  await age(keyId, 8);
  const certificate = await until(
    async () => {
      const { code, stdout } = await as('ada', 'keys', 'certificate', keyId, '--out', file('orphan.jws'));
      return code === 0 ? stdout : undefined;
    },
    { what: 'the certificate', timeoutMs: 60_000, everyMs: 500 },
  );
  expect(certificate).toMatch(/ordered by +kim .*spring cleaning/);
  expect(certificate).toMatch(/signature +verified/);
  expect(await ok('ada', 'keys', 'verify-certificate', file('orphan.jws'))).toContain(keyId);
  const [head, body, signature] = readFileSync(file('orphan.jws'), 'utf8').trim().split('.') as [string, string, string];
  const forged = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), keyId: wanted };
  writeFileSync(file('forged.jws'), [head, Buffer.from(JSON.stringify(forged)).toString('base64url'), signature].join('.'));
  expect(await as('ada', 'keys', 'verify-certificate', file('forged.jws'))).toMatchObject({ code: 1 });
  await until(async () => (await ok('ada', 'audit', 'query', '--key', keyId, '--kind', 'destruction')).includes('destruction'), {
    what: 'the certificate in the ledger',
    timeoutMs: 20_000,
    everyMs: 200,
  });
}, 180_000);

test('keys rotate by themselves when their schedule has come: what was encrypted before decrypts, what is new has the new version', async () => {
  type Described = { primaryVersion: number; next?: { event: string; at: string } };
  const window = ['--time-zone', 'Europe/Berlin', '--window', 'Mon-Sun 00:00-24:00', '--jitter', '0m'];
  const create = (name: string, ...more: string[]) =>
    json<{ keyId: string }>('kim', 'keys', 'create', name, '--consumer', 'payments-api', ...more);
  const { keyId } = await create('cli/scheduled', '--every', '90d', ...window);
  const { keyId: signing } = await create('cli/scheduled-eddsa', '--algorithm', 'ED25519');
  const bad = ['keys', 'set-rotation', signing, '--reason', 'policy'];
  expect(await as('kim', ...bad, '--cron', '0 3,15 * * *')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('more than once a day'),
  });
  expect(await as('kim', ...bad)).toMatchObject({ code: 64 });
  expect((await as('sam', ...bad, '--none')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  const set = await json<{ key: Described }>('kim', ...bad, '--every', '30d', ...window, '--at-end', 'deactivate');
  expect(set.key.next?.event).toBe('rotate');
  const described = async (id: string) => json<Described>('kim', 'keys', 'describe', id);
  expect(await ok('kim', 'keys', 'list')).toContain(`rotate ${(await described(keyId)).next?.at}`);

  writeFileSync(file('before'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('before'), '--out', file('before.jwe'));
  await ok('payments-api', 'sign', signing, '--in', file('before'), '--out', file('before.sig'));
  await age(keyId, 89);
  await age(signing, 31);
  const rotated = async (id: string) => (await described(id)).primaryVersion === 2;
  await until(() => rotated(signing), { what: 'the rotation of the signing key', timeoutMs: 40_000, everyMs: 500 });
  expect(await rotated(keyId)).toBe(false);
  await age(keyId, 1);
  await until(() => rotated(keyId), { what: 'the rotation', timeoutMs: 40_000, everyMs: 500 });

  const kidOf = (name: string) =>
    JSON.parse(Buffer.from(readFileSync(file(name), 'utf8').split('.')[0] as string, 'base64url').toString()).kid;
  expect(await ok('payments-api', 'decrypt', keyId, '--in', file('before.jwe'), '--reveal')).toBe('forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('before'), '--out', file('after.jwe'));
  expect([kidOf('before.jwe'), kidOf('after.jwe')]).toEqual([`${keyId}#1`, `${keyId}#2`]);
  expect(await ok('payments-api', 'decrypt', keyId, '--in', file('after.jwe'), '--reveal')).toBe('forty-two');
  await ok('payments-api', 'sign', signing, '--in', file('before'), '--out', file('after.sig'));
  await until(async () => (await ok('ada', 'audit', 'query', '--of', 'key-lifecycle')).includes('keys:Rotate'), {
    what: 'the rotation in the ledger',
    timeoutMs: 20_000,
    everyMs: 200,
  });
  expect((await described(keyId)).next?.event).toBe('rotate');
}, 180_000);

test('a table of ciphertexts is brought under the newest version, interrupted and gone on with; what is wrong with one line is said in its place', async () => {
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/table', '--consumer', 'payments-api');
  writeFileSync(file('row'), 'forty-two');
  const encrypt = ['encrypt', keyId, '--in', file('row'), '--context', 'table=cards', '--out', file('row.jwe')];
  await ok('payments-api', ...encrypt);
  await ok('kim', 'keys', 'rotate', keyId, '--reason', 'yearly');
  const ciphertext = readFileSync(file('row.jwe'), 'utf8').trim();
  const row = (id: number) => JSON.stringify({ id, ciphertext, ...(id === 77 ? { context: { table: 'another' } } : {}) });
  const rows = Array.from({ length: 750 }, (_, n) => row(n));
  const write = (lines: string[]) => writeFileSync(file('table.ndjson'), lines.map((line) => `${line}\n`).join(''));
  const run = [
    're-encrypt-all',
    keyId,
    '--in',
    file('table.ndjson'),
    '--out',
    file('new.ndjson'),
    '--context',
    'table=cards',
    '--in-flight',
    '1',
  ];
  write(rows);
  const stopped = await as('payments-api', ...run, '--failures-most', '0');
  expect(stopped).toMatchObject({ code: 1, stderr: expect.stringMatching(/ERR_DECRYPTION_FAILED.*tries the last 1 again/) });
  expect(JSON.parse(readFileSync(file('new.ndjson.partial.progress'), 'utf8'))).toMatchObject({ lines: 77, failed: 0 });
  write([...rows.slice(0, 620), 'no JSON', ...rows.slice(621)]);
  expect(await as('payments-api', ...run)).toMatchObject({ code: 65, stderr: expect.stringContaining('line 621 is not JSON') });
  write([...rows.slice(0, 3), row(99_999), ...rows.slice(4)]);
  expect(await as('payments-api', ...run)).toMatchObject({ code: 65, stderr: expect.stringContaining('not the one that was begun with') });
  write(rows);
  const finished = await as('payments-api', ...run);
  expect(finished).toMatchObject({ code: 1, stderr: expect.stringMatching(/going on after line [1-9]\d\d\b.*1 of 750 line/s) });
  const made = readFileSync(file('new.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(made.map(({ id }) => id)).toEqual(rows.map((_, n) => n));
  expect(made[77]).toEqual({ id: 77, problem: { code: 'ERR_DECRYPTION_FAILED', detail: expect.any(String) } });
  for (const { id, version } of made) expect(version).toBe(id === 77 ? undefined : 2);
  writeFileSync(file('row.2.jwe'), made[749].ciphertext);
  expect(await ok('payments-api', 'decrypt', keyId, '--in', file('row.2.jwe'), '--context', 'table=cards', '--reveal')).toBe('forty-two');
}, 120_000);

test('who answers for a key is said, changed and handed over', async () => {
  const said = ['--description', 'card numbers', '--team', 'payments'];
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/notes', ...said);
  expect(await json('kim', 'keys', 'describe', keyId)).toMatchObject({ description: 'card numbers', team: 'payments', owner: 'kim' });
  const update = ['keys', 'update', keyId, '--reason', 'reorganised', '--contact', 'rota payments', '--remove', 'team', '--tag', 'pci=yes'];
  await ok('kim', ...update);
  const { team, ...now } = await json<Record<string, unknown>>('kim', 'keys', 'describe', keyId);
  expect([team, now]).toEqual([undefined, expect.objectContaining({ contact: 'rota payments', tags: { pci: 'yes' } })]);
  expect(await as('kim', 'keys', 'update', keyId, '--reason', 'r', '--remove', 'owner')).toMatchObject({ code: 64 });
  expect((await as('kim', 'keys', 'set-owner', keyId, 'ada', '--reason', 'moved')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  // To a service, which uses what it owns, an officer alone hands over nothing.
  for (const nobody of ['payments-api', 'ada', 'sam', 'a-stranger'])
    expect((await as('sam', 'keys', 'set-owner', keyId, nobody, '--reason', 'moved')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  await ok('sam', 'keys', 'set-owner', keyId, 'owen', '--reason', 'moved');
  expect(await json('kim', 'keys', 'describe', keyId)).toMatchObject({ owner: 'owen' });
});

test('an alias is used where a key is named; rotated and pointed elsewhere, what was encrypted by it opens by the id of its key', async () => {
  const create = (key: string) => json<{ keyId: string }>('kim', 'keys', 'create', key, '--consumer', 'payments-api');
  const [{ keyId: first }, { keyId: second }] = [await create('cli/cards-1'), await create('cli/cards-2')];
  const name = 'alias/payments/cards';
  const set = ['keys', 'alias', 'set', name];
  expect((await as('payments-api', ...set, first, '--reason', 'cards')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  expect(await json('kim', ...set, first, '--reason', 'cards')).toMatchObject({ keyId: first, confirmed: true });
  writeFileSync(file('cards'), 'forty-two');
  await ok('payments-api', 'encrypt', name, '--in', file('cards'), '--out', file('cards.jwe'));
  await ok('payments-api', 'seal', name, '--in', file('cards'), '--out', file('cards.sealed'));
  await ok('kim', 'keys', 'rotate', name, '--reason', 'yearly');
  expect(await ok('payments-api', 'decrypt', name, '--in', file('cards.jwe'), '--reveal')).toBe('forty-two');
  expect(await json('kim', 'keys', 'describe', name)).toMatchObject({ keyId: first, primaryVersion: 2, aliases: [name] });
  const moving = { keyId: second, previousKeyId: first, confirmed: true };
  expect(await json('kim', ...set, second, '--reason', 'a new one')).toMatchObject(moving);
  const moved = await as('payments-api', 'decrypt', name, '--in', file('cards.jwe'), '--reveal');
  expect(moved.stderr).toMatch(new RegExp(`^ERR_DECRYPTION_FAILED.*${first}`, 's'));
  expect(await ok('payments-api', 'decrypt', first, '--in', file('cards.jwe'), '--reveal')).toBe('forty-two');
  expect(await ok('payments-api', 'open', first, '--in', file('cards.sealed'), '--reveal')).toBe('forty-two');
  await ok('payments-api', 're-encrypt', first, '--to-key', name, '--in', file('cards.jwe'), '--out', file('cards.2.jwe'));
  expect(await ok('payments-api', 'decrypt', name, '--in', file('cards.2.jwe'), '--reveal')).toBe('forty-two');
  await until(async () => (await ok('ada', 'audit', 'query', '--key', name, '--action', 'keys:SetAlias')).includes(second), {
    what: 'the change in the ledger, of the key that the alias names now',
    timeoutMs: 20_000,
    everyMs: 200,
  });
  expect(await ok('ada', 'keys', 'alias', 'list', '--key', second)).toContain(name);
  await ok('kim', 'keys', 'alias', 'delete', name, '--reason', 'unused');
  expect((await as('payments-api', 'encrypt', name, '--in', file('cards'), '--out', file('no.jwe'))).stderr).toMatch(/^ERR_/);
  expect(await ok('ada', 'keys', 'alias', 'list')).not.toContain(name);
});
type Described = { keyId: string; versions: { state: string; missing?: { why: string } }[] };
const opensslIsThere = spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout?.startsWith('OpenSSL 3');

test('a key of one’s own is brought by the commands of the manual, used, lost and brought again, and leaves for a recipient', async () => {
  const [bring, byOpenssl, take] = blocksOf('Bring your own key') as [string[], string[], string[]];
  const material = randomBytes(32);
  writeFileSync(file('material.bin'), material);
  const brought = bring.map((line) =>
    line === 'KEY=k_…'
      ? `KEY=$(claviger keys list --origin external --name-prefix bank/cards | sed -n 's/^\\(k_[A-Za-z0-9]*\\) .*/\\1/p')`
      : line,
  );
  const first = await run(cli, brought);
  expect([first.code, first.stderr]).toEqual([0, expect.stringContaining('import-material')]);
  for (const line of byOpenssl) expect(first.stderr).toContain(line);
  expect(first.stderr).toMatch(
    /import-material k_\S+ --token import\/import-token --wrapped material.wrapped --prior-encryptions N --reason TEXT/,
  );
  const [{ keyId }] = (await json<Described[]>('kim', 'keys', 'list', '--exportable', 'yes')) as [Described];
  writeFileSync(file('own'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('own'), '--out', file('own.jwe'));
  const decrypt = () => as('payments-api', 'decrypt', keyId, '--in', file('own.jwe'), '--reveal');
  // Whoever has the material opens what was encrypted with it, with nothing of Claviger.
  const [head, , iv, sealed, tag] = readFileSync(file('own.jwe'), 'utf8').trim().split('.') as [string, string, string, string, string];
  const decipher = createDecipheriv('aes-256-gcm', material, Buffer.from(iv, 'base64url')).setAAD(Buffer.from(head));
  decipher.setAuthTag(Buffer.from(tag, 'base64url'));
  expect(Buffer.concat([decipher.update(Buffer.from(sealed, 'base64url')), decipher.final()]).toString()).toContain('forty-two');

  await ok('kim', 'keys', 'delete-material', keyId, '--reason', 'not needed for now');
  expect((await decrypt()).stderr).toMatch(/^ERR_KEY_MATERIAL_MISSING/);
  expect(await ok('kim', 'keys', 'describe', keyId)).toContain('active without material (deleted)');
  const again = [
    '--token',
    file('import/import-token'),
    '--wrapped',
    file('material.wrapped'),
    '--prior-encryptions',
    '1',
    '--reason',
    'back',
  ];
  expect((await as('kim', 'keys', 'import-material', keyId, ...again)).stderr).toMatch(/^ERR_IMPORT_PARAMETERS/);
  await ok('kim', 'keys', 'import-parameters', keyId, '--out', file('import'));
  expect((await as('kim', 'keys', 'import-material', keyId, ...again)).stderr).toMatch(/^ERR_IMPORT_REFUSED/);
  // By openssl where it is; with other material first.
  writeFileSync(file('other.bin'), randomBytes(32));
  const wrap = ['keys', 'wrap-material', '--public-key', file('import/wrapping-key.pem'), '--out', file('material.wrapped'), '--material'];
  await ok('kim', ...wrap, file('other.bin'));
  expect((await as('kim', 'keys', 'import-material', keyId, ...again)).stderr).toMatch(/^ERR_KEY_MATERIAL_DIFFERENT/);
  if (opensslIsThere) expect(await run(cli, byOpenssl)).toMatchObject({ code: 0 });
  else await ok('kim', ...wrap, file('material.bin'));
  await ok('kim', 'keys', 'import-material', keyId, ...again);
  expect((await decrypt()).stdout).toBe('forty-two');

  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  writeFileSync(file('recipient.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  writeFileSync(file('recipient.pub.pem'), publicKey.export({ format: 'pem', type: 'spki' }));
  const leave = (who = 'owen') => run(cli, take, `KEY=${keyId}`, who);
  expect((await leave('kim')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  const refused = await leave();
  expect(refused.stderr).toMatch(/^ERR_APPROVAL_REQUIRED/);
  expect(refused.stderr).toContain(`claviger --request-approval 'WHY IT IS NEEDED' keys export ${keyId}`);
  await enrolOfficers();
  const change = await requestedExport(keyId);
  expect(await ok('sam', 'changes', 'show', change)).toContain(`  keyId = ${keyId}`);
  const approve = (who: string) =>
    ok(who, 'changes', 'approve', change, '--yes', '--key', file(`${who}.key`), '--passphrase-file', file('phrase'));
  expect(await approve('sam')).toContain('requested');
  expect((await as('owen', 'changes', 'execute', change)).stderr).toMatch(/^ERR_APPROVAL_REQUIRED: 1 of 2/);
  expect(await approve('sue')).toContain('approved');
  const exporting = exportOf(keyId);
  expect((await as('owen', '--change', change, ...exporting.with(6, 'to somebody else'))).stderr).toMatch(/^ERR_CHANGE_MISMATCH/);
  // By two at once, the replica of the service that answers first does it; only one of them gets the material.
  const both = await Promise.all([
    as('owen', '--change', change, ...exporting),
    as('owen', 'changes', 'execute', change, '--out', file('by-execute')),
  ]);
  expect(both.map(({ code }) => code).sort()).toEqual([0, 2]);
  expect(both.map(({ stderr }) => stderr).join('')).toContain('ERR_CHANGE_USED');
  expect((await as('owen', '--change', change, ...exporting)).stderr).toMatch(/^ERR_CHANGE_USED/);
  await until(async () => (await ok('ada', 'changes', 'show', change)).includes('(executed)'), { what: 'it to be told', everyMs: 200 });
  const wrapped = existsSync(file('exported.wrapped'))
    ? readFileSync(file('exported.wrapped'))
    : Buffer.from((JSON.parse(readFileSync(file('by-execute'), 'utf8')) as { wrappedMaterial: string }).wrappedMaterial, 'base64url');
  writeFileSync(file('taken.wrapped'), wrapped);
  const unwrap = ['keys', 'unwrap-material', '--private-key', file('recipient.pem'), '--wrapped', file('taken.wrapped')];
  await ok('owen', ...unwrap, '--out', file('exported.bin'));
  expect(readFileSync(file('exported.bin'))).toEqual(material);
  const digest = createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest('base64url');
  await until(async () => (await ok('ada', '--json', 'audit', 'query', '--key', keyId)).includes(digest), {
    what: 'the recipient in the ledger',
    timeoutMs: 20_000,
    everyMs: 200,
  });

  // Its owner opens what is one tenant's for half an hour, as another approved.
  await ok('payments-api', 'encrypt', keyId, '--in', file('own'), '--context', 'tenant=acme', '--out', file('acme.jwe'));
  const open = () => as('owen', 'decrypt', keyId, '--in', file('acme.jwe'), '--context', 'tenant=acme', '--reveal');
  expect((await open()).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  const asking = ['access', 'request', '--action', 'crypto:Decrypt', '--key', keyId, '--context-equals', 'tenant=acme', '--minutes', '30'];
  const asked = await as('owen', ...asking, '--reason', 'incident 42');
  expect(asked).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERR_APPROVAL_REQUIRED: requested as ch_/) });
  const granting = /ch_\w{22}/.exec(asked.stderr)?.[0] as string;
  expect(await ok('sam', 'access', 'requests')).toContain(granting);
  await ok('sam', 'changes', 'approve', granting, '--yes', '--key', file('sam.key'), '--passphrase-file', file('phrase'));
  await ok('owen', 'changes', 'execute', granting);
  await until(async () => (await open()).stdout === 'forty-two', {
    what: 'the grant to be in force everywhere',
    timeoutMs: 20_000,
    everyMs: 200,
  });
  expect((await as('owen', 'decrypt', keyId, '--in', file('own.jwe'), '--reveal')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  const grants = await ok('owen', 'access', 'grants');
  expect(grants).toContain(`crypto:Decrypt of ${keyId} for the context tenant=acme`);
  await ok('owen', 'access', 'revoke-grant', /jit-\w+/.exec(grants)?.[0] as string, '--reason', 'done');
  await until(async () => (await open()).stderr.startsWith('ERR_ACCESS_DENIED'), {
    what: 'the grant to be over',
    timeoutMs: 20_000,
    everyMs: 200,
  });
}, 180_000);

/** Sam, and Sue who is new, with a key each that they made themselves. */
async function enrolOfficers(): Promise<void> {
  writeFileSync(file('phrase'), 'a long enough passphrase', { mode: 0o600 });
  await ok('sam', 'policy', 'export', file('policies'));
  const path = file('policies/principals.json');
  const people = JSON.parse(readFileSync(path, 'utf8')) as Principal[];
  people.push({ id: 'sue', kind: 'person', roles: ['security-officer'], disabled: false, revision: 1, identities: [{ kind: 'token' }] });
  const { sue } = await system.stack.tokens([{ id: 'sue', kind: 'person', roles: ['security-officer'] }]);
  writeFileSync(file('sue.token'), sue as string, { mode: 0o600 });
  for (const id of ['sam', 'sue']) {
    const made = await ok(id, '--json', 'approvals', 'new-key', '--out', file(`${id}.key`), '--passphrase-file', file('phrase'));
    const person = people.find((one) => one.id === id) as (typeof people)[number];
    person.approvalKeys = [JSON.parse(made) as ApprovalKey];
  }
  writeFileSync(path, JSON.stringify(people));
  await ok('sam', 'policy', 'publish', file('policies'), '--reason', 'two officers who approve');
}

const exportOf = (keyId: string) => [
  ...['keys', 'export', keyId, '--recipient', file('recipient.pub.pem'), '--reason', 'to the acquirer'],
  ...['--out', file('exported.wrapped')],
];

async function requestedExport(keyId: string): Promise<string> {
  const exporting = exportOf(keyId);
  const requested = await until(
    async () => {
      const said = await as('owen', '--json', '--request-approval', 'the business is sold', ...exporting);
      return said.stderr.includes('"change"') ? said : undefined;
    },
    { what: 'the officers to be in force everywhere', timeoutMs: 20_000 },
  );
  expect(requested.code).toBe(2);
  return (JSON.parse(requested.stderr) as { error: { change: string } }).error.change;
}

test('a KEK and the root of the token are rotated by jobs while keys are used; what was encrypted before still opens', async () => {
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/rewrapped', '--consumer', 'payments-api');
  writeFileSync(file('rewrapped'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('rewrapped'), '--out', file('rewrapped.jwe'));
  const opens = () => ok('payments-api', 'decrypt', keyId, '--in', file('rewrapped.jwe'), '--reveal');
  type Job = { jobId: string; phase: string; done: number; total: number; state: string };
  const reason = ['--reason', 'yearly'];
  const rotate = ['keks', 'rotate', '--environment', 'development', '--classification', 'internal', ...reason];
  expect((await as('payments-api', ...rotate)).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  const { jobId } = await json<Job>('kim', ...rotate);
  expect(await json<Job>('kim', ...rotate)).toMatchObject({ jobId });
  const reaches = (id: string) =>
    until(
      async () => {
        const job = await json<Job>('kim', 'jobs', 'show', id);
        return job.phase === 'verifying' ? job : undefined;
      },
      { what: `${id} to have rewrapped everything`, timeoutMs: 60_000 },
    );
  const job = await reaches(jobId);
  expect(job.done).toBe(job.total);
  expect(await opens()).toBe('forty-two');
  const keks = () => json<{ keks: { kekId: string; state: string; rootLabel: string }[] }>('ada', 'keks', 'list');
  expect((await keks()).keks).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ kekId: 'kek_development_internal_1', state: 'retiring' }),
      expect.objectContaining({ kekId: 'kek_development_internal_2', state: 'active' }),
    ]),
  );
  expect(await json('kim', 'keys', 'describe', keyId)).toMatchObject({ versions: [{ kekId: 'kek_development_internal_2' }] });
  expect(await ok('ada', 'keys', 'tree')).toContain('kek_development_internal_1 (development, internal, retiring)');
  expect(await json<Job>('olga', 'jobs', 'pause', jobId, ...reason)).toMatchObject({ state: 'paused' });
  expect(await ok('ada', 'jobs', 'list')).toMatch(new RegExp(`${jobId} +rotate-kek +paused`));
  await ok('olga', 'jobs', 'resume', jobId, ...reason);
  expect((await as('olga', 'keks', 'rotate-root', ...reason)).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  await reaches((await json<Job>('kim', 'keks', 'rotate-root', ...reason)).jobId);
  expect((await keks()).keks.map(({ rootLabel }) => rootLabel)).toEqual(expect.not.arrayContaining(['root']));
  // A worker that was started before the new root was made finds it.
  expect(await opens()).toBe('forty-two');
  const made = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/under-root-2', '--consumer', 'payments-api');
  await ok('payments-api', 'encrypt', made.keyId, '--in', file('rewrapped'), '--out', file('new-root.jwe'));
  expect((await as('kim', 'keks', 'destroy-root', 'root-2', ...reason)).stderr).toMatch(/^ERR_KEY_STATE.*rotate it first/s);
  expect((await as('kim', 'keks', 'destroy-root', 'root', ...reason)).stderr).toMatch(/^ERR_KEY_STATE.*less than 120 s ago/s);
}, 120_000);

// The last: who lists keys after it finds more than a page of them.
test('many keys are made from a file, each decided and recorded as if it had come alone; run again, it goes on where it ended', async () => {
  const plain: object[] = Array.from({ length: 120 }, (_, n) => ({ name: `many/${n}`, algorithm: 'AES_256' }));
  const write = (wanted: object[]) => writeFileSync(file('many.ndjson'), wanted.map((line) => JSON.stringify(line)).join('\n'));
  const createMany = async () => {
    const { code, stdout, stderr } = await as('kim', '--json', 'keys', 'create-many', '--file', file('many.ndjson'));
    const made = stdout
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Made);
    return { code, stderr, made: made.toSorted((a, b) => a.line - b.line) };
  };
  type Made = { line: number; name: string; outcome: string; keyId?: string; problem?: { code: string; detail: string } };
  write([
    { name: 'many/pair', algorithm: 'EC_P256', consumers: ['payments-api'] },
    // No AES key signs.
    { name: 'many/sign', algorithm: 'AES_256', usage: 'sign' },
    ...plain,
  ]);
  const first = await createMany();
  expect(first.code).toBe(1);
  expect(first.stderr).toContain('121 created');
  expect(first.made.map(({ name, outcome, problem }) => [name, problem?.code ?? outcome]).slice(0, 3)).toEqual([
    ['many/pair', 'created'],
    ['many/sign', 'ERR_KEY_USAGE'],
    ['many/0', 'created'],
  ]);
  const recordsOf = async () => {
    const records = await json<{ record: { action: string; outcome: string; keyId?: string } }[]>(
      ...(['ada', 'audit', 'query', '--action', 'keys:Create', '--limit', '1000'] as const),
    );
    const ids = new Set(first.made.map(({ keyId }) => keyId));
    return records.filter(({ record }) => record.keyId !== undefined && ids.has(record.keyId) && record.outcome === 'success');
  };
  await until(async () => (await recordsOf()).length === 121, { what: 'one record for each key that was made', timeoutMs: 20_000 });

  write([...plain, { name: 'many/0', algorithm: 'AES_128' }, { name: 'many/new', algorithm: 'HMAC_SHA_256' }]);
  const second = await createMany();
  expect(second.stderr).toContain('1 created');
  expect(second.made.slice(0, 120).every(({ outcome }) => outcome === 'exists')).toBe(true);
  expect(second.made.slice(120).map(({ outcome, problem }) => problem?.detail ?? outcome)).toEqual([
    expect.stringContaining('has the name already, and another algorithm'),
    'created',
  ]);
  expect(await recordsOf()).toHaveLength(121);

  // Production asks for a second factor, which kim has not here.
  const { kim } = await system.stack.tokens([{ ...cast.kim, mfa: false }]);
  await using client = await connect({ servers: system.stack.broker.url, principal: 'kim', credential: { token: kim as string } });
  const items = [
    { name: 'many/production', algorithm: 'AES_256' as const, environment: 'production' as const },
    { name: 'many/development', algorithm: 'AES_256' as const },
  ];
  const { results } = await client.keys.createBatch({ items });
  expect(results).toMatchObject([{ problem: { code: 'ERR_ACCESS_DENIED' } }, { result: { name: 'many/development' } }]);
  expect(new Set(results.map(({ receipt }) => `${receipt?.worker} ${receipt?.seq} ${receipt?.index}`)).size).toBe(2);
}, 60_000);
