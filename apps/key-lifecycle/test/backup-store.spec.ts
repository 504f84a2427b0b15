import { until } from '@claviger/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Db } from 'mongodb';
import type { BackupRecord } from '../src/backup-records';
import { BackupStore } from '../src/backup-store';
import { Backups } from '../src/backups';
import { WorkInHand } from '../src/work-in-hand';
import { openStore, signer } from './keys-under-test';

let storage: Awaited<ReturnType<typeof openStore>>;
let db: Db;
let store: BackupStore;
let tampered: string[];
beforeAll(async () => {
  storage = await openStore();
});
afterAll(() => storage.close());
beforeEach(() => {
  db = storage.database();
  tampered = [];
  store = new BackupStore(db, storage.control, storage.control.trusted, (id, reason) => void tampered.push(`${id}: ${reason}`));
});
const record = (n: number): BackupRecord => ({
  ...{ backupId: `b_2026030112000000${n}_AAAAAAAAAA`, state: 'running', epoch: 'e_20260301120000000_AAAAAAAAAA' },
  ...{ createdAt: '2026-03-01T12:00:00.000Z', by: 'olga', session: 'S'.repeat(22) },
});

test('of many processes that claim the same work one has it, until its time is over or it gives it back', async () => {
  const claims = await Promise.all(Array.from({ length: 12 }, (_, i) => store.claim('making', `p${i}`, 1_000, 60_000)));
  expect(claims.filter(Boolean)).toHaveLength(1);
  const holder = `p${claims.indexOf(true)}`;
  expect(await store.claim('verifying', 'another', 1_000, 60_000)).toBe(true);
  expect([await store.claim('making', holder, 30_000, 60_000), await store.claim('making', 'another', 61_001, 60_000)]).toEqual([
    true,
    false,
  ]);
  expect(await store.claim('making', 'another', 90_001, 60_000)).toBe(true);
  await store.release('making', holder);
  expect(await store.isClaimed('making', 90_002)).toBe(true);
  await store.release('making', 'another');
  expect(await store.isClaimed('making', 90_002)).toBe(false);
});

test('of concurrent changes of one record none is lost; the newest backups come first', async () => {
  for (const n of [1, 3, 2]) await store.insertBackup(record(n));
  const { backupId } = record(2);
  await Promise.all(Array.from({ length: 20 }, () => store.changeBackup(backupId, (now) => ({ ...now, bytes: (now.bytes ?? 0) + 1 }))));
  expect((await store.backup(backupId))?.bytes).toBe(20);
  expect((await store.list(2)).map((one) => one.backupId)).toEqual([record(3).backupId, backupId]);
  await expect(store.changeBackup(record(9).backupId, (now) => now)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});

test('what somebody else wrote is told and not used: a retention that was shortened, a record under another name, a canary of theirs', async () => {
  const epoch = {
    epoch: 'e_20260301120000000_AAAAAAAAAA',
    createdAt: '',
    endsAt: '',
    destroyAt: '2026-06-01T00:00:00.000Z',
    group: 'g',
    escrowFile: 'f',
  };
  await store.putEpoch(epoch);
  const theirs = new BackupStore(db, signer(), storage.control.trusted, () => undefined);
  await theirs.putEpoch({ ...epoch, destroyAt: '2026-01-01T00:00:00.000Z' });
  expect([await store.allEpochs(), tampered]).toEqual([[], [expect.stringContaining('bad signature')]]);
  await store.insertBackup(record(1));
  const stored = await db.collection<{ _id: string; signed: string }>('backups').findOne({});
  await db.collection<{ _id: string; signed: string }>('backups').insertOne({ _id: record(2).backupId, signed: stored?.signed ?? '' });
  expect((await store.list(10)).map(({ backupId }) => backupId)).toEqual([record(1).backupId]);
  await expect(store.backup(record(2).backupId)).rejects.toMatchObject({ name: 'TamperedDocument' });
  const keyId = `k_${'A'.repeat(22)}`;
  const canaries = { keyId, canaries: { 1: { tag: 'AAAA' } } };
  await store.putCanaries([canaries]);
  expect(await store.canariesOf([keyId, `k_${'B'.repeat(22)}`])).toEqual(new Map([[keyId, canaries]]));
  await theirs.putCanaries([{ keyId, canaries: { 1: { tag: 'BBBB' } } }]);
  expect(await store.canariesOf([keyId])).toEqual(new Map());
});

test('a verification whose process died is forgotten once nobody has it in hand, and only then: whoever waits for it sees that it is over', async () => {
  const looking = { ...record(5), state: 'complete', progress: { what: 'verifying', keys: 3 } } as const;
  await store.insertBackup(looking);
  let nowMs = Date.now();
  const sweeps = new Backups({
    ...{ store, documents: {}, trusted: new Map(), hsm: {}, maker: {}, folder: '', logger: { warn: fail, log: fail, error: fail } },
    ...{ tales: { tell: async () => undefined }, epochs: { followRoot: async () => undefined }, everyHours: 0, verifyHours: 0 },
    work: new WorkInHand(store, 'another', fail, () => nowMs),
    nowMs: () => nowMs,
  } as unknown as ConstructorParameters<typeof Backups>[0]);
  expect(await store.claim('verifying', 'dies', nowMs, 60_000)).toBe(true);
  await sweeps.sweep();
  expect((await store.backup(looking.backupId))?.progress).toEqual(looking.progress);
  nowMs += 60_001;
  await sweeps.sweep();
  expect((await store.backup(looking.backupId))?.progress).toBeUndefined();
  await until(async () => !(await store.isClaimed('verifying', nowMs)), { what: 'the claim to be given back' });
});

test('a key of an epoch that does not follow the root holds up no backup', async () => {
  const begun: string[] = [];
  const warned: string[] = [];
  const sweeps = new Backups({
    ...{ store, documents: {}, trusted: new Map(), hsm: {}, maker: {}, folder: '', logger: { warn: (what: string) => warned.push(what) } },
    ...{ tales: { tell: async () => undefined }, everyHours: 1, verifyHours: 0, nowMs: () => Date.now() + 7_200_000 },
    epochs: { followRoot: async () => fail('another root') },
    work: { begin: async (what: string) => void begun.push(what) },
  } as unknown as ConstructorParameters<typeof Backups>[0]);
  await sweeps.sweep();
  expect([begun, warned]).toEqual([['making'], [expect.stringContaining('another root')]]);
});
const fail = (...what: unknown[]) => {
  throw new Error(what.map(String).join(' '));
};
