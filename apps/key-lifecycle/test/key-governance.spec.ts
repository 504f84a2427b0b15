import { type EventType, eventSubject, eventTypes, type KeyProfile, type PolicyBundle } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { ComplianceWatch } from '../src/compliance-watch';
import { Floors } from '../src/floors';
import { compromiseKey, type Key, type NewKey, setRotation, updateNotes } from '../src/key';
import { certifyKey } from '../src/key-certification';
import { afterCompromise, setClassification } from '../src/key-events';
import { dayMs } from '../src/rotation-schedule';
import { about, intent, type Lifecycle, now, startLifecycle } from './keys-under-test';

let l: Lifecycle;
let hsm: ReturnType<Lifecycle['serveHsm']>;
beforeAll(async () => {
  l = await startLifecycle();
  hsm = l.serveHsm();
}, 120_000);
afterAll(() => l.stop());

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
const sweep = (aheadMs = 0) => l.sweeper(l.trail, Date.now() + aheadMs).sweep();
const inForce = (...profiles: Partial<KeyProfile>[]) => {
  const all = profiles.map((more, n): KeyProfile => ({ id: `p${n}`, description: 'of a test', ...more }));
  l.policies.current = { bundle: { profiles: all } as PolicyBundle, hash: '' };
};
async function events<T extends EventType>(type: T, { keyId }: Key): Promise<object[]> {
  await l.relay.sweep();
  await until(async () => (await l.store.pending(1_000)).items.every((i) => i.aggregateId !== keyId), { what: 'the outbox to be empty' });
  const reader = await l.broker.connection('provisionerCore');
  try {
    const jsm = await jetstreamManager(reader);
    const found: object[] = [];
    const { state } = await jsm.streams.info('KEYS');
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage('KEYS', { seq });
      if (message?.subject === eventSubject(type, keyId))
        found.push(eventTypes[type].data.parse(message.json<{ data: unknown }>().data) as object);
    }
    return found;
  } finally {
    await reader.close();
  }
}

test('a classification that was raised moves the key under the KEK of the new one, with the reason in the transition and the ledger', async () => {
  const key = await create({ classification: 'internal' });
  await change(key, (k) => setClassification(k, 'restricted', 'it holds cards now', new Date().toISOString()));
  expect(await stored(key)).toMatchObject({ classification: 'restricted', primaryVersion: 1, rotationDue: { reason: expect.any(String) } });
  await Promise.all([l.replica(), l.replica()].map((replica) => l.sweeper(l.trail, Date.now() + 1, replica).sweep()));
  const rotated = await stored(key);
  expect(rotated.rotationDue).toBeUndefined();
  expect(rotated.versions.map(({ material }) => material?.custody === 'wrapped' && material.kekId)).toEqual([
    'kek_production_internal_1',
    'kek_production_restricted_1',
  ]);
  const reason = 'classification raised from internal to restricted: it holds cards now';
  expect(rotated.versions[1]?.transitions[0]).toMatchObject({ to: 'active', reason });
  expect((await l.recorded()).filter((r) => r.keyId === key.keyId && r.action === 'keys:Rotate')).toMatchObject([
    { principal: 'key-lifecycle', outcome: 'success', version: 2, reason },
  ]);
});

test('a token that is away stops no compromise: the key is rotated when it is back, and meanwhile that is told', async () => {
  const key = await create();
  hsm.away();
  await change(key, (k) => afterCompromise(k, compromiseKey(k, undefined, 'leaked', now), true, 'leaked', new Date().toISOString()));
  await sweep();
  expect(await stored(key)).toMatchObject({ primaryVersion: 1, versions: [{ state: 'compromised' }] });
  expect(await events('io.claviger.key.rotation-failed', key)).toMatchObject([{ keyId: key.keyId, code: 'ERR_WORKER_UNAVAILABLE' }]);
  hsm = l.serveHsm();
  await sweep(61_000);
  expect(await stored(key)).toMatchObject({ primaryVersion: 2, versions: [{ state: 'compromised' }, { state: 'active' }] });
});

test('a key that is less than a new profile asks for is told once, by one of many, and again when it was mended and fell below once more', async () => {
  const key = await create();
  const watches = [l.replica(), l.replica(), l.replica()].map(({ due }) => new ComplianceWatch(due, new Floors(l.policies), l.logger));
  const look = async () => {
    const found = await stored(key);
    for (const _ of [1, 2]) await Promise.all(watches.map((watch) => watch.look([found])));
  };
  const told = () => events('io.claviger.key.non-compliant', key);
  l.policies.current = undefined;
  await look();
  inForce({ strengthBitsMin: 128 });
  await look();
  expect(await told()).toEqual([]);
  inForce({ rotateWithinDays: 90 }, { algorithmsRefused: ['AES_256'] });
  await look();
  expect(await told()).toMatchObject([
    {
      keyId: key.keyId,
      owner: 'kim',
      shortfalls: [
        { what: 'algorithms', profile: 'p1' },
        { what: 'rotateWithinDays', profile: 'p0' },
      ],
    },
  ]);
  // What is said of it is not what it is less in.
  await change(key, (k) => updateNotes(k, { team: 'payments' }));
  await look();
  expect(await told()).toHaveLength(1);
  inForce({ rotateWithinDays: 90 });
  await look();
  expect(await told()).toHaveLength(2);
  const everyDays = (days: number) => ({ everyDays: days, timeZone: 'UTC', jitterMinutes: 0, onUsageThreshold: true });
  await change(key, (k) => setRotation(k, { schedule: everyDays(90) }, new Date().toISOString()));
  await look();
  expect(await told()).toHaveLength(2);
  await change(key, (k) => setRotation(k, { schedule: null }, new Date().toISOString()));
  await look();
  expect(await told()).toHaveLength(3);
  l.policies.current = undefined;
});

test('an owner who has to certify a key is told 30, 7 and 1 days before and when it is over, each once; certified, the time begins anew', async () => {
  const key = await create();
  const look = async (days: number) => {
    const watch = new ComplianceWatch(l.due, new Floors(l.policies), l.logger, () => Date.now() + days * dayMs);
    const found = await stored(key);
    await watch.look([found]);
    await watch.look([found]);
    return (await events('io.claviger.key.certification-due', key)).map((event) => (event as { days: number }).days);
  };
  inForce({ recertifyEveryDays: 365 }, { recertifyEveryDays: 1_000 });
  expect(await look(334)).toEqual([]);
  expect(await look(336)).toEqual([30]);
  // What came since the last look is told as what it is now.
  expect(await look(364.5)).toEqual([30, 1]);
  expect(await look(400)).toEqual([30, 1, 0]);
  await change(key, (k) => certifyKey(k, 'kim', new Date(Date.now() + 400 * dayMs).toISOString()));
  expect(await look(401)).toEqual([30, 1, 0]);
  expect(await look(400 + 336)).toEqual([30, 1, 0, 30]);
  inForce();
  expect(await look(2_000)).toEqual([30, 1, 0, 30]);
  l.policies.current = undefined;
});
