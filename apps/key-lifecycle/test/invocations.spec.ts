import { type CloudEvent, eventTypes } from '@claviger/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Db } from 'mongodb';
import { InvocationBlocks } from '../src/invocation-blocks';
import { give, type Invocations, LeaseBounds, noInvocations } from '../src/invocations';
import { type Key, setConsumers } from '../src/key';
import { KeyStore } from '../src/key-store';
import { LeasesController } from '../src/leases.controller';
import { SignedDocuments } from '../src/signed-documents';
import { newKey, now, openStore } from './keys-under-test';

let storage: Awaited<ReturnType<typeof openStore>>;
let db: Db;
let store: KeyStore;
let tampered: string[];
let key: Key;
const type = 'claviger.request/1';

beforeAll(async () => {
  storage = await openStore();
});
afterAll(() => storage.close());
beforeEach(async () => {
  db = storage.database();
  tampered = [];
  store = new KeyStore(db, new SignedDocuments(storage.control, storage.control.trusted), (id) => tampered.push(id));
  key = newKey();
  await store.insert(key, [], []);
});
const documents = () => db.collection<{ _id: string; invocations: string; outbox: unknown[]; pending: boolean }>('keys');
const lease = async (count: number, { max = 1_000, rotateAt = 0.5, version = 1 } = {}) =>
  (
    (await new LeasesController(store, new LeaseBounds(max, rotateAt)).lease({ type, keyId: key.keyId, version, count })).result as {
      granted: number;
    }
  ).granted;

test('whatever is asked, no more than the limit is given, and rotation is asked for once', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 40 }), (asked) => {
      const bounds = { max: 1_000, rotateAt: 0.5 };
      let invocations: Invocations = noInvocations(key?.keyId ?? 'k');
      let sum = 0;
      let events = 0;
      for (const count of asked)
        try {
          const { to, granted, outbox } = give(invocations, 1, count, bounds, now);
          invocations = to;
          sum += granted;
          events += outbox.length;
        } catch {
          expect(sum).toBe(1_000);
        }
      expect(sum).toBe(
        Math.min(
          1_000,
          asked.reduce((a, b) => a + b, 0),
        ),
      );
      expect(invocations.given[1] ?? 0).toBe(sum);
      expect(events).toBe(sum >= 500 ? 1 : 0);
    }),
  );
});

test('of many workers that ask at once each gets its own block', async () => {
  const granted = await Promise.all(Array.from({ length: 5 }, () => lease(100)));
  expect(granted).toEqual([100, 100, 100, 100, 100]);
  expect((await store.invocations(key.keyId))?.invocations.given).toEqual({ 1: 500 });
});

test('workers that all start at once are given their blocks by few changes, each its own, and one that comes too late hears it', async () => {
  let changes = 0;
  const counted = {
    invocations: (keyId: string) => store.invocations(keyId),
    changeInvocations: (...change: Parameters<KeyStore['changeInvocations']>) => {
      changes++;
      return store.changeInvocations(...change);
    },
  };
  const replicas = [1, 2].map(() => new InvocationBlocks(counted, new LeaseBounds(10_000, 0.5)));
  const asked = Array.from({ length: 101 }, (_, n) => (replicas[n % 2] as InvocationBlocks).give(key.keyId, 1, 100));
  const settled = await Promise.allSettled(asked);
  expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(100);
  expect(settled.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'ERR_KEY_EXHAUSTED' } });
  expect((await store.invocations(key.keyId))?.invocations.given).toEqual({ 1: 10_000 });
  expect(changes).toBeLessThan(20);
  expect((await store.pending(10)).items.map(({ entry }) => entry.id)).toEqual([`${key.keyId}.1.rotation-due`]);
  // Nobody is left waiting, and a key that failed once is asked for again.
  await expect((replicas[0] as InvocationBlocks).give(key.keyId, 1, 1)).rejects.toMatchObject({ code: 'ERR_KEY_EXHAUSTED' });
  expect(await (replicas[0] as InvocationBlocks).give(key.keyId, 2, 1)).toBe(1);
});

test('the last block is what is left; then the version is exhausted, and another version is not', async () => {
  expect(await lease(900)).toBe(900);
  expect(await lease(900)).toBe(100);
  await expect(lease(1)).rejects.toMatchObject({ code: 'ERR_KEY_EXHAUSTED', detail: expect.stringContaining('rotate') });
  expect(await lease(10, { version: 2 })).toBe(10);
});

test('at the share an event asks for rotation; it lies in the outbox of the key, written with the count', async () => {
  await lease(499);
  expect((await store.pending(10)).items).toEqual([]);
  await lease(1);
  await lease(1);
  const { items } = await store.pending(10);
  expect(items.map(({ entry }) => entry.id)).toEqual([`${key.keyId}.1.rotation-due`]);
  const [{ event }] = items.map(({ entry }) => entry) as unknown as [{ event: CloudEvent }];
  expect(eventTypes['io.claviger.key.rotation-due'].data.parse(event.data)).toMatchObject({ keyId: key.keyId, given: 500, max: 1_000 });
});

test('a change of the key leaves the count as it is', async () => {
  await lease(10);
  await store.change(key, setConsumers(key, ['orders-api']), [], []);
  expect((await store.invocations(key.keyId))?.invocations.given).toEqual({ 1: 10 });
  expect((await store.get(key.keyId))?.consumers).toEqual(['orders-api']);
});

test('a count that somebody else wrote, or took from another key, or removed, gives nothing', async () => {
  await lease(10);
  const other = newKey();
  await store.insert(other, [], []);
  const foreign = (await documents().findOne({ _id: other.keyId }))?.invocations as string;
  for (const invocations of [foreign, 'eyJhbGciOiJub25lIn0.e30.', '']) {
    await documents().updateOne({ _id: key.keyId }, { $set: { invocations } });
    await expect(lease(1)).rejects.toThrow(key.keyId);
  }
  await documents().updateOne({ _id: key.keyId }, { $unset: { invocations: '' } });
  await expect(lease(1)).rejects.toThrow(key.keyId);
  expect(new Set(tampered)).toEqual(new Set([key.keyId]));
});

test('a key that nobody made gets nothing', async () => {
  key = { ...key, keyId: `k_${'Z'.repeat(22)}` };
  await expect(lease(1)).rejects.toMatchObject({ code: 'ERR_KEY_UNKNOWN' });
});
