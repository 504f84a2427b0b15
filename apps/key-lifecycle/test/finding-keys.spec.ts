import type { KeyFilter } from '@claviger/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Collection, Db } from 'mongodb';
import { type Key, scheduleDeletion, suspendKey } from '../src/key';
import { dueAt } from '../src/key-dates';
import { indexFor, queryFor } from '../src/key-query';
import { KeyStore } from '../src/key-store';
import { SignedDocuments } from '../src/signed-documents';
import { StoreCheck } from '../src/store-check';
import { asked, variedKeys } from './keys-to-find';
import { newKey, now, nowMs, openStore, quiet } from './keys-under-test';

type Document = { _id: string; name: string; signed: string; facets: string[]; createdAt: string; indexed: number };

let storage: Awaited<ReturnType<typeof openStore>>;
let db: Db;
let store: KeyStore;
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
  store = open();
  await store.createIndexes();
  store.indexed();
});
const open = () =>
  new KeyStore(db, new SignedDocuments(storage.control, storage.control.trusted, (id) => delivered.get(id)), (id, reason) => {
    tampered.push(`${id}: ${reason}`);
  });
const documents = (): Collection<Document> => db.collection<Document>('keys');
const insert = async (key = newKey()): Promise<Key> => {
  await store.insert(key, [], []);
  return key;
};
const namesOf = (keys: Key[]) => keys.map(({ name }) => name).sort();
const everything = async (filter: KeyFilter, limit = 2) => {
  const found: Key[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.list(after, limit, filter);
    found.push(...page.keys);
    if (!page.next) return found;
    after = page.next;
  }
};
const check = (ids: string[] = []) => {
  return new StoreCheck(store, { ids: () => ids[Symbol.iterator]() as MapIterator<string> }, quiet());
};

test('each filter finds what it means, page by page, each key once and in order', async () => {
  const keys = variedKeys();
  for (const key of keys) await insert(key);
  for (const [what, filter, is] of asked) {
    const found = await everything(filter);
    expect([what, ...namesOf(found)]).toEqual([what, ...namesOf(keys.filter(is))]);
    expect(found.map(({ keyId }) => keyId)).toEqual(found.map(({ keyId }) => keyId).sort());
  }
  expect(await everything({ suspended: true, namePrefix: 'billing/', pendingDeletion: false })).toMatchObject([{ name: 'billing/frozen' }]);
  expect(await everything({ owner: 'nobody' })).toEqual([]);
  expect(tampered).toEqual([]);
});

test('a key is found by what it is after a change, and no more by what it was', async () => {
  const key = await insert();
  await store.change(key, suspendKey(key, false, 's', now), [], []);
  expect(await everything({ suspended: true })).toHaveLength(1);
  expect(await everything({ state: 'active' })).toEqual([]);
});

test('a key that the index says is meant, and is not, is not answered, and it is told', async () => {
  const key = await insert(newKey({ owner: 'kim' }));
  await documents().updateOne({ _id: key.keyId }, { $push: { facets: 'owner=eve' } });
  expect(await everything({ owner: 'eve' })).toEqual([]);
  expect(tampered).toEqual([`${key.keyId}: index: facets is not what is signed`]);
});

test.each([
  ['taken out of its facets', { $set: { facets: ['environment=production'] } }],
  ['without any', { $unset: { facets: 1 as never, indexed: 1 as never } }],
  ['of another name', { $set: { name: 'elsewhere' } }],
  ['of another age', { $set: { createdAt: '1999-01-01T00:00:00.000Z' } }],
])(
  'a key that somebody hid from lists, %s, is told when it is read by anything else, and is found again after the check',
  async (_what, update) => {
    const key = await insert();
    await insert();
    const filter = { owner: 'kim', namePrefix: 'payments/', createdFrom: now };
    await documents().updateOne({ _id: key.keyId }, update);
    expect(await everything(filter)).toHaveLength(1);
    // It is used all the same: what is signed is well.
    expect(await store.get(key.keyId)).toEqual(key);
    expect(tampered).toEqual([expect.stringContaining(`${key.keyId}: index: `)]);
    await check().page();
    expect(await everything(filter)).toHaveLength(2);
    expect(tampered).toHaveLength(1);
  },
);

test.each([
  ['its date is a later one', { dueAt: '2999-01-01T00:00:00.000Z' }],
  ['it has none', { dueAt: null }],
  ['somebody has it in hand for ever', { claimedUntil: '2999-01-01T00:00:00.000Z' }],
])('what is due to a key and was put off, since %s, is told once and put right by the check', async (_what, fields) => {
  const key = newKey();
  const waiting = scheduleDeletion(key, 7, { by: 'ada', reason: 'd' }, nowMs);
  await insert(key);
  await store.change(key, waiting, [], []);
  await documents().updateOne({ _id: key.keyId }, { $set: fields });
  const checking = check();
  await checking.page();
  expect(tampered).toEqual([expect.stringMatching(`${key.keyId}: due: .* puts off what is due`)]);
  await checking.page();
  expect(tampered).toHaveLength(1);
  expect(await documents().findOne({ _id: key.keyId })).toMatchObject({ dueAt: dueAt(waiting), claimedUntil: null });
});

test('the check finds what no request reads: a key whose document is gone, or was forged, is told; one made meanwhile is not', async () => {
  const keys = [await insert(), await insert(), await insert()] as [Key, Key, Key];
  for (const { keyId } of keys) delivered.set(keyId, 1);
  await documents().deleteOne({ _id: keys[0].keyId });
  await documents().updateOne({ _id: keys[1].keyId }, { $set: { signed: 'x.y.z' } });
  const later = `k_${'z'.repeat(22)}`;
  const checking = check([...keys.map(({ keyId }) => keyId), later]);
  await checking.page();
  await checking.page();
  expect(tampered.map((line) => line.split(': ')[0]).sort()).toEqual([keys[0].keyId, keys[1].keyId].sort());
  expect(tampered.join()).toContain('it is gone');
});

test('documents from before there was an index are no tampering; lists by filter wait until all are indexed', async () => {
  const key = await insert();
  await documents().updateOne({ _id: key.keyId }, { $unset: { facets: 1, createdAt: 1, indexed: 1 } as never });
  store = open();
  await expect(store.list(undefined, 10, { owner: 'kim' })).rejects.toMatchObject({ code: 'ERR_STATE_STALE' });
  const { keys, misindexed } = await store.list(undefined, 10);
  expect([keys.length, misindexed.length]).toEqual([1, 1]);
  for (const one of misindexed) expect(await store.reindex(one)).toBe(true);
  store.indexed();
  expect(await everything({ owner: 'kim' })).toEqual([key]);
  expect(tampered).toEqual([]);
});

test('names that somebody exchanged are put right, and stop the repair of no other', async () => {
  const [one, other, third] = [await insert(), await insert(), await insert()] as [Key, Key, Key];
  const rename = (key: Key, name: string) => documents().updateOne({ _id: key.keyId }, { $set: { name } });
  await rename(one, 'aside');
  await rename(other, one.name);
  await rename(one, other.name);
  await documents().updateOne({ _id: third.keyId }, { $set: { facets: [] } });
  const checking = check();
  await checking.page();
  await checking.page();
  for (const key of [one, other, third]) expect(await everything({ namePrefix: key.name, owner: 'kim' })).toEqual([key]);
});

test('an index is not put back to what it was when the key has changed since', async () => {
  const key = await insert();
  await store.change(key, suspendKey(key, false, 's', now), [], []);
  expect(await store.reindex(key)).toBe(false);
  expect(await everything({ suspended: true })).toHaveLength(1);
});

test.each<[KeyFilter, string]>([
  [{ owner: 'ada' }, 'facets_1__id_1'],
  [{ owner: 'ada', environment: 'production', namePrefix: 'payments/' }, 'facets_1__id_1'],
  [{ namePrefix: 'payments/0' }, 'name_1'],
  [{ createdBefore: now }, 'createdAt_1'],
  [{}, '_id_'],
])(
  'what %j means is read by the index %s, on the first page and on a later one',
  async (filter, index) => {
    for (let n = 0; n < 300; n++) await insert(newKey({ owner: n % 100 === 0 ? 'ada' : 'kim' }));
    for (const after of [undefined, `k_${'A'.repeat(22)}`]) {
      const page = documents().find(queryFor<Document>(filter, after)).sort({ _id: 1 }).limit(10).hint(indexFor(filter));
      const plan = JSON.stringify(await page.explain('queryPlanner'));
      const named = (member: string) => [...plan.matchAll(new RegExp(`"${member}":"([^"]+)"`, 'g'))].map(([, name]) => name);
      // FerretDB gives the plan of PostgreSQL, and beside it what other indexes would have cost.
      const used = named('Index Name').length > 0 ? named('Index Name') : named('indexName');
      expect(new Set(used)).toEqual(new Set([index]));
      expect(plan).not.toMatch(/COLLSCAN|Seq Scan/);
    }
  },
  60_000,
);
