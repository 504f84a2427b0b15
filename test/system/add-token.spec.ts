import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMachine, runCommand, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FaultToken } from '../fault-token/fault-token';

const { libraryPath } = readMachine().pkcs11;
let folder: TemporaryFolder;
let installation: string;

beforeAll(async () => {
  folder = await temporaryFolder('add-token');
  installation = join(folder.path, 'installation');
  expect(await bootstrap('ceremony')).toMatchObject({ code: 0 });
}, 60_000);
afterAll(() => folder.remove());

/** Offline, with nothing of this process's environment but PATH. */
const bootstrap = (command: string, ...args: string[]) => bootstrapWith({ PKCS11_LIBRARY: libraryPath }, command, ...args);
const bootstrapWith = (env: { PKCS11_LIBRARY: string }, command: string, ...args: string[]) =>
  runCommand(
    process.execPath,
    [
      join(workspaceRoot(), 'dist/apps/cli/main.js'),
      ...['--json', 'bootstrap', command, '--folder', installation, '--library', env.PKCS11_LIBRARY],
      ...args,
    ],
    { allowFailure: true, env: { PATH: process.env.PATH, ...env } },
  );
const listed = () => JSON.parse(readFileSync(join(installation, 'further-tokens.json'), 'utf8')) as object[];
const pin = (name: string) => join(installation, 'pins', name);

test('a token is initialised with PINs of its own and named for the workers; doing it again changes nothing', async () => {
  const first = await bootstrap('add-token', '--label', 'second');
  expect(first).toMatchObject({ code: 0, stderr: expect.stringContaining('initialised') });
  const entry = { label: 'second', library: libraryPath, pinFile: pin('second.pin') };
  expect(JSON.parse(first.stdout)).toEqual({
    ...{ label: 'second', family: 'softhsm' },
    env: { FURTHER_TOKENS_FILE: join(installation, 'further-tokens.json') },
  });
  expect(listed()).toEqual([entry]);
  for (const name of ['second.pin', 'second.so-pin']) {
    expect(statSync(pin(name)).mode & 0o777).toBe(0o600);
    expect(first.stdout + first.stderr).not.toContain(readFileSync(pin(name), 'utf8').trim());
  }
  const before = readFileSync(pin('second.pin'), 'utf8');
  const again = await bootstrap('add-token', '--label', 'second');
  expect(again).toMatchObject({ code: 0, stdout: first.stdout, stderr: expect.stringContaining('there already') });
  expect([readFileSync(pin('second.pin'), 'utf8'), listed()]).toEqual([before, [entry]]);

  await bootstrap('add-token', '--label', 'third');
  expect(listed()).toMatchObject([{ label: 'second' }, { label: 'third' }]);
});

test('a token that was initialised elsewhere is only opened, with the PIN that is given', async () => {
  const absent = await bootstrap('add-token', '--label', 'elsewhere', '--pin-file', pin('second.pin'));
  expect(absent).toMatchObject({ code: 5, stdout: '' });
  expect(absent.stderr).toContain('elsewhere');
  writeFileSync(pin('wrong'), 'not-the-pin', { mode: 0o600 });
  const wrong = await bootstrap('add-token', '--label', 'second', '--pin-file', pin('wrong'));
  expect(wrong).toMatchObject({ code: 5, stdout: '' });
  expect(wrong.stderr).not.toContain('not-the-pin');
  expect(listed()).not.toContainEqual(expect.objectContaining({ pinFile: pin('wrong') }));
  expect(await bootstrap('add-token', '--label', 'second', '--pin-file', pin('second.pin'))).toMatchObject({ code: 0 });
});

test("a token of that label that was there is somebody else's: no PIN of ours is made or offered", async () => {
  const fault = await FaultToken.start();
  await bootstrap('add-token', '--label', 'of-another');
  for (const name of ['of-another.pin', 'of-another.so-pin']) renameSync(pin(name), `${folder.path}/${name}`);
  writeFileSync(join(installation, 'further-tokens.json'), JSON.stringify(listed().slice(0, -1)));
  const before = readdirSync(join(installation, 'pins'));
  const refused = await bootstrapWith(fault.env, 'add-token', '--label', 'of-another');
  expect(refused).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('--pin-file') });
  expect([fault.calls('C_GetTokenInfo') > 0, fault.calls('C_Login')]).toEqual([true, 0]);
  expect(readdirSync(join(installation, 'pins'))).toEqual(before);
  expect(await bootstrap('add-token', '--label', 'of-another', '--pin-file', `${folder.path}/of-another.pin`)).toMatchObject({ code: 0 });
  await fault.stop();
});

test('a token of the installation itself is not added beside itself', async () => {
  const before = listed();
  for (const label of ['customer', 'control', 'ledger', 'detection']) {
    const refused = await bootstrap('add-token', '--label', label, '--pin-file', pin(`${label}.pin`));
    expect(refused).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('of the installation itself') });
  }
  expect(listed()).toEqual(before);
});

test('what is listed keeps its place, its distance and its PIN file when it is added again', async () => {
  const file = join(installation, 'further-tokens.json');
  const [first, ...others] = listed();
  const elsewhere = join(folder.path, 'second.pin');
  renameSync(pin('second.pin'), elsewhere);
  const kept = [{ ...first, distance: 'far', pinFile: elsewhere }, ...others];
  expect(kept).toMatchObject([{ label: 'second' }, { label: 'third' }, {}]);
  writeFileSync(file, JSON.stringify(kept));
  expect(await bootstrap('add-token', '--label', 'second')).toMatchObject({ code: 0 });
  expect(listed()).toEqual(kept);
  expect(existsSync(pin('second.pin'))).toBe(false);
});

test('a label that is none, and a folder without an installation, are refused before anything is made', async () => {
  expect(await bootstrap('add-token', '--label', '../customer')).toMatchObject({ code: 64 });
  const nowhere = installation;
  installation = join(folder.path, 'nowhere');
  const refused = await bootstrap('add-token', '--label', 'second');
  expect(refused.stderr).toContain('claviger bootstrap ceremony');
  expect(existsSync(installation)).toBe(false);
  installation = nowhere;
});

test('a token that is to take the place of the customer token has a certifier of its own, in trust.json and beside the other; again, nothing changes', async () => {
  const trust = () => JSON.parse(readFileSync(join(installation, 'trust.json'), 'utf8')) as { certifiers: Record<string, string> };
  const before = trust();
  const successor = () => bootstrap('successor', '--label', 'hsm-2');
  const first = await successor();
  const env = { PKCS11_LIBRARY: libraryPath, HSM_TOKEN_LABEL: 'hsm-2', HSM_PIN_FILE: pin('hsm-2.pin') };
  expect(first.code).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject({ label: 'hsm-2', certifier: 'customer-certifier-2', envAfter: env });
  const certifiers = { ...before.certifiers, 'customer-certifier-2': expect.any(String) };
  expect(trust()).toEqual({ ...before, certifiers });
  expect(new Set(Object.values(trust().certifiers)).size).toBe(Object.keys(certifiers).length);
  const customer = { label: 'customer', library: libraryPath, pinFile: pin('customer.pin'), retired: true };
  expect(listed()).toEqual(expect.arrayContaining([{ label: 'hsm-2', library: libraryPath, pinFile: pin('hsm-2.pin') }, customer]));
  const [after, list] = [trust(), listed()];
  expect(await successor()).toMatchObject({ code: 0, stdout: first.stdout });
  expect([trust(), listed()]).toEqual([after, list]);
  expect((await bootstrap('successor', '--label', 'hsm-2', '--in-place-of', 'hsm-2')).stderr).toContain('cannot take its own place');
});

test('a list that is full takes no further token: it says so before one is made', async () => {
  const list = join(installation, 'further-tokens.json');
  const before = readFileSync(list, 'utf8');
  const full = Array.from({ length: 8 }, (_, n) => ({ label: `t${n}`, library: libraryPath, pinFile: pin(`t${n}.pin`) }));
  writeFileSync(list, JSON.stringify(full));
  const refused = await bootstrap('add-token', '--label', 'ninth');
  expect(refused).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('8 tokens') });
  expect(existsSync(pin('ninth.so-pin'))).toBe(false);
  writeFileSync(list, before);
});
