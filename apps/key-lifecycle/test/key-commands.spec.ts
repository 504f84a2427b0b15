import type { WrappedKey } from '@claviger/contracts';
import { eventTypes } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { cancelDeletion, type Key, resumeKey, scheduleDeletion, setConsumers, suspendKey } from '../src/key';
import { viewKey } from '../src/key-description';
import { rebuildView } from '../src/rebuild';
import { about, intent, type Lifecycle, now, quiet, startLifecycle } from './keys-under-test';

let l: Lifecycle;
let asked: { kek: number; key: number };
beforeAll(async () => {
  l = await startLifecycle();
  asked = l.serveHsm();
}, 120_000);
afterAll(() => l.stop());

const create = async (more = {}, activationAt?: string) => {
  const { keyId: _, ...wanted } = about(more);
  const intend = ({ keyId, revision }: Key) => intent(revision, { keyId });
  const { key, recorded } = await l.commands.create(wanted, intend, context.active(), activationAt);
  recorded();
  return key;
};
const change = async (keyId: string, decide: (key: Key) => Key) => {
  const { recorded, ...changed } = await l.commands.change(keyId, decide, ({ revision }) => intent(revision, { keyId }));
  recorded();
  return changed;
};
const arrives = (keyId: string, revision: number) =>
  until(() => l.view.get(keyId)?.revision === revision, { what: `revision ${revision} of ${keyId}` });

test('keys of one environment and classification are made under one KEK, also when the first ones are made at once', async () => {
  const keys = await Promise.all(Array.from({ length: 8 }, () => create({ environment: 'staging' })));
  const keks = new Set(keys.map((k) => (k.versions[0]?.material as WrappedKey | undefined)?.kekId));
  expect([...keks]).toEqual(['kek_staging_internal_1']);
  await arrives('kek_staging_internal_1', 1);
  const inUse = await l.keks.get('kek_staging_internal_1');
  expect(l.view.get('kek_staging_internal_1')).toMatchObject({ material: inUse?.material });
  const before = asked.kek;
  await create({ environment: 'staging' });
  expect(asked.kek).toBe(before);
  expect(new Set(keys.map((k) => k.keyId)).size).toBe(8);
});

test('a change that is asked for again is a revision more, so that workers can confirm it', async () => {
  const { keyId } = await create();
  const suspend = () => change(keyId, (key) => suspendKey(key, false, 's', now));
  expect((await suspend()).key.revision).toBe(2);
  expect(await suspend()).toMatchObject({ key: { revision: 3, suspended: true }, reached: { confirmed: true } });
});

test('changes that race are all made or told ERR_CONFLICT, and the bucket ends at the last', async () => {
  const { keyId } = await create();
  const settled = await Promise.allSettled(
    Array.from({ length: 40 }, (_, n) =>
      change(keyId, (key) => (n % 2 ? suspendKey(key, n % 3 === 0, 's', now) : resumeKey(key, 'r', now))),
    ),
  );
  const done = settled.filter((s) => s.status === 'fulfilled').length;
  for (const s of settled) if (s.status === 'rejected') expect(s.reason).toMatchObject({ code: 'ERR_CONFLICT' });
  expect((await l.store.get(keyId))?.revision).toBe(done + 1);
  await arrives(keyId, done + 1);
}, 60_000);

test('each change is an event, once, after its outbox was emptied', async () => {
  const { keyId } = await create();
  await change(keyId, (key) => setConsumers(key, ['x']));
  await until(async () => (await l.store.pending(1_000)).items.every((i) => i.aggregateId !== keyId), { what: 'the outbox to be empty' });
  await l.relay.sweep();
  const provisioner = await l.broker.connection('provisionerCore');
  const jsm = await jetstreamManager(provisioner);
  const { state } = await jsm.streams.info('KEYS', { subjects_filter: `keys.v1.key.*.${keyId}` });
  expect(state.subjects).toEqual({ [`keys.v1.key.created.${keyId}`]: 1, [`keys.v1.key.changed.${keyId}`]: 1 });
  const event = (await jsm.streams.getMessage('KEYS', { last_by_subj: `keys.v1.key.changed.${keyId}` }))?.json<{ data: unknown }>();
  expect(eventTypes['io.claviger.key.changed'].data.parse(event?.data)).toMatchObject({
    keyId,
    revision: 2,
    consumers: ['x'],
    change: { action: 'keys:Test', by: 'kim', session: 'S'.repeat(22), reason: 'a test' },
  });
  await provisioner.close();
});

test('a rebuild brings the bucket up to the store and never lowers it, and lists by filter are complete from then on', async () => {
  await expect(l.store.list(undefined, 10, { owner: 'kim' })).rejects.toMatchObject({ code: 'ERR_STATE_STALE' });
  const key = await create();
  const ahead = { ...key, revision: 7, suspended: true };
  await l.owner.put(viewKey(ahead));
  await arrives(key.keyId, 7);
  const behind = await create();
  const to = suspendKey(behind, false, 's', now);
  // Stored, and then the process died.
  await l.store.change(behind, to, [], []);
  const unindexed = { $unset: { facets: '' as const, indexed: '' as const } };
  await l.db.collection<{ _id: string; facets: string[]; indexed: number }>('keys').updateOne({ _id: behind.keyId }, unindexed);
  const count = await rebuildView({ store: l.store, delivery: l.delivery, view: l.view, logger: quiet() });
  expect(count).toBeGreaterThan(0);
  await arrives(behind.keyId, 2);
  expect((await l.store.list(undefined, 10, { namePrefix: behind.name, suspended: true })).keys).toEqual([to]);
  expect(l.view.get(key.keyId)).toMatchObject({ revision: 7, suspended: true });
  expect(l.tampered.join()).toContain(key.keyId);
});

/** Keeps what is recorded; the trail itself is proven in libs/messaging. */
const keepingTrail = (records: object[], available = true) =>
  ({
    commit: { available },
    intend: (entry: { revision: number }, id?: string) => intent(entry.revision, entry, id),
    operation: async (record: object) => void records.push(record),
  }) as unknown as AuditTrail;
const dueAt = Date.now() + 8 * 86_400_000;
const scheduled = async () => {
  const { keyId } = await create();
  return (await change(keyId, (key) => scheduleDeletion(key, 7, { by: 'ada', reason: 'obsolete' }, Date.now()))).key;
};

test('two replicas that sweep at once destroy each key once and record it once; what was cancelled stays', async () => {
  const keys = [await scheduled(), await scheduled()];
  const cancelled = await scheduled();
  const records: { keyId?: string }[] = [];
  const sweeps = [l.replica(), l.replica()].map((r) => l.sweeper(keepingTrail(records), dueAt, r));
  const racing = sweeps.map((s) => s.sweep());
  await change(cancelled.keyId, (key) => cancelDeletion(key)).catch(() => undefined);
  await Promise.all(racing);
  const state = async ({ keyId }: Key) => (await l.store.get(keyId))?.versions[0];
  for (const key of keys) {
    expect(await state(key)).toMatchObject({ state: 'destroyed' });
    expect(await state(key)).not.toHaveProperty('material');
    expect(records.filter((r) => r.keyId === key.keyId)).toHaveLength(1);
  }
  const kept = (await state(cancelled))?.state !== 'destroyed';
  expect(records.filter((r) => r.keyId === cancelled.keyId)).toHaveLength(kept ? 0 : 1);
}, 60_000);

test('a key is activated when its time has come, once, with its record; one that was frozen meanwhile waits on', async () => {
  const at = new Date(Date.now() + 86_400_000).toISOString();
  const [waiting, frozen] = [await create({}, at), await create({}, at)];
  await change(frozen.keyId, (key) => suspendKey(key, false, 'doubts', now));
  const records: { keyId?: string; action?: string }[] = [];
  const sweep = (nowMs: number) => l.sweeper(keepingTrail(records), nowMs).sweep();
  await sweep(Date.parse(at) - 1);
  expect(records.filter(({ action }) => action === 'keys:Activate')).toEqual([]);
  for (let n = 0; n < 2; n++) await sweep(Date.parse(at));
  expect(records.filter(({ action }) => action === 'keys:Activate').map(({ keyId }) => keyId)).toEqual([waiting.keyId]);
  expect(await l.store.get(waiting.keyId)).toMatchObject({ versions: [{ state: 'active', transitions: [{}, { at, to: 'active' }] }] });
  expect((await l.store.get(frozen.keyId))?.versions[0]?.state).toBe('pre-activation');
}, 60_000);

test('one key that cannot be destroyed keeps no other alive', async () => {
  const [bad, good] = [await scheduled(), await scheduled()];
  await l.db.collection<{ _id: string; signed: string }>('keys').updateOne({ _id: bad.keyId }, { $set: { signed: 'x.y.z' } });
  const records: { keyId?: string }[] = [];
  await l.sweeper(keepingTrail(records), dueAt).sweep();
  expect(records.map((r) => r.keyId)).toContain(good.keyId);
  expect((await l.store.get(good.keyId))?.versions[0]?.state).toBe('destroyed');
}, 60_000);

test('nothing is destroyed that could not be recorded', async () => {
  const key = await scheduled();
  await l.sweeper(keepingTrail([], false), dueAt).sweep();
  expect((await l.store.get(key.keyId))?.versions[0]?.state).toBe('suspended');
});

test('without a worker no key is made, and none is stored', async () => {
  const before = await l.store.list(undefined, 500);
  await l.workers.drain();
  await expect(create()).rejects.toMatchObject({ code: 'ERR_WORKER_UNAVAILABLE' });
  expect((await l.store.list(undefined, 500)).keys).toHaveLength(before.keys.length);
});
