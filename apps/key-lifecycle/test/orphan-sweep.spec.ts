import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { context } from '@opentelemetry/api';
import type { Key, NewKey } from '../src/key';
import { assertFresh } from '../src/reserved-objects';
import { about, intent, type Lifecycle, orphanAfterMs, signer, startLifecycle } from './keys-under-test';

let l: Lifecycle;
let hsm: ReturnType<Lifecycle['serveHsm']>;
beforeAll(async () => {
  l = await startLifecycle();
  hsm = l.serveHsm();
}, 120_000);
afterAll(() => l.stop());

interface Reserved {
  _id: string;
  signed: string;
  at: string;
}
const reserved = () => l.db.collection<Reserved>('reservations');
const inToken: Partial<NewKey> = { algorithm: 'ED25519', usage: 'sign' };
const create = async (more: Partial<NewKey> = {}): Promise<Key> => {
  const { keyId: _, ...wanted } = about({ ...inToken, ...more });
  const { key, recorded } = await l.commands.create(wanted, ({ keyId, revision }) => intent(revision, { keyId }), context.active());
  recorded();
  return key;
};
const labelOf = ({ versions: [version] }: Key) => ((version as Key['versions'][number]).material as { label: string }).label;
/** As a process does that ends before it has written the key. */
const makeOnly = async (keyId = about().keyId) => {
  const { material } = await l.commands.material({ ...about(inToken), keyId }, context.active());
  return (material as { label: string }).label;
};
const sweep = (atMs: number) => l.orphans(l.trail, atMs).sweep();
const later = () => Date.now() + orphanAfterMs + 1_000;
const records = async (label: string) => (await l.recorded()).filter(({ reason }) => String(reason).includes(label));
const names = async () => (await reserved().find().toArray()).map(({ _id }) => _id);
const noName = () => until(async () => (await names()).length === 0, { what: 'the reservations to be released' });

test('what was made for a name that is taken is destroyed by the next sweep, and that is recorded', async () => {
  const { name } = await create();
  await noName();
  await expect(create({ name })).rejects.toMatchObject({ code: 'ERR_CONFLICT' });
  const [left] = await until(
    async () => ((all) => all.length === 1 && all[0]?.at.startsWith('1970') && all)(await reserved().find().toArray()),
    {
      what: 'the object to be given up',
    },
  );
  const { _id: label } = left as Reserved;
  await sweep(Date.now());
  expect(hsm.destroyed.filter((one) => one === label)).toHaveLength(1);
  expect(await records(label)).toMatchObject([{ action: 'keys:DiscardMaterial', principal: 'key-lifecycle', outcome: 'success' }]);
  expect(await names()).toEqual([]);
});

test('a crash between the making of an object and its key: it is destroyed once it is old, by one of several replicas', async () => {
  const label = await makeOnly();
  await sweep(Date.now());
  expect(hsm.destroyed).not.toContain(label);
  await Promise.all([l.replica(), l.replica()].map((replica) => l.orphans(l.trail, later(), replica).sweep()));
  expect(hsm.destroyed.filter((one) => one === label)).toHaveLength(1);
  expect(await records(label)).toHaveLength(1);
  expect(await names()).toEqual([]);
});

test('an object that its key names stays, also when its reservation was never released', async () => {
  const key = await create();
  const label = labelOf(key);
  await noName();
  const at = new Date().toISOString();
  const signed = l.replica().documents.signReservation({ label, keyId: key.keyId, at });
  await reserved().insertOne({ _id: label, at, signed });
  await sweep(later());
  expect(hsm.destroyed).not.toContain(label);
  expect(await names()).toEqual([]);
});

test('while the document of its key cannot be believed, it is not known what it names: nothing is destroyed', async () => {
  const key = await create({ algorithm: 'AES_256', usage: 'encrypt' });
  const label = await makeOnly(key.keyId);
  const { signed } = (await l.db.collection<Reserved>('keys').findOne({ _id: key.keyId })) as Reserved;
  await l.db.collection<Reserved>('keys').updateOne({ _id: key.keyId }, { $set: { signed: 'x.y.z' } });
  await sweep(later());
  expect([hsm.destroyed.includes(label), await records(label)]).toEqual([false, []]);
  await l.db.collection<Reserved>('keys').updateOne({ _id: key.keyId }, { $set: { signed } });
  await sweep(later() + 120_000);
  expect(hsm.destroyed).toContain(label);
});

test('a reservation that somebody else wrote destroys nothing, and is told', async () => {
  const key = await create();
  const label = labelOf(key);
  const other = `key-${'0'.repeat(24)}`;
  const at = '2026-01-01T00:00:00.000Z';
  const own = l.replica().documents.signReservation({ label: other, keyId: about().keyId, at });
  const forged = new (l.replica().documents.constructor as new (s: object, t: object) => typeof l.documents)(signer(), new Map());
  await noName();
  await reserved().insertMany([
    { _id: label, at, signed: forged.signReservation({ label, keyId: about().keyId, at }) },
    { _id: `key-${'1'.repeat(24)}`, at, signed: own },
  ]);
  await sweep(later());
  expect(hsm.destroyed).not.toContain(label);
  expect(hsm.destroyed).not.toContain(other);
  expect(l.tampered.filter((line) => line.startsWith('key-'))).toHaveLength(2);
  await reserved().deleteMany({});
});

test('nothing is destroyed that could not be recorded, and what no worker could destroy is tried again', async () => {
  const label = await makeOnly();
  const unavailable = { ...l.trail, commit: { available: false } } as never;
  await l.orphans(unavailable, later()).sweep();
  expect(hsm.destroyed).not.toContain(label);
  hsm.away();
  await sweep(later());
  expect(await names()).toEqual([label]);
  hsm = l.serveHsm();
  await sweep(later() + 120_000);
  expect(hsm.destroyed).toEqual([label]);
  expect(await records(label)).toHaveLength(1);
  expect(await names()).toEqual([]);
});

test('material that a sweep may take for an orphan meanwhile is not used, whichever way the clock has jumped', () => {
  expect(() => assertFresh(0, orphanAfterMs / 2 - 1, orphanAfterMs)).not.toThrow();
  expect(() => assertFresh(0, orphanAfterMs / 2, orphanAfterMs)).toThrow(expect.objectContaining({ code: 'ERR_WORKER_UNAVAILABLE' }));
  expect(() => assertFresh(orphanAfterMs, 0, orphanAfterMs)).toThrow(expect.objectContaining({ code: 'ERR_WORKER_UNAVAILABLE' }));
});
