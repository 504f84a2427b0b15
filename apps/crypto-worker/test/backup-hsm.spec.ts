import {
  backupHsmOperations,
  type CanarySubject,
  internalOperations,
  type KekMaterial,
  type KeyMaterial,
  requestType,
  usagesOf,
  type Wrapped,
} from '@claviger/contracts';
import { createRecoveryGroup, type MadeRecoveryGroup, openRecoveryGroup, type Token } from '@claviger/hsm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BackupHsmController, RecoveryKeys } from '../src/backup-hsm.controller';
import { HsmController } from '../src/hsm.controller';
import { KeyHolder } from '../src/key-holder';
import { TokenBreaker } from '../src/token-breaker';
import { Tokens } from '../src/tokens';
import { customerToken } from './worker-under-test';

const type = requestType;
const backupId = `b_20260301120000000_${'A'.repeat(10)}`;
let token: Token;
let next: Token;
let made: MadeRecoveryGroup;
let hsm: HsmController;
let backup: BackupHsmController;
let kek: KekMaterial;
let epochKey: KekMaterial;
let escrow: string;
beforeAll(async () => {
  [token, next] = [customerToken(), customerToken()];
  const tokens = new Tokens(token, [{ label: next.label, reached: () => next }]);
  made = await createRecoveryGroup(token, { threshold: 2, members: ['a', 'b', 'c'], createdAt: new Date().toISOString() });
  const view = { onChange: () => undefined, get: () => undefined, fresh: () => true } as never;
  const keys = new KeyHolder(view, tokens, { capacity: 10, ttlMs: 60_000, onDestroyFailure: () => undefined });
  const logger = { log: () => undefined, error: () => undefined };
  const limits = { failures: 5, windowMs: 10_000, probeEveryMs: 1_000 };
  const breaker = new TokenBreaker({ token: token.label, probe: () => undefined, report: () => undefined, limits, logger });
  hsm = new HsmController(tokens, keys, breaker);
  backup = new BackupHsmController(tokens, keys, breaker, new RecoveryKeys({ [made.group.groupId]: made.group.publicKeySpki }));
  kek = internalOperations.generateKek.result.parse((await hsm.generateKek({ type })).result);
  ({ epochKey, escrow } = backupHsmOperations.generateEpochKey.result.parse(
    (await backup.generateEpochKey({ type, group: made.group.groupId })).result,
  ));
}, 120_000);
afterAll(() => {
  token.close();
  next.close();
});

const generate = async (algorithm: CanarySubject['algorithm'], usage: CanarySubject['usage'] = usagesOf(algorithm)[0], version = 1) => {
  const { result } = await hsm.generateKey({ type, algorithm, usage, kekId: 'kek_production_internal_1', kek });
  const { material, publicKeySpki } = result as { material: KeyMaterial; publicKeySpki?: string };
  return {
    keyId: `k_${'A'.repeat(22)}`,
    version,
    algorithm,
    usage,
    material,
    ...(publicKeySpki ? { publicKeySpki } : {}),
  } satisfies CanarySubject;
};
const withCanaries = async (versions: CanarySubject[]): Promise<CanarySubject[]> => {
  const { canaries } = backupHsmOperations.makeCanaries.result.parse((await backup.makeCanaries({ type, kek, versions })).result);
  return versions.map((one, i) => ({ ...one, ...(canaries[i] ? { canary: canaries[i] } : {}) }));
};
const check = async (versions: CanarySubject[], under: Parameters<typeof backup.checkCanaries>[0]['kek'] = { underRoot: kek }) =>
  ((await backup.checkCanaries({ type, kek: under, versions })).result as { found: string[] }).found;
const kinds: [CanarySubject['algorithm'], CanarySubject['usage']?][] = [
  ['AES_256'],
  ['AES_128'],
  ['AES_256', 'wrap'],
  ['HMAC_SHA_384'],
  ['EC_P256'],
  ['EC_P521', 'agree'],
  ['RSA_2048', 'sign'],
];

describe('the key of an epoch', () => {
  test('is escrowed to the recovery group, whose shares open it, and opens the same backups then', async () => {
    const dataKey = (await backup.generateBackupKey({ type, epochKey })).result as Wrapped;
    const chunk = { type, epochKey, dataKey, backupId, n: 1 } as const;
    const { sealed } = (await backup.sealBackup({ ...chunk, plaintext: Buffer.from('keys').toString('base64url') })).result as {
      sealed: string;
    };
    const receiver = openRecoveryGroup(token, made.group, made.shares.slice(1));
    const root = token.findTokenKey('root', 'secret');
    const opened = token.unwrapFromSender({
      ...{ blob: Buffer.from(escrow, 'base64url'), algorithm: 'AES_256', scheme: 'RSA_AES_KEY_WRAP_SHA_256' },
      ...{ receiver, wrappingKey: root },
    });
    token.destroyObject(receiver);
    const recovered = {
      rootLabel: 'root',
      mechanism: opened.mechanism,
      family: opened.family,
      wrapped: opened.wrapped.toString('base64url'),
    };
    const again = (await backup.openBackup({ ...chunk, epochKey: recovered, sealed })).result as { opened: string };
    expect(Buffer.from(again.opened, 'base64url').toString()).toBe('keys');
    // A chunk opens as itself only.
    await expect(backup.openBackup({ ...chunk, n: 2, sealed })).rejects.toMatchObject({ code: 'ERR_DECRYPTION_FAILED' });
    await expect(backup.openBackup({ ...chunk, backupId: backupId.replace(/A$/, 'B'), sealed })).rejects.toMatchObject({
      code: 'ERR_DECRYPTION_FAILED',
    });
  });

  test('goes to no group that trust.json does not name, whoever asks', async () => {
    for (const group of ['B'.repeat(22), 'constructor'])
      await expect(backup.generateEpochKey({ type, group })).rejects.toMatchObject({ code: 'ERR_BACKUP_REFUSED' });
  });

  test('goes to another root and opens the same', async () => {
    token.generateRootKey('root-2');
    const moved = (await backup.moveEpochKey({ type, epochKey, rootLabel: 'root-2' })).result as KekMaterial;
    expect(moved.rootLabel).toBe('root-2');
    const dataKey = (await backup.generateBackupKey({ type, epochKey })).result as Wrapped;
    const { sealed } = (await backup.sealBackup({ type, epochKey, dataKey, backupId, n: 7, plaintext: 'AAAA' })).result as {
      sealed: string;
    };
    expect((await backup.openBackup({ type, epochKey: moved, dataKey, backupId, n: 7, sealed })).result).toEqual({ opened: 'AAAA' });
  });
});

test('while keys move to another token, KEKs and keys of epochs that are in two of them still come together: backups go on', async () => {
  next.generateRootKey('root-3');
  const there = { rootLabel: 'root-3', token: next.label };
  const moved = (await backup.moveEpochKey({ type, epochKey, ...there })).result as KekMaterial;
  expect(moved).toMatchObject(there);
  const subjects = await withCanaries(await Promise.all(kinds.map(([algorithm, usage]) => generate(algorithm, usage))));
  // A KEK that has not moved yet, under the key of an epoch that has; and back, to where all are to be.
  const { keks } = (await backup.keksToEpoch({ type, epochKey: moved, keks: [kek] })).result as { keks: Wrapped[] };
  expect(await check(subjects, { epochKey: moved, inBackup: keks[0] as Wrapped })).toEqual(kinds.map(() => 'ok'));
  const back = (await backup.keksFromEpoch({ type, epochKey, keks, ...there })).result as { keks: KekMaterial[] };
  expect(back.keks).toMatchObject([there]);
  expect(await check(subjects, { underRoot: back.keks[0] as KekMaterial })).toEqual(kinds.map(() => 'ok'));
  const dataKey = (await backup.generateBackupKey({ type, epochKey: moved })).result as Wrapped;
  const { sealed } = (await backup.sealBackup({ type, epochKey: moved, dataKey, backupId, n: 3, plaintext: 'AAAA' })).result as {
    sealed: string;
  };
  expect((await backup.openBackup({ type, epochKey, dataKey, backupId, n: 3, sealed })).result).toEqual({ opened: 'AAAA' });
  const fresh = (await backup.generateEpochKey({ type, group: made.group.groupId, ...there })).result as { epochKey: KekMaterial };
  expect(fresh.epochKey).toMatchObject(there);
}, 60_000);

test('every kind of key is proven by its canary or its public half, also under a KEK that comes from a backup', async () => {
  const subjects = await withCanaries(await Promise.all(kinds.map(([algorithm, usage]) => generate(algorithm, usage))));
  expect(await check(subjects)).toEqual(kinds.map(() => 'ok'));
  const { keks } = (await backup.keksToEpoch({ type, epochKey, keks: [kek] })).result as { keks: Wrapped[] };
  expect(await check(subjects, { epochKey, inBackup: keks[0] as Wrapped })).toEqual(kinds.map(() => 'ok'));
  const back = (await backup.keksFromEpoch({ type, epochKey, keks })).result as { keks: KekMaterial[] };
  expect(await check(subjects, { underRoot: back.keks[0] as KekMaterial })).toEqual(kinds.map(() => 'ok'));
}, 60_000);

test('another key in the place of one is found, whatever kind it is; so is another version of the same', async () => {
  for (const [algorithm, usage] of kinds) {
    const [right] = (await withCanaries([await generate(algorithm, usage)])) as [CanarySubject];
    const other = await generate(algorithm, usage);
    expect([algorithm, await check([{ ...right, material: other.material }])]).not.toEqual([algorithm, ['ok']]);
    if (right.canary) expect([algorithm, await check([{ ...right, version: 2 }])]).not.toEqual([algorithm, ['ok']]);
  }
  const [aes] = (await withCanaries([await generate('AES_256')])) as [CanarySubject];
  const damaged = { ...aes, material: { ...aes.material, wrapped: Buffer.alloc(40, 1).toString('base64url') } as KeyMaterial };
  expect(await check([damaged, aes, { ...aes, canary: undefined }])).toEqual(['its material does not unwrap', 'ok', 'it has no canary']);
}, 60_000);
