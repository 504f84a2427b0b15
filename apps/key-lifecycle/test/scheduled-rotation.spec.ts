import { Algorithm, CommittedRecord, type EventType, eventSubject, eventTypes, type RotationSchedule, usagesOf } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { LeaseBounds } from '../src/invocations';
import { cancelDeletion, type Key, type NewKey, resumeKey, rotateKey, scheduleDeletion, setRotation, suspendKey } from '../src/key';
import { iso } from '../src/key-dates';
import { LeasesController } from '../src/leases.controller';
import { dayMs } from '../src/rotation-schedule';
import { warning } from '../src/warnings';
import { about, intent, type Lifecycle, now, startLifecycle } from './keys-under-test';

let l: Lifecycle;
let hsm: ReturnType<Lifecycle['serveHsm']>;
beforeAll(async () => {
  l = await startLifecycle();
  hsm = l.serveHsm();
}, 120_000);
afterAll(() => l.stop());

/** Only time is not real: sweeps look at keys made just now from days ahead. */
const inDays = (days: number) => Date.now() + days * dayMs;
const every = (everyDays: number, more: Partial<RotationSchedule> = {}) =>
  ({ everyDays, timeZone: 'UTC', jitterMinutes: 0, onUsageThreshold: true, ...more }) as RotationSchedule;
const create = async (more: Partial<NewKey> = {}): Promise<Key> => {
  const { keyId: _, ...wanted } = about(more);
  const { key, recorded } = await l.commands.create(wanted, ({ keyId, revision }) => intent(revision, { keyId }), context.active());
  recorded();
  return key;
};
const change = async ({ keyId }: Key, decide: (key: Key) => Key) => {
  const { key, recorded } = await l.commands.change(keyId, decide, ({ revision }) => intent(revision, { keyId }));
  recorded();
  return key;
};
const stored = async ({ keyId }: Key) => (await l.store.get(keyId)) as Key;
const rotations = async (key: Key) => (await l.recorded()).filter((r) => r.keyId === key.keyId && r.action === 'keys:Rotate');
const sweep = (nowMs: number, trail: AuditTrail = l.trail) => l.sweeper(trail, nowMs).sweep();
/** Events of this key on KEYS, after every outbox was emptied. */
async function events<T extends EventType>(type: T, { keyId }: Key): Promise<object[]> {
  await l.relay.sweep();
  await until(async () => (await l.store.pending(1_000)).items.every((i) => i.aggregateId !== keyId), { what: 'the outbox to be empty' });
  const reader = await l.broker.connection('provisionerCore');
  try {
    const jsm = await jetstreamManager(reader);
    const subject = eventSubject(type, keyId);
    const found: object[] = [];
    const { state } = await jsm.streams.info('KEYS');
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage('KEYS', { seq });
      if (message?.subject === subject) found.push(eventTypes[type].data.parse(message.json<{ data: unknown }>().data) as object);
    }
    return found;
  } finally {
    await reader.close();
  }
}

test('two replicas that sweep at once rotate each key once, with one new material and one record; keys that are not due stay', async () => {
  const keys = await Promise.all([create({ schedule: every(30) }), create({ schedule: every(30) }), create({ schedule: every(30) })]);
  const later = await create({ schedule: every(31) });
  const before = hsm.key;
  const at = inDays(30);
  await Promise.all([l.replica(), l.replica(), l.replica()].map((replica) => l.sweeper(l.trail, at, replica).sweep()));
  expect(hsm.key - before).toBe(3);
  for (const key of keys) {
    expect(await stored(key)).toMatchObject({ primaryVersion: 2, revision: 2, versions: [{ state: 'deactivated' }, { state: 'active' }] });
    expect(await rotations(key)).toMatchObject([
      {
        kind: 'operation',
        outcome: 'success',
        principal: 'key-lifecycle',
        session: 'schedule',
        version: 2,
        reason: expect.stringContaining('every 30 days'),
      },
    ]);
  }
  expect((await stored(later)).primaryVersion).toBe(1);
  await sweep(at);
  expect((await stored(keys[0] as Key)).primaryVersion).toBe(2);
}, 60_000);

test.each(Algorithm.options)('a key of %s is rotated as scheduled', async (algorithm) => {
  const key = await create({ algorithm, usage: usagesOf(algorithm)[0], schedule: every(40) });
  await sweep(inDays(40));
  const rotated = await stored(key);
  expect(rotated).toMatchObject({ primaryVersion: 2 });
  expect(rotated.versions.map(({ material }) => material?.custody)).toEqual(
    algorithm === 'ED25519' ? ['token', 'token'] : ['wrapped', 'wrapped'],
  );
});

test('a key that is frozen, or waits for its deletion, is not rotated; resumed after its time it is, at the next sweep', async () => {
  const [frozen, deleting] = [await create({ schedule: every(5) }), await create({ schedule: every(5) })];
  await change(frozen, (key) => suspendKey(key, false, 's', now));
  await change(deleting, (key) => scheduleDeletion(key, 90, { by: 'ada', reason: 'd' }, Date.now()));
  await sweep(inDays(6));
  expect([(await stored(frozen)).primaryVersion, (await stored(deleting)).primaryVersion]).toEqual([1, 1]);
  await change(frozen, (key) => resumeKey(key, 'r', iso(inDays(6))));
  await change(deleting, (key) => cancelDeletion(key));
  await sweep(inDays(6));
  expect([(await stored(frozen)).primaryVersion, (await stored(deleting)).primaryVersion]).toEqual([2, 1]);
});

test('a window that was missed is waited for again, and nobody looks at the key before', async () => {
  const at = inDays(3);
  const weekday = (['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const)[new Date(at).getUTCDay()] as 'sun';
  const key = await create({ schedule: every(1, { window: { days: [weekday], from: '00:00', to: '00:00' } }) });
  await sweep(at + dayMs);
  expect((await stored(key)).primaryVersion).toBe(1);
  expect(await l.due.ids(iso(at + 2 * dayMs), 1_000)).not.toContain(key.keyId);
  await sweep(at + 7 * dayMs);
  expect((await stored(key)).primaryVersion).toBe(2);
});

test('a process that ends between the rotation and its record: another one records it, and nobody rotates again', async () => {
  const key = await create({ schedule: every(30) });
  const failing = Object.create(l.trail, { operation: { value: () => Promise.reject(new Error('the process ends here')) } });
  const at = inDays(30);
  await sweep(at, failing);
  expect((await stored(key)).primaryVersion).toBe(2);
  expect(await rotations(key)).toEqual([]);
  await Promise.all([l.replica(), l.replica()].map((replica) => l.sweeper(l.trail, at + 3_600_000, replica).sweep()));
  await l.replica().owed.sweep();
  const records = await rotations(key);
  expect(records).toHaveLength(1);
  expect(CommittedRecord.parse(records[0])).toMatchObject({ principal: 'key-lifecycle', session: 'schedule', version: 2, revision: 2 });
  expect((await stored(key)).primaryVersion).toBe(2);
});

test('a process that ends before the rotation: another one does it a minute later, and none before', async () => {
  const key = await create({ schedule: every(30) });
  const at = inDays(30);
  expect(await l.replica().due.claim(key.keyId, iso(at), iso(at + 60_000))).toMatchObject({ key: { keyId: key.keyId } });
  await sweep(at + 59_000);
  expect((await stored(key)).primaryVersion).toBe(1);
  await sweep(at + 60_000);
  expect((await stored(key)).primaryVersion).toBe(2);
});

test('a rotation that another change came before leaves no object in the token, and is decided anew', async () => {
  const key = await create({ algorithm: 'ED25519', usage: 'sign' });
  let first = true;
  const { key: rotated } = await l.commands.change(
    key.keyId,
    async (current) => {
      const made = await l.commands.material(current, context.active());
      if (first) await change(current, (k) => setRotation(k, { atEnd: 'warn' }, now));
      first = false;
      return rotateKey(current, made, 'r', now);
    },
    ({ revision }) => intent(revision, { keyId: key.keyId }),
  );
  await until(
    async () => {
      await l.orphans(l.trail, Date.now()).sweep();
      return hsm.destroyed.length === 1;
    },
    { what: 'the object that nobody uses to be destroyed' },
  );
  expect(rotated.versions.map(({ material }) => material?.custody === 'token' && material.label)).not.toContain(hsm.destroyed[0]);
});

test('a rotation on demand moves the next, and so does another schedule', async () => {
  const key = await create({ schedule: every(30) });
  const rotated = await change(key, (k) =>
    rotateKey(k, { material: { custody: 'wrapped', kekId: 'k', mechanism: 1, family: 'f', wrapped: 'w' } }, 'r', iso(inDays(20))),
  );
  await sweep(inDays(31));
  expect((await stored(key)).primaryVersion).toBe(2);
  await change(rotated, (k) => setRotation(k, { schedule: every(5) }, iso(inDays(21))));
  await sweep(inDays(26));
  expect((await stored(key)).primaryVersion).toBe(3);
});

test('at the end of its time a key is deactivated where that is asked for, and recorded', async () => {
  const key = await create({ cryptoperiod: { originatorDays: 10, recipientDays: 20 }, atEnd: 'deactivate' });
  await sweep(inDays(10));
  expect((await stored(key)).versions).toMatchObject([{ state: 'deactivated' }]);
  const records = (await l.recorded()).filter((r) => r.keyId === key.keyId && r.action === 'keys:Deactivate');
  expect(records).toMatchObject([{ outcome: 'success', session: 'schedule', reason: expect.stringContaining('originator usage period') }]);
});

test('warnings are told once for each version and number of days, by however many replicas and through crashes', async () => {
  const key = await create({ cryptoperiod: { originatorDays: 100, recipientDays: 100 } });
  const sweepAll = (day: number) =>
    Promise.all([l.replica(), l.replica(), l.replica()].map((replica) => l.sweeper(l.trail, inDays(day), replica).sweep()));
  const told = async () => (await events('io.claviger.key.period-ending', key)).map((event) => (event as { days: number }).days);
  await sweepAll(69);
  expect(await told()).toEqual([]);
  // Told, and then all of them died before they sent it.
  await sweepAll(70.1);
  expect(await l.due.ids(iso(inDays(92)), 1_000)).not.toContain(key.keyId);
  for (const day of [70.2, 93.1, 99.1, 99.5, 100.1, 100.2]) await sweepAll(day);
  expect(await told()).toEqual([30, 7, 1, 0]);
  expect((await events('io.claviger.key.period-ending', key))[0]).toMatchObject({ version: 1, owner: 'kim', atEnd: 'warn' });
  // No change of the key: no worker hears of it, and the ledger has nothing to say.
  expect((await stored(key)).revision).toBe(1);
}, 60_000);

test('a process that dies between two writes tells nothing twice: what was told and that it was is one write', async () => {
  const key = await create({ cryptoperiod: { originatorDays: 100, recipientDays: 100 } });
  const dying = l.replica();
  dying.due.release = () => Promise.reject(new Error('the process ends here'));
  await l.sweeper(l.trail, inDays(71), dying).sweep();
  await sweep(inDays(72));
  expect(await events('io.claviger.key.period-ending', key)).toMatchObject([{ days: 30 }]);
});

test('of many that tell the same at once one does, none of a key that has changed since, and what somebody else wrote there is refused', async () => {
  const key = await create({ cryptoperiod: { originatorDays: 100, recipientDays: 100 } });
  const from = await l.due.toldOf(key.keyId);
  const due = warning(key, from.told, inDays(71)) as NonNullable<ReturnType<typeof warning>>;
  const told = await Promise.all(Array.from({ length: 5 }, () => l.replica().due.tell(key, from, due.told, due.event)));
  expect(told.filter(Boolean)).toHaveLength(1);
  const outbox = (await l.store.pending(1_000)).items.filter(({ aggregateId }) => aggregateId === key.keyId);
  // What its creation had to say may still wait there, too.
  expect(outbox.map(({ entryId }) => entryId).filter((id) => id.includes('period-ending'))).toEqual([due.event.id]);
  const now71 = await l.due.toldOf(key.keyId);
  expect(now71.told).toEqual(due.told);
  await change(key, (k) => setRotation(k, { atEnd: 'rotate' }, now));
  expect(await l.due.tell(key, now71, due.told, due.event)).toBe(false);
  await l.db.collection<{ _id: string }>('keys').updateOne({ _id: key.keyId }, { $set: { told: 'x.y.z' } });
  await expect(l.due.toldOf(key.keyId)).rejects.toThrow(key.keyId);
  await l.db.collection<{ _id: string }>('keys').updateOne({ _id: key.keyId }, { $unset: { told: '' } });
});

test('a deletion that comes is told too', async () => {
  const key = await create();
  await change(key, (k) => scheduleDeletion(k, 60, { by: 'ada', reason: 'd' }, Date.now()));
  for (const day of [29, 31, 54, 59.5]) await sweep(inDays(day));
  expect((await events('io.claviger.key.deletion-approaching', key)).map((event) => (event as { days: number }).days)).toEqual([29, 6, 1]);
  await sweep(inDays(60.1));
  expect((await stored(key)).versions).toMatchObject([{ state: 'destroyed' }]);
});

const lease = (key: Key, count: number, { store } = l.replica()) =>
  new LeasesController(store, new LeaseBounds(1_000, 0.5)).lease({
    ...{ type: 'claviger.request/1', keyId: key.keyId, version: key.primaryVersion, count },
  });

test('at the share of encryptions a key is rotated whose schedule says so, once, and no other', async () => {
  const [asks, declines, none] = [
    await create({ schedule: every(300, { window: { days: ['mon'], from: '03:00', to: '03:01' } }) }),
    await create({ schedule: every(300, { onUsageThreshold: false }) }),
    await create(),
  ];
  for (const key of [asks, declines, none]) await lease(key, 499);
  await sweep(Date.now());
  expect((await stored(asks)).primaryVersion).toBe(1);
  for (const key of [asks, declines, none]) await lease(key, 1);
  await Promise.all([l.replica(), l.replica()].map((replica) => l.sweeper(l.trail, Date.now(), replica).sweep()));
  for (const [key, version] of [
    [asks, 2],
    [declines, 1],
    [none, 1],
  ] as const)
    expect((await stored(key)).primaryVersion).toBe(version);
  expect(await rotations(asks)).toMatchObject([{ session: 'schedule', reason: expect.stringContaining('number of encryptions') }]);
  for (const key of [asks, none]) expect(await events('io.claviger.key.rotation-due', key)).toHaveLength(1);
  for (let n = 0; n < 2; n++) await sweep(Date.now() + 120_000);
  expect((await stored(asks)).primaryVersion).toBe(2);
  expect(await l.due.ids(iso(Date.now() + 120_000), 1_000)).not.toContain(asks.keyId);
  // Who gets a schedule afterwards is rotated then.
  await change(none, (k) => setRotation(k, { schedule: every(300) }, now));
  await sweep(Date.now() + 120_000);
  expect((await stored(none)).primaryVersion).toBe(2);
});

test('a key that came to its share while it was frozen is rotated when it is resumed', async () => {
  const key = await create({ schedule: every(300) });
  await lease(key, 400);
  await change(key, (k) => suspendKey(k, false, 's', now));
  await lease(key, 200);
  await sweep(Date.now() + 120_000);
  expect((await stored(key)).primaryVersion).toBe(1);
  await change(key, (k) => resumeKey(k, 'r', now));
  await sweep(Date.now() + 120_000);
  expect((await stored(key)).primaryVersion).toBe(2);
});

test('more keys than a page that cannot be looked after keep no other waiting', async () => {
  const good = await create({ schedule: every(30) });
  const forged = (n: number) => ({
    _id: `a${n}`,
    name: `a${n}`,
    dueAt: iso(0),
    signed: 'x.y.z',
    revision: 1,
    outbox: [],
    owed: [],
    pending: false,
  });
  const documents = l.db.collection<{ _id: string }>('keys');
  await documents.insertMany(Array.from({ length: 250 }, (_, n) => forged(n)) as never);
  await sweep(inDays(31));
  await documents.deleteMany({ _id: /^a/ } as never);
  expect((await stored(good)).primaryVersion).toBe(2);
});

test('rotations that hang at a worker hold up no destruction, activation or deactivation', async () => {
  const rotating = await Promise.all(Array.from({ length: 6 }, () => create({ schedule: every(30) })));
  const [destroyed, later, ending, waiting] = [
    await create(),
    await create(),
    // Its rotation came first.
    await create({ schedule: every(30), atEnd: 'deactivate', cryptoperiod: period(31) }),
    await l.commands.create(about(), ({ keyId, revision }) => intent(revision, { keyId }), context.active(), iso(inDays(31))),
  ];
  await change(destroyed, (key) => scheduleDeletion(key, 7, { by: 'ada', reason: 'd' }, Date.now()));
  let release: () => void = () => undefined;
  hsm.held = new Promise((resolve) => (release = resolve));
  const sweeper = l.sweeper(l.trail, inDays(32));
  const first = sweeper.sweep();
  await until(async () => (await stored(destroyed)).versions[0]?.state === 'destroyed', { what: 'the destruction', timeoutMs: 20_000 });
  await until(async () => (await stored(waiting.key)).versions[0]?.state === 'active', { what: 'the activation', timeoutMs: 20_000 });
  await until(async () => (await stored(ending)).versions[0]?.state === 'deactivated', { what: 'the deactivation', timeoutMs: 20_000 });
  // The next sweep does not wait for the first one's rotations either.
  await change(later, (key) => scheduleDeletion(key, 7, { by: 'ada', reason: 'd' }, Date.now()));
  const others: Promise<void>[] = [];
  const isDestroyed = async () => {
    // One that was not over yet has read what was due before.
    others.push(sweeper.sweep());
    return (await stored(later)).versions[0]?.state === 'destroyed';
  };
  await until(isDestroyed, { what: 'the next destruction', timeoutMs: 20_000 });
  expect((await Promise.all(rotating.map(stored))).map(({ primaryVersion }) => primaryVersion)).toEqual([1, 1, 1, 1, 1, 1]);
  release();
  hsm.held = undefined;
  await Promise.all([first, ...others]);
  expect((await Promise.all(rotating.map(stored))).map(({ primaryVersion }) => primaryVersion)).toEqual([2, 2, 2, 2, 2, 2]);
}, 90_000);
const period = (originatorDays: number) => ({ originatorDays, recipientDays: originatorDays });

test('without a worker nothing changes; it is told once, and tried again less and less often until there is one', async () => {
  const key = await create({ schedule: every(30) });
  hsm.away();
  await l.workers.flush();
  const at = inDays(30);
  for (const seconds of [0, 30, 61, 122, 182, 240]) await sweep(at + seconds * 1_000);
  expect(await stored(key)).toMatchObject({ primaryVersion: 1, revision: 1 });
  expect(await events('io.claviger.key.rotation-failed', key)).toMatchObject([{ version: 1, code: 'ERR_WORKER_UNAVAILABLE' }]);
  expect(l.logger.lines.filter((line) => line.includes(`key ${key.keyId} is not rotated`))).toHaveLength(3);
  l.serveHsm();
  await l.workers.flush();
  await sweep(at + 423_000);
  expect((await stored(key)).primaryVersion).toBe(2);
});
