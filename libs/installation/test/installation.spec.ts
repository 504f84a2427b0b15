import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certifierOf, Trust } from '@claviger/contracts';
import { p256PublicKey, parseVerifierKey } from '@claviger/ledger';
import { builtProgram, readMachine, runCommand, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { layout, readSecret, tokenNames, tokenOf, writeSecret } from '../src/index';

let program: string;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let place: ReturnType<typeof layout>;

beforeAll(async () => {
  program = await builtProgram('deploy/local/install.ts');
});
beforeEach(async () => {
  folder = await temporaryFolder('installation-spec');
  place = layout(join(folder.path, 'installation'));
});
afterEach(() => folder.remove());

/** In a process of its own: the token library reads the C environment. */
const install = () =>
  runCommand(process.execPath, [program, place.folder, readMachine().pkcs11.libraryPath], { cwd: workspaceRoot(), allowFailure: true });
const files = (under: string): string[] =>
  readdirSync(under, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
const contents = (under: string) => Object.fromEntries(files(under).map((file) => [file, readFileSync(file).toString('base64')]));
const mode = (path: string) => statSync(path).mode & 0o777;

test('an installation has a token for each duty, a user for each service, and the public keys of all; made again it stays as it is', async () => {
  expect((await install()).code).toBe(0);
  const trust = Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8')));
  expect(Object.keys(trust.certifiers).sort()).toEqual([...new Set(Object.values(certifierOf))].sort());
  const p256 = [...Object.values(trust.control), ...Object.values(trust.certifiers)];
  for (const spki of p256) expect(p256PublicKey(Buffer.from(spki, 'base64url')).asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  expect(new Set(p256).size).toBe(5);
  expect(parseVerifierKey(trust.ledger.vkey).name).toBe(trust.ledger.origin);
  expect(new Set(tokenNames.map((name) => readSecret(place.pinFile(name)))).size).toBe(tokenNames.length);
  expect(readdirSync(place.tokens).sort()).toEqual([...tokenNames].sort());
  for (const service of Object.keys(tokenOf)) expect(readSecret(place.nkeyFile(service))).toMatch(/^SU[A-Z2-7]+$/);

  const before = contents(place.folder);
  expect((await install()).code).toBe(0);
  expect(contents(place.folder)).toEqual(before);
});

test('secrets are readable by their owner only, and no public file holds one', async () => {
  const { stdout, stderr } = await install();
  const secrets = [place.pins, join(place.folder, 'nkeys')].flatMap(files);
  expect(secrets).toHaveLength(tokenNames.length * 2 + Object.keys(tokenOf).length + 5);
  for (const file of secrets) expect([file, mode(file)]).toEqual([file, 0o600]);
  for (const dir of [place.folder, place.pins, join(place.folder, 'nkeys'), ...tokenNames.map(place.tokenFolder)])
    expect([dir, mode(dir)]).toEqual([dir, 0o700]);
  const open = [stdout, stderr, ...[place.trustFile, place.identitiesFile].map((file) => readFileSync(file, 'utf8'))].join();
  for (const file of secrets) expect(open).not.toContain(readSecret(file));
});

test('a ceremony that was interrupted is held anew, and its half-made tokens are gone', async () => {
  await install();
  const before = readFileSync(place.trustFile, 'utf8');
  // As if it had ended before its last token.
  writeFileSync(place.begunFile, '');
  rmSync(place.trustFile);
  rmSync(place.tokenFolder('ledger'), { recursive: true });
  expect(await install()).toMatchObject({ code: 0, stdout: expect.stringContaining('begun anew') });
  expect(Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8')))).not.toEqual(JSON.parse(before));
  expect(existsSync(place.begunFile)).toBe(false);
});

test('broker identities that were interrupted are made anew', async () => {
  await install();
  rmSync(place.identitiesFile);
  expect((await install()).code).toBe(0);
  expect(JSON.parse(readFileSync(place.identitiesFile, 'utf8'))).toHaveProperty('services.policy');
});

test('an installation that lost its trust.json is never made anew: its roots stay', async () => {
  await install();
  rmSync(place.trustFile);
  const before = contents(place.tokens);
  const { code, stderr } = await install();
  expect([code, stderr]).toEqual([1, expect.stringContaining('restore it from a backup')]);
  expect(contents(place.tokens)).toEqual(before);
  expect(existsSync(place.trustFile)).toBe(false);
});

test('a secret file is never written over', () => {
  const path = join(folder.path, 'x.pin');
  writeSecret(path, 'first');
  expect(() => writeSecret(path, 'second')).toThrow(/EEXIST/);
  expect(readSecret(path)).toBe('first');
  expect(readdirSync(folder.path)).toEqual(['x.pin']);
});

test('a medium without hard links takes a secret as well, and what lies there already stays', () => {
  const path = join(folder.path, 'share.txt');
  const link = () => {
    throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' });
  };
  writeSecret(path, 'first', link);
  expect(() => writeSecret(path, 'second', link)).toThrow(/EEXIST/);
  expect([readSecret(path), mode(path), readdirSync(folder.path)]).toEqual(['first', 0o600, ['share.txt']]);
  const noSpace = () => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  };
  expect(() => writeSecret(join(folder.path, 'other.txt'), 'x', noSpace)).toThrow('ENOSPC');
  expect(readdirSync(folder.path)).toEqual(['share.txt']);
});

test('what an interrupted run wrote of a secret is neither taken for it nor in its way', () => {
  const path = join(folder.path, 'x.pin');
  writeFileSync(`${path}.partial`, 'fir', { mode: 0o644 });
  writeSecret(path, 'second');
  expect([readSecret(path), mode(path), readdirSync(folder.path)]).toEqual(['second', 0o600, ['x.pin']]);
});
