import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readMachine, runCommand, startChild, type TemporaryFolder, temporaryFolder, until, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { FaultToken } from '../fault-token/fault-token';

const { pkcs11, kryoptic } = readMachine();
const families = [['softhsm', pkcs11.libraryPath], ...(kryoptic ? [['kryoptic', kryoptic.libraryPath]] : [])] as [string, string][];
let folder: TemporaryFolder;
let installation: string;
const faults: Record<string, FaultToken> = {};
const libraries: Record<string, string> = {};

beforeAll(async () => {
  folder = await temporaryFolder('add-token-interrupted');
  installation = join(folder.path, 'installation');
  for (const [family, library] of families) {
    faults[family] = await FaultToken.start({ library });
    // A library is known as kryoptic by its name.
    libraries[family] = join(folder.path, `${family}-with-faults.so`);
    copyFileSync(faults[family].libraryPath, libraries[family]);
  }
  const place = ['--folder', installation, '--library', pkcs11.libraryPath];
  await runCommand(process.execPath, [claviger, 'bootstrap', 'ceremony', ...place], { env: { PATH: process.env.PATH } });
}, 60_000);
// It takes 8 at most.
beforeEach(() => rmSync(join(installation, 'further-tokens.json'), { force: true }));
afterAll(async () => {
  for (const fault of Object.values(faults)) await fault.stop();
  await folder?.remove();
});

const claviger = join(workspaceRoot(), 'dist/apps/cli/main.js');
const args = (family: string, label: string) => [
  ...[claviger, 'bootstrap', 'add-token', '--folder', installation],
  ...['--library', libraries[family] as string, '--label', label],
];
const env = (family: string) => ({ PATH: process.env.PATH, ...faults[family]?.env });
const addToken = (family: string, label: string) =>
  runCommand(process.execPath, args(family, label), { env: env(family), allowFailure: true });
/** Kills it while it is in this call, of which nothing was done yet. */
async function killIn(call: 'C_InitToken' | 'C_InitPIN' | 'C_CloseSession', family: string, label: string): Promise<void> {
  const fault = faults[family] as FaultToken;
  // Those that were killed are counted on as waiting.
  const before = fault.waiting(call);
  fault.hang(call);
  const child = await startChild(process.execPath, args(family, label), { env: env(family) });
  await until(() => fault.waiting(call) > before, { what: `add-token to be in ${call}` });
  await child.kill9();
  fault.clear();
}
const pins = (label: string) => {
  const of = readdirSync(join(installation, 'pins')).filter((name) => name.startsWith(`${label}.`));
  return of.sort().map((name) => [name, readFileSync(join(installation, 'pins', name), 'utf8')] as const);
};
const listed = () =>
  (JSON.parse(readFileSync(join(installation, 'further-tokens.json'), 'utf8')) as { label: string }[]).map((t) => t.label);

const moments = ['C_InitToken', 'C_InitPIN', 'C_CloseSession'] as const;
test.each(families.flatMap(([family]) => moments.map((call) => [family, call] as const)))(
  '%s: killed at %s, the same command finishes the work with the PINs that were written before',
  async (family, call) => {
    const label = `${family}-${call.slice(2)}`;
    await killIn(call, family, label);
    const begun = pins(label);
    expect(begun.map(([name]) => name)).toEqual([`${label}.pin.begun`, `${label}.so-pin`]);
    expect(existsSync(join(installation, 'further-tokens.json')) ? listed() : []).not.toContain(label);

    expect(await addToken(family, label)).toMatchObject({ code: 0, stderr: expect.stringContaining('initialised') });
    expect(pins(label)).toEqual([
      [`${label}.pin`, begun[0]?.[1]],
      [`${label}.so-pin`, begun[1]?.[1]],
    ]);
    expect(listed()).toContain(label);
    expect(await addToken(family, label)).toMatchObject({ code: 0, stderr: expect.stringContaining('there already') });
  },
);

// Slots that are free but taken are kryoptic's alone; it is built where cargo is, and the set-up says so where it is not.
(kryoptic ? test : test.skip)('kryoptic: a second token leaves the slot of an interrupted one alone', async () => {
  await killIn('C_InitToken', 'kryoptic', 'slot-of-first');
  expect(await addToken('kryoptic', 'slot-of-second')).toMatchObject({ code: 0 });
  expect(await addToken('kryoptic', 'slot-of-first')).toMatchObject({ code: 0 });
  for (const label of ['slot-of-first', 'slot-of-second'])
    expect(readFileSync(join(installation, 'tokens', label, 'objects.sql')).includes(label.padEnd(32))).toBe(true);
});

test('a PIN file that could not be written to its end is no PIN file, and nothing was initialised with it', async () => {
  const [fault, label] = [faults.softhsm as FaultToken, 'full-disk'];
  const initialised = fault.calls('C_InitToken');
  // No file may grow beyond 0 blocks.
  const limited = ['-c', 'ulimit -f 0; exec "$@"', 'sh', process.execPath, ...args('softhsm', label)];
  expect((await runCommand('sh', limited, { env: env('softhsm'), allowFailure: true })).code).not.toBe(0);
  expect(pins(label).map(([name]) => name)).toEqual([]);
  expect(fault.calls('C_InitToken')).toBe(initialised);
  expect(await addToken('softhsm', label)).toMatchObject({ code: 0 });
  for (const [name] of pins(label)) expect(statSync(join(installation, 'pins', name)).mode & 0o777).toBe(0o600);
});

test.each([true, false])('a token that was complete and whose storage is away is not made anew (listed: %s)', async (isListed) => {
  const label = `away-${isListed}`;
  expect(await addToken('softhsm', label)).toMatchObject({ code: 0 });
  const before = pins(label);
  const [list, objects] = [join(installation, 'further-tokens.json'), join(installation, 'tokens', 'customer', 'objects')];
  if (!isListed) renameSync(list, `${list}.lost`);
  renameSync(objects, `${objects}.away`);
  // As a volume that is not mounted: SoftHSM shows a free slot.
  mkdirSync(objects);
  const initialised = faults.softhsm?.calls('C_InitToken');
  expect(await addToken('softhsm', label)).toMatchObject({ code: 5, stderr: expect.stringContaining('HSM_TOKEN_NOT_FOUND') });
  expect(readdirSync(objects)).toEqual([]);
  rmdirSync(objects);
  renameSync(`${objects}.away`, objects);
  expect(faults.softhsm?.calls('C_InitToken')).toBe(initialised);
  expect(await addToken('softhsm', label)).toMatchObject({ code: 0, stderr: expect.stringContaining('there already') });
  expect(pins(label)).toEqual(before);
});
