import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { outboxOf } from '../src/delivery';
import type { Key, NewKey } from '../src/key';
import { KeyStore, type OutboxEntry } from '../src/key-store';
import { SettledEntries } from '../src/settled-entries';
import { SignedDocuments } from '../src/signed-documents';
import { about, type Lifecycle, newKey, startLifecycle } from './keys-under-test';

let l: Lifecycle;
let asked: ReturnType<Lifecycle['serveHsm']>;
beforeAll(async () => {
  l = await startLifecycle();
  asked = l.serveHsm();
}, 120_000);
afterAll(() => l.stop());

const intend = ({ keyId, revision }: Key) =>
  l.trail.intend({
    ...{ action: 'keys:Create', principal: 'kim', session: 'S'.repeat(22), mfa: false, keyId, version: 1 },
    ...{ policies: [], revisions: { session: 1, bundle: 1 }, revision },
  });
const create = async (more: Partial<NewKey> = {}) => {
  const { keyId: _, ...wanted } = about({ classification: 'confidential', ...more });
  return l.commands.create(wanted, intend, context.active());
};
type Stored = { _id: string; name: string; pending: boolean; outbox: OutboxEntry[]; owed: { id: string }[] };
const documents = () => l.db.collection<Stored>('keys');
const settled = (ids: string[]) =>
  until(async () => (await documents().countDocuments({ _id: { $in: ids }, pending: true })) === 0, { what: 'the outboxes to be empty' });
const eventsOf = async (ids: string[]): Promise<number[]> => {
  const provisioner = await l.broker.connection('provisionerCore');
  try {
    const jsm = await jetstreamManager(provisioner);
    const info = await Promise.all(ids.map((id) => jsm.streams.info('KEYS', { subjects_filter: `keys.v1.key.created.${id}` })));
    return info.map(({ state }) => Object.values(state.subjects ?? {}).reduce((sum, n) => sum + n, 0));
  } finally {
    await provisioner.close();
  }
};

test('keys that are made side by side are asked for with one message, and are whole: in the store, in the bucket, told once, owing nothing', async () => {
  await create();
  const before = { ...asked };
  const made = await Promise.all(Array.from({ length: 60 }, () => create()));
  expect(asked.key - before.key).toBe(60);
  expect(asked.messages - before.messages).toBe(1);
  expect(asked.kek).toBe(before.kek);
  for (const { recorded } of made) recorded();
  const ids = made.map(({ key }) => key.keyId);
  await settled(ids);
  const stored = await documents()
    .find({ _id: { $in: ids } })
    .toArray();
  expect(stored).toHaveLength(60);
  for (const document of stored) expect(document).toMatchObject({ outbox: [], owed: [], pending: false });
  for (const { key } of made) expect(await l.store.get(key.keyId)).toEqual(key);
  await until(() => ids.every((id) => l.view.get(id)?.revision === 1), { what: 'the bucket to have them' });
  expect(await eventsOf(ids)).toEqual(ids.map(() => 1));
});

test('one whose name is taken, or whose material nobody can make, leaves the others as they are', async () => {
  const { key } = await create();
  const wanted = [
    {},
    { name: key.name },
    { algorithm: 'HMAC_SHA_512', usage: 'mac' },
    { name: 'twice' },
    { name: 'twice' },
    { algorithm: 'ED25519', usage: 'sign' },
  ];
  const outcomes = await Promise.allSettled(wanted.map((more) => create(more as Partial<NewKey>)));
  const codeOf = (outcome: PromiseSettledResult<unknown>) => (outcome.status === 'fulfilled' ? 'made' : outcome.reason.code);
  expect(outcomes.map(codeOf).toSorted()).toEqual(
    ['made', 'ERR_CONFLICT', 'ERR_ALGORITHM_UNAVAILABLE', 'made', 'ERR_CONFLICT', 'made'].toSorted(),
  );
  expect([1, 2].map((i) => codeOf(outcomes[i] as PromiseSettledResult<unknown>))).toEqual(['ERR_CONFLICT', 'ERR_ALGORITHM_UNAVAILABLE']);
  expect(await documents().countDocuments({ name: { $in: [key.name, 'twice'] } })).toBe(2);
});

test('a process that ends after it stored a batch: another one delivers each key, tells of it once and records who made it once', async () => {
  const keys = Array.from({ length: 7 }, () => newKey());
  const [first] = keys as [Key];
  await Promise.all(
    keys.map((key) => {
      const intent = intend(key);
      return l.store.insert(key, outboxOf(key, 'io.claviger.key.created', intent), [l.owed.owe(key.keyId, intent)]);
    }),
  );
  const ids = keys.map(({ keyId }) => keyId);
  // Of the first it had come as far as the bucket.
  await l.delivery.putKey(first);
  const other = l.replica();
  await Promise.all([other.relay.sweep(), other.owed.sweep()]);
  await Promise.all([other.relay.sweep(), other.owed.sweep()]);
  await settled(ids);
  await until(() => ids.every((id) => l.view.get(id)?.revision === 1), { what: 'the bucket to have them' });
  expect(await eventsOf(ids)).toEqual(ids.map(() => 1));
  const records = (await l.recorded()).filter(({ keyId }) => ids.includes(keyId as string));
  expect(records.map(({ keyId }) => keyId).toSorted()).toEqual(ids.toSorted());
});

test('a document that a process left empty when it ended in the middle says no longer that something waits in it', async () => {
  const key = newKey();
  await l.store.insert(key, [], []);
  expect(await documents().findOne({ _id: key.keyId })).toMatchObject({ outbox: [], owed: [], pending: true });
  const another = new KeyStore(l.db, new SignedDocuments(l.control, l.control.trusted), () => undefined);
  await another.pending(100);
  expect(await documents().findOne({ _id: key.keyId })).toMatchObject({ pending: false });
});

test('while the store is slow to settle, what makes more to settle waits', async () => {
  const { promise: slow, resolve: release } = Promise.withResolvers<void>();
  const entries = new SettledEntries(l.db.collection('keys'), async (call) => {
    await slow;
    return call();
  });
  await entries.room();
  const removed = Array.from({ length: 4_000 }, (_, i) => entries.remove(`k${i}`, 'outbox', ['a']));
  let thereIsRoom = false;
  const room = entries.room().then(() => (thereIsRoom = true));
  await new Promise(setImmediate);
  expect(thereIsRoom).toBe(false);
  release();
  await room;
  await Promise.all(removed);
});

test('what is settled is taken out of a document, and what is not stays, whatever somebody else wrote into another', async () => {
  const [one, another, tampered] = [newKey(), newKey(), newKey()];
  const entry = (id: string): OutboxEntry => ({ id, kind: 'view' });
  await Promise.all([one, another, tampered].map((key) => l.store.insert(key, [entry(`${key.keyId}.a`)], [])));
  const of = ({ keyId }: Key) => documents().findOne({ _id: keyId });
  await documents().updateOne({ _id: another.keyId }, { $push: { outbox: entry('b') } });
  await documents().updateOne({ _id: tampered.keyId }, { $set: { outbox: 'nothing' as never } });
  const removed = await Promise.allSettled(
    [one, another, tampered].map(({ keyId }) => Promise.all([l.store.remove(keyId, [`${keyId}.a`]), l.store.removeOwed(keyId, ['o'])])),
  );
  expect(removed.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  expect(await of(one)).toMatchObject({ outbox: [], pending: false });
  expect(await of(another)).toMatchObject({ outbox: [{ id: 'b' }], pending: true });
  expect(await of(tampered)).toMatchObject({ outbox: 'nothing', pending: true });
  await documents().deleteOne({ _id: tampered.keyId });
});
