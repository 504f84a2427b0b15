import { randomBytes } from 'node:crypto';
import { limits } from '@claviger/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Key } from '../src/key';
import { ListCursors, openCursor, sealCursor } from '../src/list-cursors';
import { scannedMost, shownPage } from '../src/list-page';
import { newKey, openStore } from './keys-under-test';

let storage: Awaited<ReturnType<typeof openStore>>;
beforeAll(async () => {
  storage = await openStore();
});
afterAll(() => storage.close());

const some = Array.from({ length: 60 }, () => newKey()).sort((one, other) => (one.keyId < other.keyId ? -1 : 1));
/** As the store reads it: whole pages of what the filter means. */
const pagesOf = (keys: readonly Key[]) => async (after: string | undefined, limit: number) => {
  const rest = keys.filter(({ keyId }) => after === undefined || keyId > after);
  const page = rest.slice(0, limit);
  return { keys: page, next: page.length === limit ? page.at(-1)?.keyId : undefined };
};
async function everyPage(keys: readonly Key[], mayShow: (key: Key) => boolean, limit: number) {
  const pages: { ids: string[]; next: string | undefined }[] = [];
  for (let after: string | undefined; ; ) {
    const { keys: shown, next } = await shownPage(pagesOf(keys), mayShow, { after, limit });
    pages.push({ ids: shown.map(({ keyId }) => keyId), next });
    if (next === undefined) return pages;
    after = next;
  }
}

test('pages are what they were if there was nothing that the caller may not see: each key once, full pages, a next one only where there is more', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }), fc.integer({ min: 1, max: 20 }), async (seen, limit) => {
      const mayShow = ({ keyId }: Key) => seen[some.findIndex((key) => key.keyId === keyId)] === true;
      const shown = some.filter(mayShow);
      const full = (await everyPage(some, mayShow, limit)).map(({ ids }) => ids);
      expect(full.flat()).toEqual(shown.map(({ keyId }) => keyId));
      for (const page of full.slice(0, -1)) expect(page).toHaveLength(limit);
      expect(full.length === 1 || (full.at(-1)?.length ?? 0) > 0).toBe(true);
    }),
  ));

test('of very many that the caller may not see a page looks at so many only, and goes on from there', async () => {
  let looked = 0;
  const hidden = async (after = '0', limit: number) => {
    looked += limit;
    return { keys: [], next: String(Number(after) + limit) };
  };
  const page = await shownPage(hidden, () => false, { after: undefined, limit: 100 });
  expect([page, looked]).toEqual([{ keys: [], next: String(scannedMost) }, scannedMost]);
});

test('a page ends where a message would be full', async () => {
  const large = some.map((key) => ({ ...key, description: 'd'.repeat(limits.messageBytes / 20) }));
  const { keys, next } = await shownPage(pagesOf(large), () => true, { after: undefined, limit: 50 });
  expect(Buffer.byteLength(JSON.stringify(keys))).toBeLessThan(limits.messageBytes / 2 + limits.messageBytes / 10);
  expect(next).toBe(keys.at(-1)?.keyId);
});

const of = { principal: 'kim', filter: { owner: 'ada', suspended: true } };
const keyId = some[0]?.keyId as string;

test('a cursor tells nothing of the key that it is made of, and opens for the same list of the same caller only', () => {
  const key = randomBytes(32);
  const cursor = sealCursor(key, keyId, of);
  expect(Buffer.from(cursor, 'base64url').toString('latin1')).not.toContain(keyId.slice(2));
  expect(sealCursor(key, keyId, of)).not.toBe(cursor);
  expect(openCursor(key, cursor, { principal: 'kim', filter: { suspended: true, owner: 'ada' } })).toBe(keyId);
  const refused = { code: 'ERR_MALFORMED_REQUEST' };
  const other = [
    { ...of, principal: 'eve' },
    { ...of, filter: {} },
    { ...of, filter: { ...of.filter, owner: 'eve' } },
  ];
  for (const list of other) expect(() => openCursor(key, cursor, list)).toThrow(expect.objectContaining(refused));
  expect(() => openCursor(randomBytes(32), cursor, of)).toThrow(expect.objectContaining(refused));
  fc.assert(
    fc.property(fc.base64String({ maxLength: 120 }), (forged) => {
      expect(() => openCursor(key, forged, of)).toThrow(expect.objectContaining(refused));
    }),
  );
});

test('replicas that begin at once have one key for cursors; what somebody else put there is none', async () => {
  const db = storage.database();
  const [one, other] = [new ListCursors(db), new ListCursors(db)];
  const [first, second] = await Promise.all([one.seal(keyId, of), other.seal(keyId, of)]);
  expect(await Promise.all([other.open(first, of), one.open(second, of)])).toEqual([keyId, keyId]);
  await db.collection<{ _id: string }>('secrets').updateOne({ _id: 'list-cursors' }, { $set: { key: 'short' } });
  await expect(new ListCursors(db).seal(keyId, of)).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
});
