import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Db } from 'mongodb';
import { currentKek, destroyKek, type Kek, type LivingKek, newKek, retireKek } from '../src/kek';
import { KekStore } from '../src/kek-store';
import { SignedDocuments, TamperedDocument } from '../src/signed-documents';
import { now, openStore, signer } from './keys-under-test';

let storage: Awaited<ReturnType<typeof openStore>>;
let db: Db;
let keks: KekStore;
let tampered: string[];
let delivered: Map<string, number>;
let documents: SignedDocuments;

beforeAll(async () => {
  storage = await openStore();
});
afterAll(() => storage.close());
beforeEach(() => {
  db = storage.database();
  tampered = [];
  delivered = new Map();
  documents = new SignedDocuments(storage.control, storage.control.trusted, (id) => delivered.get(id));
  keks = new KekStore(
    db,
    documents,
    (id, reason) => {
      tampered.push(`${id}: ${reason}`);
    },
    () => [...delivered].map(([kekId, revision]) => ({ kekId, revision })),
  );
});
const raw = () => db.collection<{ _id: string; signed: string }>('keks');
const pair = { environment: 'production', classification: 'internal' } as const;
const material = (wrapped: string) => ({ rootLabel: 'root', mechanism: 0x210a, family: 'softhsm', wrapped });
const kek = (wrapped: string, generation = 1, of: { environment: Kek['environment']; classification: Kek['classification'] } = pair) =>
  newKek(of, generation, material(wrapped), now);

test('of many who claim a KEK one wins, and all get that one', async () => {
  const claimed = await Promise.all(Array.from({ length: 20 }, (_, n) => keks.claim(kek(`wrapped-${n}`))));
  expect(new Set(claimed.map((k) => k.material?.wrapped)).size).toBe(1);
  expect(await keks.get('kek_production_internal_1')).toEqual(claimed[0]);
});

test('a KEK that was stored before there were generations is active', async () => {
  const { state: _, createdAt: __, ...earlier } = kek('w');
  await raw().insertOne({ _id: earlier.kekId, signed: documents.signKek(earlier as Kek) });
  expect(await keks.ofPair(pair)).toEqual([{ ...earlier, state: 'active' }]);
});

test('generations are told apart by number, and those of other environments are left out', async () => {
  for (let generation = 12; generation > 0; generation--) await keks.claim(kek(`w${generation}`, generation));
  await keks.claim(kek('other', 1, { environment: 'staging', classification: 'internal' }));
  await keks.claim(kek('other', 1, { environment: 'production', classification: 'confidential' }));
  const found = await keks.ofPair(pair);
  expect(found.map(({ kekId }) => kekId)).toEqual(Array.from({ length: 12 }, (_, i) => `kek_production_internal_${i + 1}`));
  expect(currentKek(found)?.kekId).toBe('kek_production_internal_12');
  expect(await keks.list()).toHaveLength(14);
});

test('a KEK that the workers have and the store has not is lost, not absent: no other takes its name or its place', async () => {
  expect(await keks.get('kek_production_internal_1')).toBeUndefined();
  delivered.set('kek_production_internal_1', 1);
  await expect(keks.get('kek_production_internal_1')).rejects.toBeInstanceOf(TamperedDocument);
  expect(tampered).toEqual(['kek_production_internal_1: it is gone']);
  await keks.claim(kek('w'));
  delivered.set('kek_production_internal_2', 1);
  await expect(keks.ofPair(pair)).rejects.toBeInstanceOf(TamperedDocument);
  await expect(keks.all()).rejects.toMatchObject({ id: 'kek_production_internal_2' });
  expect(await keks.stored()).toHaveLength(1);
  await keks.claim(kek('w', 2));
  expect(await keks.all()).toHaveLength(2);
  delivered.set('kek_production_internal_2', 2);
  await expect(keks.all()).rejects.toBeInstanceOf(TamperedDocument);
});

test('a KEK that was exchanged is refused, and hides no other in a list', async () => {
  await keks.claim(kek('mine'));
  await keks.claim(kek('another', 1, { environment: 'staging', classification: 'internal' }));
  const other = new SignedDocuments(signer(storage.control.kid), storage.control.trusted).signKek(kek('theirs'));
  await raw().updateOne({ _id: 'kek_production_internal_1' }, { $set: { signed: other } });
  await expect(keks.get('kek_production_internal_1')).rejects.toBeInstanceOf(TamperedDocument);
  await expect(keks.all()).rejects.toBeInstanceOf(TamperedDocument);
  expect((await keks.list()).map(({ kekId }) => kekId)).toEqual(['kek_staging_internal_1']);
  expect(tampered).toEqual([expect.stringContaining('kek_production_internal_1: ')]);
});

test('a KEK that was put back in an older state is refused, also where it is changed', async () => {
  const first = kek('w') as LivingKek;
  await keks.claim(first);
  await keks.change(first.kekId, (one) => retireKek(one, now));
  delivered.set(first.kekId, 2);
  await raw().updateOne({ _id: first.kekId }, { $set: { signed: documents.signKek(first) } });
  await expect(keks.ofPair(pair)).rejects.toBeInstanceOf(TamperedDocument);
  await expect(keks.change(first.kekId, (one) => retireKek(one, now))).rejects.toBeInstanceOf(TamperedDocument);
});

test('changes that race are each decided on what is there then', async () => {
  await keks.claim(kek('w'));
  const changed = await Promise.all(
    Array.from({ length: 10 }, () => keks.change('kek_production_internal_1', (one) => ({ ...one, revision: one.revision + 1 }))),
  );
  expect(changed.map(({ revision }) => revision).sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => i + 2));
});

test('of a destroyed KEK the record is left, without its material, and its generation is never used again', async () => {
  await keks.claim(kek('w'));
  await expect(keks.change('kek_production_internal_1', (one) => destroyKek(one, now))).rejects.toMatchObject({ code: 'ERR_KEY_STATE' });
  await keks.change('kek_production_internal_1', (one) => retireKek(one, now));
  await keks.change('kek_production_internal_1', (one) => destroyKek(one, now));
  const [gone] = await keks.ofPair(pair);
  expect(gone).toMatchObject({ state: 'destroyed', revision: 3, retiredAt: now, destroyedAt: now });
  expect(gone).not.toHaveProperty('material');
  const [, payload] = ((await raw().findOne({})) as { signed: string }).signed.split('.');
  expect(Buffer.from(payload as string, 'base64url').toString()).not.toContain('wrapped');
});
