import { cryptoperiods } from '@claviger/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Db } from 'mongodb';
import { outboxOf } from '../src/delivery';
import { DueKeys } from '../src/due-keys';
import { cancelDeletion, createKey, destroyKey, type Key, rotateKey, scheduleDeletion, setConsumers, suspendKey } from '../src/key';
import { KeyStore } from '../src/key-store';
import { SignedDocuments, TamperedDocument } from '../src/signed-documents';
import { about, intent, made, newKey, now, nowMs, openStore, signer } from './keys-under-test';

let storage: Awaited<ReturnType<typeof openStore>>;
let db: Db;
let store: KeyStore;
let dueKeys: DueKeys;
let tampered: string[];
let delivered: Map<string, number>;

beforeAll(async () => {
  storage = await openStore();
});
afterAll(() => storage.close());
beforeEach(async () => {
  db = storage.database();
  tampered = [];
  delivered = new Map();
  const signed = new SignedDocuments(storage.control, storage.control.trusted, (id) => delivered.get(id));
  store = new KeyStore(db, signed, (id, reason) => {
    tampered.push(`${id}: ${reason}`);
  });
  dueKeys = new DueKeys(db, signed, store);
  await store.createIndexes();
});
const documents = () => db.collection<{ _id: string; signed: string; revision: number; outbox: unknown[]; pending: boolean }>('keys');
const insert = async (key = newKey()): Promise<Key> => {
  await store.insert(key, [], []);
  return key;
};
const change = (from: Key, to: Key) => store.change(from, to, outboxOf(to, 'io.claviger.key.changed', intent(to.revision)), []);

test('a key of before versions had transitions and keys a cryptoperiod is read as one of today, can be changed, and becomes due', async () => {
  const { cryptoperiod: _, ...rest } = await insert();
  const versions = rest.versions.map(({ transitions, activatedAt: __, ...version }) => ({
    ...version,
    ...{ changedAt: now, reason: transitions[0]?.reason },
  }));
  const earlier = { ...rest, versions } as unknown as Key;
  const signed = await new SignedDocuments(storage.control, storage.control.trusted).signKey(earlier);
  await documents().updateOne({ _id: rest.keyId }, { $set: { signed }, $unset: { dueAt: '', indexed: '', facets: '' } as never });
  const read = (await store.get(rest.keyId)) as Key;
  expect(read.versions).toMatchObject([{ state: 'active', activatedAt: now, transitions: [{ to: 'active', at: now, reason: 'created' }] }]);
  expect(read.cryptoperiod).toEqual(cryptoperiods.encrypt);
  expect(await store.reindex(read)).toBe(true);
  expect(await documents().findOne({ _id: rest.keyId })).toMatchObject({ dueAt: expect.stringMatching(/^2028-/) });
  expect(await change(read, suspendKey(read, false, 's', now))).toBe(true);
  expect((await store.get(rest.keyId))?.versions[0]?.transitions).toHaveLength(2);
});

test('what was stored is read back, signature and all', async () => {
  const key = await insert();
  expect(await store.get(key.keyId)).toEqual(key);
  expect(await store.get(`k_${'Z'.repeat(22)}`)).toBeUndefined();
});

test('a name is taken once, also when many come at once and nobody made the indexes before', async () => {
  const fresh = new KeyStore(storage.database(), new SignedDocuments(storage.control, storage.control.trusted), () => undefined);
  const settled = await Promise.allSettled(Array.from({ length: 10 }, () => fresh.insert(newKey({ name: 'payments/one' }), [], [])));
  expect(settled.filter((s) => s.status === 'fulfilled')).toHaveLength(1);
  for (const s of settled) if (s.status === 'rejected') expect(s.reason).toMatchObject({ code: 'ERR_CONFLICT' });
});

test('of 200 concurrent changes none is lost: each that succeeded is in the document, in one order', async () => {
  const { keyId } = await insert();
  const add = async (consumer: string): Promise<void> => {
    for (;;) {
      const from = (await store.get(keyId)) as Key;
      if (await change(from, setConsumers(from, [...from.consumers, consumer]))) return;
    }
  };
  const names = Array.from({ length: 200 }, (_, n) => `c-${n}`);
  await Promise.all(
    Array.from({ length: 16 }, async (_, lane) => {
      for (const name of names.filter((__, n) => n % 16 === lane)) await add(name);
    }),
  );
  const key = (await store.get(keyId)) as Key;
  expect(key.revision).toBe(201);
  expect([...key.consumers].sort()).toEqual(['payments-api', ...names].sort());
  expect((await documents().findOne({ _id: keyId }))?.outbox).toHaveLength(400);
}, 120_000);

test('a change of what was read before somebody else changed it does not happen', async () => {
  const key = await insert();
  expect(await change(key, suspendKey(key, false, 's', now))).toBe(true);
  expect(await change(key, rotateKey(key, made(2), 'r', now))).toBe(false);
  expect(await store.get(key.keyId)).toMatchObject({ suspended: true, revision: 2, primaryVersion: 1 });
});

test('outgoing messages are in the document of their change, and go only when they are taken out', async () => {
  const key = await insert();
  const to = suspendKey(key, false, 's', now);
  await change(key, to);
  const { items: pending } = await store.pending(100);
  expect(pending.map((i) => i.entryId)).toEqual([`${key.keyId}.2.view`, `${key.keyId}.2.event`]);
  await store.remove(key.keyId, [`${key.keyId}.2.view`]);
  expect((await store.pending(100)).items.map((i) => i.entryId)).toEqual([`${key.keyId}.2.event`]);
  await store.remove(key.keyId, [`${key.keyId}.2.event`]);
  expect((await store.pending(100)).items).toEqual([]);
});

test('taking messages out while others come in loses none', async () => {
  const first = await insert();
  let key = first;
  const taking: Promise<void>[] = [];
  for (let n = 0; n < 30; n++) {
    const to = setConsumers(key, [`c-${n}`]);
    await change(key, to);
    key = to;
    taking.push(store.remove(key.keyId, [`${key.keyId}.${key.revision}.view`]));
  }
  await Promise.all(taking);
  const left = (await store.pending(100)).items.map((i) => i.entryId);
  expect(left).toEqual(Array.from({ length: 30 }, (_, n) => `${first.keyId}.${n + 2}.event`));
});

test('who made a change is in the document of the change, until its record is known to be in the ledger', async () => {
  const owed = (n: number, at: string) => ({ id: `i.${n}`, at, signed: `signed ${n}` });
  const key = newKey();
  await store.insert(key, [], [owed(1, '2026-03-01T12:00:00.000Z')]);
  const to = suspendKey(key, false, 's', now);
  expect(await store.change(key, to, [], [owed(2, '2026-03-01T12:00:01.000Z')])).toBe(true);
  expect(await store.change(key, to, [], [owed(3, '2026-03-01T12:00:01.000Z')])).toBe(false);
  const entries = [owed(1, '2026-03-01T12:00:00.000Z'), owed(2, '2026-03-01T12:00:01.000Z')];
  expect(await store.owed(100)).toEqual({ items: [{ aggregateId: key.keyId, entries }], next: undefined });
  await store.removeOwed(key.keyId, ['i.1']);
  expect(await documents().findOne({ _id: key.keyId })).toMatchObject({ pending: true, owed: [{ id: 'i.2' }] });
  await store.removeOwed(key.keyId, ['i.2']);
  expect(await documents().findOne({ _id: key.keyId })).toMatchObject({ pending: false, owed: [] });
});

test.each([
  [
    'resumed behind the service',
    async (key: Key) => void (await documents().updateOne({ _id: key.keyId }, { $set: { signed: await forge(key) } })),
  ],
  [
    'exchanged for another key',
    async (key: Key) => {
      const other = await insert();
      const { signed, revision } = (await documents().findOne({ _id: other.keyId })) as { signed: string; revision: number };
      await documents().updateOne({ _id: key.keyId }, { $set: { signed, revision } });
    },
  ],
  [
    'put back to an older revision',
    async (key: Key) => {
      const before = (await documents().findOne({ _id: key.keyId })) as { signed: string; revision: number };
      await change(key, suspendKey(key, false, 's', now));
      delivered.set(key.keyId, 2);
      await documents().updateOne({ _id: key.keyId }, { $set: { signed: before.signed, revision: before.revision } });
    },
  ],
  ['given another revision', async (key: Key) => void (await documents().updateOne({ _id: key.keyId }, { $set: { revision: 9 } }))],
  [
    'taken away',
    async (key: Key) => {
      delivered.set(key.keyId, 1);
      await documents().deleteOne({ _id: key.keyId });
    },
  ],
])('a document that was %s is refused, not used and not called absent', async (_what, tamper) => {
  const key = await insert();
  await tamper(key);
  for (let n = 0; n < 3; n++) await expect(store.get(key.keyId)).rejects.toBeInstanceOf(TamperedDocument);
  expect(tampered).toEqual([expect.stringContaining(`${key.keyId}: `)]);
});
const forge = (key: Key) => new SignedDocuments(signer(storage.control.kid), storage.control.trusted).signKey({ ...key, suspended: false });

test('a tampered document hides no other: lists, sweep and rebuild go on, and it is told', async () => {
  const keys = [await insert(), await insert(), await insert()];
  await documents().updateOne({ _id: keys[1]?.keyId as string }, { $set: { signed: 'eyJ.x.y' } });
  expect((await store.list(undefined, 10)).keys.map((k) => k.keyId)).toEqual([keys[0]?.keyId, keys[2]?.keyId]);
  expect(tampered).toEqual([expect.stringContaining(keys[1]?.keyId as string)]);
});

test('a key that changes while it is listed is not called tampered', async () => {
  const key = await insert();
  await change(key, suspendKey(key, false, 's', now));
  // As if the list had read revision 1 and the watch had delivered revision 2 since.
  delivered.set(key.keyId, 2);
  expect((await store.list(undefined, 10)).keys).toMatchObject([{ revision: 2 }]);
  expect(tampered).toEqual([]);
});

test('lists go by id, page by page, also over a tampered document at the end of a page', async () => {
  const keys: Key[] = [];
  for (let n = 0; n < 5; n++) keys.push(await insert());
  await documents().updateOne({ _id: keys[1]?.keyId as string }, { $set: { signed: '' } });
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.list(after, 2);
    seen.push(...page.keys.map((k) => k.keyId));
    after = page.next;
  } while (after);
  expect(seen).toEqual([0, 2, 3, 4].map((n) => keys[n]?.keyId));
});

test('due are keys whose waiting period is over, neither cancelled nor destroyed', async () => {
  const [waiting, due, cancelled, gone] = [await insert(), await insert(), await insert(), await insert()] as [Key, Key, Key, Key];
  const scheduled = async (key: Key, days: number) => {
    const to = scheduleDeletion(key, days, { by: 'ada', reason: 'd' }, nowMs);
    await change(key, to);
    return to;
  };
  await scheduled(waiting, 90);
  await scheduled(due, 7);
  const kept = await scheduled(cancelled, 7);
  await change(kept, cancelDeletion(kept));
  const ended = await scheduled(gone, 7);
  await change(ended, destroyKey(ended, nowMs + 8 * 86_400_000));
  expect(await dueKeys.ids(new Date(nowMs + 8 * 86_400_000).toISOString(), 100)).toEqual([due.keyId]);
});

test('a document that is well again and tampered with again is told again', async () => {
  const key = await insert();
  const { signed } = (await documents().findOne({ _id: key.keyId })) as { signed: string };
  for (const written of ['x.y.z', signed, 'x.y.z']) {
    await documents().updateOne({ _id: key.keyId }, { $set: { signed: written } });
    await store.get(key.keyId).catch(() => undefined);
  }
  expect(tampered).toHaveLength(2);
});

test.each([
  ['no list', { at: '2000' }],
  ['a list by name', { 0: { id: 'x' } }],
  ['a list of nothing', [null, 7, { id: 3 }, { id: 'x', kind: 'event', event: null }]],
])('an outbox that somebody made %s stops no sweep, and its document hides no other', async (_what, outbox) => {
  const [bad, good] = [await insert(), await insert()];
  await documents().updateOne({ _id: bad.keyId }, { $set: { outbox: outbox as unknown[], owed: outbox as never, pending: true } });
  await change(good, suspendKey(good, false, 's', now));
  expect((await store.pending(100)).items.map((i) => i.entryId)).toEqual([`${good.keyId}.2.view`, `${good.keyId}.2.event`]);
  await store.remove(good.keyId, [`${good.keyId}.2.view`, `${good.keyId}.2.event`]);
  expect((await store.pending(100)).items).toEqual([]);
  await expect(store.owed(100)).resolves.toBeDefined();
});

test('documents that owe a record fill no page of the outbox, and the other way round', async () => {
  const owing = [await insert(), await insert(), await insert()];
  for (const { keyId } of owing)
    await documents().updateOne({ _id: keyId }, { $set: { owed: [{ id: 'i', at: now, signed: 's' }] as never, pending: true } });
  const key = await insert();
  await change(key, suspendKey(key, false, 's', now));
  expect((await store.pending(2)).items.map((i) => i.aggregateId)).toEqual([key.keyId, key.keyId]);
  const first = await store.owed(2);
  const second = await store.owed(2, first.next);
  expect([...first.items, ...second.items].map((i) => i.aggregateId)).toEqual(owing.map((k) => k.keyId).sort());
  expect(second.next).toBeUndefined();
});

test('a destroyed key leaves the object in the token to be destroyed, in the same write and signed; nobody else can have one destroyed', async () => {
  const object = { custody: 'token' as const, family: 'softhsm', token: 'customer', label: `key-${'a'.repeat(24)}` };
  const key = createKey(about({ algorithm: 'ED25519', usage: 'sign' }), { material: object, publicKeySpki: 'spki' }, now);
  await store.insert(key, [], []);
  const waiting = scheduleDeletion(key, 7, { by: 'ada', reason: 'unused' }, nowMs);
  await store.change(key, waiting, [], []);
  expect((await store.pending(10)).items).toEqual([]);
  await store.change(waiting, destroyKey(waiting, Date.parse(waiting.deletionAt as string)), [], []);
  const [item] = (await store.pending(10)).items;
  expect(item).toMatchObject({ aggregateId: key.keyId, entry: { kind: 'token-key' } });
  const signed = String(Object(item?.entry).signed);
  expect(store.abandoned(key.keyId, signed)).toEqual(object);
  const other = await insert();
  expect(() => store.abandoned(other.keyId, signed)).toThrow(TamperedDocument);
  const forger = new SignedDocuments(signer('control-1'), storage.control.trusted);
  expect(() => store.abandoned(other.keyId, forger.signAbandoned(other.keyId, object))).toThrow(TamperedDocument);
});
