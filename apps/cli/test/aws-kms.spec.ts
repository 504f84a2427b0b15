import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateAliasCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DisableKeyCommand,
  EnableKeyRotationCommand,
  KMSClient,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import type { KeyProfile } from '@claviger/contracts';
import { type Child, freePort, readMachine, startChild, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { discoveredInAws } from '../src/discovery/aws-key';
import { type AwsLook, keysInAwsKms } from '../src/discovery/aws-kms';
import type { DiscoveredKey } from '../src/discovery/discovered';
import { Finding } from '../src/exit-codes';
import { createProgram } from '../src/program';
import { sarifProblems } from './sarif-schema';

const region = 'eu-central-1';
const emulator = readMachine().kmsEmulator;
/** `npm run setup` installs it where Python is. */
const testInEmulator = emulator ? test : test.skip;
let server: Child | undefined;
let client: KMSClient;
const before = { ...process.env };

beforeAll(async () => {
  if (!emulator) return;
  const port = String(await freePort());
  server = await startChild(emulator.python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', port], { name: 'moto' });
  const endpoint = `http://127.0.0.1:${port}`;
  await until(async () => (await fetch(`${endpoint}/moto-api/`)).status > 0, { what: 'the emulator', timeoutMs: 60_000 });
  Object.assign(process.env, { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  client = new KMSClient({ region });
}, 90_000);
afterAll(async () => {
  client?.destroy();
  await server?.stop();
  process.env = before;
});

const profiles: KeyProfile[] = [
  { id: 'restricted', description: 'd', environments: ['production'], classifications: ['restricted'], rotateWithinDays: 90 },
];
const create = async (more: CreateKeyCommandInput = {}, tags: Record<string, string> = {}, alias?: string) => {
  const Tags = Object.entries(tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ ...more, ...(Tags.length > 0 ? { Tags } : {}) }));
  const id = KeyMetadata?.KeyId as string;
  if (alias) await client.send(new CreateAliasCommand({ AliasName: `alias/${alias}`, TargetKeyId: id }));
  return id;
};

testInEmulator(
  'keys of AWS KMS are found with what they fall short of, and with the profiles that their tags name',
  async () => {
    const restricted = { environment: 'production', classification: 'restricted' };
    const lazy = await create({}, restricted, 'lazy');
    const rotated = await create({}, restricted, 'rotated');
    await client.send(new EnableKeyRotationCommand({ KeyId: rotated }));
    const signer = await create({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }, restricted, 'signer');
    const doomed = await create({}, { environment: 'development', classification: 'public' });
    await client.send(new ScheduleKeyDeletionCommand({ KeyId: doomed, PendingWindowInDays: 7 }));
    const off = await create({ Origin: 'EXTERNAL' });
    await client.send(new DisableKeyCommand({ KeyId: off }));
    const look: AwsLook = { profiles, unseen: [] };
    const found = new Map<string, DiscoveredKey>();
    for await (const key of keysInAwsKms(region, look)) found.set(/key\/([0-9a-f-]+)/.exec(key.place)?.[1] as string, key);
    expect(look.unseen).toEqual([]);
    const drift = (id: string) => found.get(id)?.drift.map(({ why }) => why);
    expect(found.get(lazy)).toMatchObject({
      place: expect.stringContaining('(alias/lazy)'),
      id: expect.stringMatching(/^arn:aws:kms:[^ ]*$/),
      kind: 'secret',
      algorithm: 'AES_256',
      protection: 'cloud',
    });
    expect(drift(lazy)).toEqual(['AWS does not rotate it', expect.stringContaining('profile restricted')]);
    // The emulator knows no other period than a year.
    expect(drift(rotated)).toEqual([expect.stringContaining('up to 365')]);
    expect(found.get(signer)).toMatchObject({
      kind: 'private',
      algorithm: 'EC_P256',
      publicKeySha256: expect.stringMatching(/^[\w-]{43}$/),
    });
    // AWS rotates no key pair: that is known of it.
    expect(drift(signer)).toEqual([expect.stringContaining('nothing ends the use of a version')]);
    expect(drift(doomed)).toEqual([expect.stringContaining('it is deleted at '), 'nothing names it']);
    expect(drift(off)).toEqual(
      expect.arrayContaining([expect.stringContaining('material was made elsewhere'), expect.stringContaining('its tags')]),
    );
  },
  60_000,
);

/** `claviger --json policy drift`, in this process. */
async function drift(folder: string, ...args: string[]): Promise<{ found: Record<string, object[]>; finding?: string }> {
  let stdout = '';
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const notes = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    const finding = await createProgram()
      .parseAsync(['--json', 'policy', 'drift', folder, ...args], { from: 'user' })
      .then(
        () => undefined,
        (error) => (error instanceof Finding ? error.message : Promise.reject(error)),
      );
    return { found: JSON.parse(stdout) as Record<string, object[]>, ...(finding === undefined ? {} : { finding }) };
  } finally {
    spy.mockRestore();
    notes.mockRestore();
  }
}

testInEmulator(
  'what governs the keys of AWS KMS is written to be committed, and what differs from it later is told; what is refused is unseen and nothing is written',
  async () => {
    const here = 'eu-west-1';
    const folder = mkdtempSync(join(tmpdir(), 'cloud-'));
    const kms = new KMSClient({ region: here });
    const make = async (input: CreateKeyCommandInput = {}) =>
      (await kms.send(new CreateKeyCommand({ KeyUsage: 'ENCRYPT_DECRYPT', ...input }))).KeyMetadata?.KeyId as string;
    const role = 'arn:aws:iam::111122223333:role/app';
    const open = {
      Version: '2012-10-17',
      Statement: [{ Sid: 'all', Effect: 'Allow', Principal: { AWS: role }, Action: 'kms:*', Resource: '*' }],
    };
    const site = `aws-kms/123456789012/${here}`;
    try {
      const kept = await make({ Policy: JSON.stringify(open), Tags: [{ TagKey: 'team', TagValue: 'pay' }] });
      const copied = await make({ MultiRegion: true });
      const pair = await make({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
      await kms.send(new EnableKeyRotationCommand({ KeyId: kept }));
      await kms.send(new CreateAliasCommand({ AliasName: 'alias/kept', TargetKeyId: kept }));
      const grant = { KeyId: kept, GranteePrincipal: role, Operations: ['Decrypt' as const] };
      await kms.send(new CreateGrantCommand({ ...grant, Constraints: { EncryptionContextEquals: { tenant: 'acme' } } }));
      const written = await drift(folder, '--aws-kms', here, '--write');
      const file = join(folder, 'cloud', `${site}.json`);
      expect(written).toEqual({ found: { written: [{ site, file, keys: 3 }], unseen: [] } });
      const clean = { drift: [], unseen: [], notAsked: [] };
      expect(await drift(folder, '--only-cloud', '--aws-kms', here)).toEqual({ found: clean });
      // The same in another way.
      const same = { ...open, Statement: [{ Effect: 'Allow', Principal: { AWS: [role] }, Action: ['KMS:*'], Resource: ['*'] }] };
      await kms.send(new PutKeyPolicyCommand({ KeyId: kept, PolicyName: 'default', Policy: JSON.stringify(same, null, 4) }));
      expect(await drift(folder, '--only-cloud', '--aws-kms', here)).toEqual({ found: clean });

      // What people say of grants that come and go is kept when it is written anew.
      const saying = JSON.parse(readFileSync(file, 'utf8')) as { keys: { id: string; grants: object[]; expectedGrants?: object[] }[] };
      const ofKept = saying.keys.find(({ id }) => id === kept)!;
      Object.assign(ofKept, { grants: [], expectedGrants: [{ grantee: role, operations: ['Decrypt'], equals: { tenant: '*' } }] });
      writeFileSync(file, `${JSON.stringify(saying, null, 2)}\n`);
      expect(await drift(folder, '--only-cloud', '--aws-kms', here)).toEqual({ found: clean });
      await drift(folder, '--aws-kms', here, '--write');
      const anew = JSON.parse(readFileSync(file, 'utf8')) as typeof saying;
      expect(anew.keys.find(({ id }) => id === kept)).toMatchObject({ grants: [], expectedGrants: ofKept.expectedGrants });

      const opened = { ...open, Statement: [...open.Statement, { Effect: 'Allow', Principal: '*', Action: 'kms:Decrypt', Resource: '*' }] };
      await kms.send(new PutKeyPolicyCommand({ KeyId: kept, PolicyName: 'default', Policy: JSON.stringify(opened) }));
      await kms.send(new CreateGrantCommand(grant));
      await kms.send(new DisableKeyCommand({ KeyId: pair }));
      await kms.send(new ScheduleKeyDeletionCommand({ KeyId: copied, PendingWindowInDays: 7 }));
      const added = await make();
      const sarif = join(folder, 'drift.sarif');
      const { found, finding } = await drift(folder, '--only-cloud', '--aws-kms', here, '--sarif', sarif);
      const expected = [
        { id: kept, part: 'policy', how: 'only runs', what: 'Allow kms:Decrypt to AWS *' },
        { id: kept, part: 'grants', how: 'only runs', what: `Decrypt to ${role}` },
        { id: pair, part: 'state', how: 'differs', what: 'Enabled is committed, Disabled runs' },
        { id: copied, part: 'state', how: 'differs', what: 'Enabled is committed, PendingDeletion runs' },
        { id: copied, part: 'deletionAt', how: 'only runs', what: expect.any(String) },
        { id: added, part: 'key', how: 'only runs', what: 'SYMMETRIC_DEFAULT, Enabled, no alias' },
      ].map((one) => ({ environment: site, ...one }));
      expect(found.drift).toHaveLength(expected.length);
      expect(found.drift).toEqual(expect.arrayContaining(expected));
      expect(finding).toContain('6 difference(s)');
      const log = JSON.parse(readFileSync(sarif, 'utf8')) as { runs: [{ results: object[] }] };
      expect(sarifProblems(log)).toEqual([]);
      expect(log.runs[0].results).toHaveLength(expected.length);

      // Another region has nothing, and is not connected: it is clean, and the connected one is not.
      const elsewhere = await drift(folder, '--only-cloud', '--aws-kms', 'eu-west-3');
      expect(elsewhere).toEqual({ found: { ...clean, notAsked: [site] }, finding: expect.stringContaining('1 place(s)') });
      expect(await drift(folder, '--only-cloud', '--without', 'aws-kms/123456789012')).toEqual({ found: clean });
      await expect(drift(folder, '--aws-kms', 'nonsense')).rejects.toThrow(/wants a region/);
      await expect(drift(folder, '--only-cloud', '--without', 'aws-kms/9')).rejects.toThrow(/nothing of that name is connected/);

      // Nobody may describe it, the emulator says: so nobody knows what governs it, and what was committed stays.
      const locked = { ...open, Statement: [{ Effect: 'Deny', Principal: { AWS: '*' }, Action: 'kms:DescribeKey', Resource: '*' }] };
      await kms.send(new PutKeyPolicyCommand({ KeyId: kept, PolicyName: 'default', Policy: JSON.stringify(locked) }));
      const before = readFileSync(file, 'utf8');
      const hidden = await drift(folder, '--only-cloud', '--aws-kms', here);
      expect(hidden.found.unseen).toEqual([{ place: `${site} ${kept}`, why: 'AccessDeniedException' }]);
      expect(hidden.found.drift?.filter((one) => (one as { id: string }).id === kept)).toEqual([]);
      const kept2 = await drift(folder, '--aws-kms', here, '--write');
      expect(kept2).toMatchObject({ found: { written: [] }, finding: expect.stringContaining('nothing is written') });
      expect(readFileSync(file, 'utf8')).toBe(before);

      writeFileSync(file, before.replace('"usage"', '"use"'));
      await expect(drift(folder, '--only-cloud')).rejects.toThrow(/eu-west-1\.json: keys\.\d/);
      expect(existsSync(join(folder, 'cloud', 'aws-kms', '123456789012', 'eu-west-3.json'))).toBe(false);
    } finally {
      kms.destroy();
      rmSync(folder, { recursive: true, force: true });
    }
  },
  60_000,
);

testInEmulator(
  'what cannot be listed is an error that says what to check',
  async () => {
    process.env.AWS_ENDPOINT_URL = `http://127.0.0.1:${await freePort()}`;
    const all = async () => {
      for await (const _ of keysInAwsKms(region, { profiles: [], unseen: [] })) throw new Error('there is none');
    };
    await expect(all()).rejects.toThrow(/keys of AWS region eu-central-1 cannot be listed/);
    const folder = mkdtempSync(join(tmpdir(), 'cloud-'));
    const { found } = await drift(folder, '--only-cloud', '--aws-kms', region);
    expect(found.unseen).toEqual([{ place: `aws-kms/?/${region}`, why: expect.stringContaining('cannot be listed') }]);
    rmSync(folder, { recursive: true });
  },
  60_000,
);

test('what is not known of a key is no drift, and a spec of no name here is weak', () => {
  const key = { arn: 'arn:x', spec: 'SM2', state: 'Enabled', origin: 'AWS_KMS', multiRegion: true, aliases: ['alias/a'] };
  expect(discoveredInAws(key, profiles)).toMatchObject({
    algorithm: 'SM2',
    strengthBits: 0,
    drift: [{ why: 'it can be replicated to other regions' }],
  });
  const aes = {
    ...key,
    spec: 'SYMMETRIC_DEFAULT',
    multiRegion: false,
    tags: { environment: 'production', classification: 'restricted' },
    rotationDays: 365,
  };
  expect(discoveredInAws(aes, profiles).drift.map(({ why }) => why)).toEqual([expect.stringContaining('profile restricted')]);
  expect(discoveredInAws({ ...aes, rotationDays: 80 }, profiles).drift).toEqual([]);
  const { rotationDays: _, ...unknown } = aes;
  expect(discoveredInAws(unknown, profiles).drift).toEqual([]);
  expect(discoveredInAws({ ...aes, rotationDays: 'unable' }, profiles).drift).toHaveLength(1);
});
