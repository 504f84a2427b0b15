import { type EventType, eventSubject, eventTypes, type KeyProfile, type KnownToken, type PolicyBundle } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { ComplianceWatch } from '../src/compliance-watch';
import { Floors } from '../src/floors';
import { compromiseKey, type Key, type NewKey, setRotation, updateNotes } from '../src/key';
import { certifyKey } from '../src/key-certification';
import { afterCompromise, setClassification } from '../src/key-events';
import { type Restored, restoredKey } from '../src/restored-key';
import { rotatedAnew } from '../src/restored-rotation';
import { dayMs } from '../src/rotation-schedule';
import { TokenWatch } from '../src/token-watch';
import { about, intent, knownToken, type Lifecycle, now, startLifecycle } from './keys-under-test';

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
const change = async ({ keyId }: Key, decide: (key: Key) => Key | Promise<Key>) => {
  const { key, recorded } = await l.commands.change(keyId, decide, ({ revision }) => intent(revision, { keyId }));
  recorded();
  return key;
};
const stored = async ({ keyId }: Key) => (await l.store.get(keyId)) as Key;
const sweep = (aheadMs = 0) => l.sweeper(l.trail, Date.now() + aheadMs).sweep();
/** Records of tokens that are in force with the next profiles. */
let tokens: KnownToken[] = [];
let revision = 0;
const inForce = (...profiles: Partial<KeyProfile>[]) => {
  const all = profiles.map((more, n): KeyProfile => ({ id: `p${n}`, description: 'of a test', ...more }));
  l.policies.current = { bundle: { revision: ++revision, profiles: all, tokens } as PolicyBundle, hash: '' };
};
async function events<T extends EventType>(type: T, { keyId }: Pick<Key, 'keyId'>): Promise<object[]> {
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
  const watches = [l.replica(), l.replica(), l.replica()].map(
    ({ due, assurance }) => new ComplianceWatch(due, new Floors(l.policies), assurance, l.logger),
  );
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
    const watch = new ComplianceWatch(l.due, new Floors(l.policies), l.assurance, l.logger, () => Date.now() + days * dayMs);
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

test('material comes only into a token whose validation is what the profile asks for; what is refused changes nothing', async () => {
  const code = (made: Promise<unknown>) =>
    made.then(
      () => 'OK',
      ({ code }: { code: string }) => code,
    );
  const before = await create({ environment: 'staging', classification: 'confidential' });
  const open = await create({ environment: 'staging', classification: 'public' });
  const [keks, keys] = [hsm.kek, hsm.key];
  const meant = {
    environments: ['staging' as const],
    classifications: ['confidential' as const, 'restricted' as const],
    moduleLevel: 3 as const,
  };
  const rotate = (key: Key) => l.commands.material(key, context.active());
  for (const [why, known] of Object.entries({
    'has no record': [],
    'is validated at level 2': [knownToken({ level: 2 })],
    'was revoked': [knownToken({ status: 'revoked' })],
    'had a validation until 2026-01-31': [knownToken({ validUntil: '2026-01-31' })],
    'is validated by nobody': [{ ...knownToken(), validation: { standard: 'none' as const } }],
    // It is another token that is good enough: a secret key is under a root.
    'token customer has no record': [knownToken({}, 'pq')],
  })) {
    tokens = known;
    inForce(meant);
    await expect(create({ environment: 'staging', classification: 'restricted' })).rejects.toMatchObject({
      ...{ code: 'ERR_ASSURANCE', detail: expect.stringContaining(why) },
    });
    expect(await code(rotate(before))).toBe('ERR_ASSURANCE');
    const others = known.filter(({ label }) => label === 'pq').map(({ label }) => label);
    expect(await code((async () => l.assurance.allowed(before))())).toBe(others.length > 0 ? 'OK' : 'ERR_ASSURANCE');
    expect(await code(l.assurance.assertRoots({ environment: 'staging', classification: 'restricted' }))).toBe('ERR_ASSURANCE');
    const raised = change(open, async (k) => {
      const to = setClassification(k, 'confidential', 'why', now);
      await l.assurance.assertKept(to);
      return to;
    });
    expect(await code(raised)).toBe('ERR_ASSURANCE');
    expect(await code(rotate(open))).toBe('OK');
  }
  expect({ keks: hsm.kek, key: hsm.key, stored: await stored(open) }).toEqual({ keks, key: keys + 6, stored: open });
  tokens = [knownToken()];
  inForce(meant);
  expect(await code(create({ environment: 'staging', classification: 'restricted' }))).toBe('OK');
  expect(await code(l.assurance.assertKept(before))).toBe('OK');
  expect([l.assurance.allowed(before), l.assurance.allowed(open)]).toEqual([{ tokens: ['customer'] }, {}]);
  // Another worker, which has not said what it has, may have the token that will do; once it has said so, that counts.
  tokens = [knownToken({}, 'pq')];
  inForce(meant);
  l.playing.add('crypto-worker.w-2');
  const customer = hsm.tokens;
  hsm.others = { 'w-2': customer };
  const unsure = l.replica().assurance;
  expect(await unsure.only(before, 'AES_256')).toEqual({ tokens: ['pq'] });
  expect((await unsure.shortfalls([before]))(before)).toBeUndefined();
  hsm.answering = ['w-1', 'w-2'];
  const sure = l.replica().assurance;
  expect(await code(sure.only(before, 'AES_256'))).toBe('ERR_ASSURANCE');
  expect((await sure.shortfalls([before]))(before)).toMatchObject([{ what: 'moduleLevel' }]);
  hsm.others = { 'w-2': customer.map((one) => ({ ...one, label: 'pq' })) };
  expect(await l.replica().assurance.only(before, 'AES_256')).toEqual({ tokens: ['pq'] });
  l.playing.delete('crypto-worker.w-2');
  hsm.answering = ['w-1'];
  // Which tokens there are is not known: nothing is refused for good, and nothing is let in.
  hsm.away();
  const { assurance } = l.replica();
  expect(await code(assurance.only(before, 'AES_256'))).toBe('ERR_WORKER_UNAVAILABLE');
  expect((await assurance.shortfalls([before, open]))(before)).toBeUndefined();
  expect((await assurance.shortfalls([before, open]))(open)).toEqual([]);
  hsm = l.serveHsm();
  [tokens, l.policies.current] = [[], undefined];
});

test('a restored key that no token here may have comes back suspended and decrypts; others get their new version', async () => {
  const backup = { backupId: 'b_20260301120000000_AAAAAAAAAA', now };
  const asMade = (of: Key) => l.commands.material(of, context.active());
  const [demanded, free] = [
    await create({ environment: 'staging', classification: 'confidential' }),
    await create({ environment: 'staging', classification: 'public' }),
  ].map((key) => restoredKey(key, { backupId: backup.backupId, proven: true }, Date.parse(now))) as [Restored, Restored];
  tokens = [];
  inForce({ environments: ['staging'], classifications: ['confidential'], moduleLevel: 3 });
  const [refused, rotated] = await Promise.all([demanded, free].map((one) => rotatedAnew(one, asMade, backup)));
  expect(refused).toMatchObject({
    ...{ outcome: 'suspended', rotates: false, refused: expect.stringMatching(/^suspended, without a new version: .*has no record/) },
    key: {
      suspended: true,
      processingAllowed: true,
      primaryVersion: 1,
      revision: demanded.key.revision,
      versions: [{ state: 'deactivated' }],
    },
  });
  expect(rotated).toMatchObject({ outcome: 'usable', rotates: true, key: { primaryVersion: 2, revision: free.key.revision } });
  // What may be over the next time ends the restore, which is asked for again.
  tokens = [knownToken()];
  inForce({ moduleLevel: 3 });
  hsm.away();
  await expect(rotatedAnew(free, asMade, backup)).rejects.toMatchObject({ code: 'ERR_WORKER_UNAVAILABLE' });
  hsm = l.serveHsm();
  [tokens, l.policies.current] = [[], undefined];
});

test('a key whose token falls below its floor goes on to be used, and that is told once', async () => {
  const key = await create();
  const watches = [l.replica(), l.replica()].map(
    ({ due, assurance }) => new ComplianceWatch(due, new Floors(l.policies), assurance, l.logger),
  );
  const look = async () => {
    for (const watch of [...watches, ...watches]) await watch.look([await stored(key)]);
    return events('io.claviger.key.non-compliant', key);
  };
  tokens = [knownToken()];
  inForce({ moduleLevel: 3 });
  expect(await look()).toEqual([]);
  tokens = [knownToken({ status: 'historical' })];
  inForce({ moduleLevel: 3 });
  expect(await look()).toMatchObject([
    { shortfalls: [{ what: 'moduleLevel', profile: 'p0', why: expect.stringContaining('historical') }] },
  ]);
  expect((await stored(key)).versions).toMatchObject([{ state: 'active' }]);
});

test('what became of a validation is told once over all replicas, in the ledger and on KEYS, also when the first one ended before it was', async () => {
  const watch = (r = l.replica(), trail: Pick<typeof l.trail, 'append'> = l.trail, aheadMs = 0) =>
    new TokenWatch({
      ...{ connection: l.connection, assurance: r.assurance, sightings: r.sightings, tales: r.tokenTales, trail, holder: 'kl-1' },
      ...{ logger: l.logger, nowMs: () => Date.now() + aheadMs },
    });
  const told = async () => (await l.recorded()).filter(({ kind }) => kind === 'token').map(({ event, token }) => `${event} ${token}`);
  const ended = () => events('io.claviger.token.validation-ended', { keyId: 'customer' });
  const broken = { append: () => Promise.reject(new Error('AUDIT is away')) };
  tokens = [knownToken({ status: 'revoked' }), { ...knownToken({}, 'pq'), serialNumber: '0001' }];
  inForce();
  await watch(undefined, broken).look();
  expect([await told(), await ended()]).toEqual([[], []]);
  // Who wrote it down may still be about to tell it.
  await watch().look();
  expect(await told()).toEqual([]);
  for (const n of [1, 2]) await Promise.all([1, 2, 3].map(() => watch(undefined, undefined, n * 60_000).look()));
  // Of several that tell what another one left, each may: the record is the same, and so is the event.
  expect(new Set(await told())).toEqual(new Set(['validation-ended customer']));
  expect(await ended()).toMatchObject([
    {
      token: 'customer',
      state: 'revoked',
      certificate: '4567',
      contact: 'psirt@vendor.example',
      record: expect.stringContaining('token.customer.'),
    },
  ]);
  hsm.tokens = [
    {
      label: 'pq',
      root: false,
      reached: true,
      reported: { manufacturer: 'x', model: 'K7', firmware: '7.8', serialNumber: '0042', family: 'x' },
    },
  ];
  await Promise.all([1, 2, 3].map(() => watch().look()));
  await watch().look();
  expect((await told()).filter((line) => line.startsWith('mismatch'))).toEqual(['mismatch pq']);
  expect(await events('io.claviger.token.mismatch', { keyId: 'pq' })).toMatchObject([
    { mismatches: [{ what: 'serialNumber', recorded: '0001', reported: '0042' }] },
  ]);
  // What somebody else wrote there is told as such, and hides nothing.
  await l.db.collection('tokens').updateOne({ _id: 'customer' as never }, { $set: { signed: 'x' } });
  await watch().look();
  expect(l.tampered).toContainEqual(expect.stringContaining('token customer'));
  expect(await ended()).toHaveLength(2);
  [tokens, l.policies.current] = [[], undefined];
});
