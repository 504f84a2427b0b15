import {
  CreateAliasCommand,
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DisableKeyCommand,
  EnableKeyRotationCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import type { KeyProfile } from '@claviger/contracts';
import { type Child, freePort, readMachine, startChild, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { discoveredInAws } from '../src/discovery/aws-key';
import { type AwsLook, keysInAwsKms } from '../src/discovery/aws-kms';
import type { DiscoveredKey } from '../src/discovery/discovered';

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

testInEmulator(
  'what cannot be listed is an error that says what to check',
  async () => {
    process.env.AWS_ENDPOINT_URL = `http://127.0.0.1:${await freePort()}`;
    const all = async () => {
      for await (const _ of keysInAwsKms(region, { profiles: [], unseen: [] })) throw new Error('there is none');
    };
    await expect(all()).rejects.toThrow(/keys of AWS region eu-central-1 cannot be listed/);
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
