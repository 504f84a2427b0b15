import { CommittedRecord } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { context } from '@opentelemetry/api';
import { type Key, scheduleDeletion, suspendKey } from '../src/key';
import { about, type Lifecycle, now, startLifecycle } from './keys-under-test';

let l: Lifecycle;
beforeAll(async () => {
  l = await startLifecycle();
  l.serveHsm();
}, 120_000);
afterAll(() => l.stop());

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
/** Who asks, as the record of the operation will say it. */
const asked = (key: Key) =>
  l.trail.intend({
    action: 'keys:Suspend',
    principal: 'sam',
    session: 'S'.repeat(22),
    mfa: true,
    keyId: key.keyId,
    version: key.primaryVersion,
    policies: ['officers-suspend'],
    revisions: { key: key.revision - 1, session: 1, bundle: 3 },
    requestId: 'r-1',
    reason: 'stolen laptop',
    trace,
    revision: key.revision,
  });
const create = async (): Promise<Key> => {
  const { keyId: _, ...wanted } = about();
  const { key, recorded } = await l.commands.create(wanted, asked, context.active());
  recorded();
  await nothingIsOwedBy(key);
  return key;
};
const suspend = ({ keyId }: Key) => l.commands.change(keyId, (key) => suspendKey(key, false, 's', now), asked);
const documents = () => l.db.collection<{ _id: string; owed: { id: string; at: string; signed: string }[]; pending: boolean }>('keys');
const owedBy = async ({ keyId }: Key) => (await documents().findOne({ _id: keyId }))?.owed ?? [];
const nothingIsOwedBy = (key: Key) => until(async () => (await owedBy(key)).length === 0, { what: 'nothing to be owed' });
const recordsOf = async ({ keyId }: Key) => (await l.recorded()).filter((record) => record.keyId === keyId);

test('a process that ends between the change and its record: another one records who did it, why, and that it stands', async () => {
  const key = await create();
  await nothingIsOwedBy(key);
  // Committed and delivered; what would have recorded it is never heard of again.
  await suspend(key);
  expect((await l.store.get(key.keyId))?.suspended).toBe(true);
  expect(await recordsOf(key)).toEqual([]);
  const [owed] = await owedBy(key);

  await l.replica().owed.sweep();
  const records = await recordsOf(key);
  expect(records).toHaveLength(1);
  expect(CommittedRecord.parse(records[0])).toMatchObject({
    id: `${owed?.id}.committed`,
    record: owed?.id,
    committedAt: owed?.at,
    action: 'keys:Suspend',
    principal: 'sam',
    session: 'S'.repeat(22),
    mfa: true,
    version: 1,
    revision: 2,
    policies: ['officers-suspend'],
    revisions: { key: 1, session: 1, bundle: 3 },
    requestId: 'r-1',
    reason: 'stolen laptop',
    trace,
  });
  await nothingIsOwedBy(key);
  await l.replica().owed.sweep();
  expect(await recordsOf(key)).toHaveLength(1);
});

test('an operation that is recorded owes nothing, and no sweep records it again', async () => {
  const key = await create();
  const { recorded } = await suspend(key);
  expect(await owedBy(key)).toHaveLength(1);
  recorded();
  await nothingIsOwedBy(key);
  await until(async () => (await documents().findOne({ _id: key.keyId }))?.pending === false, { what: 'nothing to be pending' });
  await l.owed.sweep();
  expect(await recordsOf(key)).toEqual([]);
});

test('while records cannot be made durable the debt stays, and no sweep piles up records that wait', async () => {
  const key = await create();
  await suspend(key);
  const { commit } = l.trail;
  const away = Object.create(l.trail, { commit: { value: Object.create(commit, { available: { value: false } }) } });
  const { owed } = l.replica({ records: away });
  for (let n = 0; n < 3; n++) await owed.sweep();
  expect(await owedBy(key)).toHaveLength(1);
  expect(await recordsOf(key)).toEqual([]);
  expect(l.logger.lines.filter((line) => line.includes(`owed records of ${key.keyId}`))).toHaveLength(1);
  await l.owed.sweep();
  expect(await recordsOf(key)).toHaveLength(1);
});

test('what somebody else wrote into the store is told, kept as evidence, and recorded as nobody’s change', async () => {
  const [key, other] = [await create(), await create()];
  await suspend(other);
  const owed = (await owedBy(other))[0] as { id: string; signed: string };
  const at = new Date(0).toISOString();
  const [head, , signature] = owed.signed.split('.');
  const body = Buffer.from(JSON.stringify({ aggregateId: key.keyId, id: 'i.2', at, entry: { principal: 'kim' } })).toString('base64url');
  const forged = [
    { id: 'i.1', at, signed: 'x.y.z' },
    { id: 'i.2', at, signed: `${head}.${body}.${signature}` },
    // Signed by this service, of another key.
    { id: owed.id, at, signed: owed.signed },
  ];
  await documents().updateOne({ _id: key.keyId }, { $set: { owed: forged, pending: true } });
  for (let n = 0; n < 4; n++) await l.owed.sweep();
  expect(await recordsOf(key)).toEqual([]);
  expect(await owedBy(key)).toEqual(forged);
  expect(toldOf(key)).toHaveLength(3);
  // The one it was copied from is not held up by that.
  expect(await recordsOf(other)).toHaveLength(1);
});

const toldOf = ({ keyId }: Key) => l.tampered.filter((told) => told.startsWith(keyId));
const put = ({ keyId }: Key, owed: unknown) => documents().updateOne({ _id: keyId }, { $set: { owed: owed as never, pending: true } });

test.each([
  ['that is no list', { at: '2000' }],
  ['of nothing', [null, 7, {}, { id: 'i', at: 3, signed: 's' }]],
])('a list %s in one document stops the promises of no other', async (_what, owed) => {
  const [bad, good] = [await create(), await create()];
  await suspend(good);
  await put(bad, owed);
  await l.owed.sweep();
  expect(await recordsOf(good)).toHaveLength(1);
});

test('more forged promises than a sweep looks at keep no genuine one waiting', async () => {
  const key = await create();
  await suspend(key);
  const forged = (n: number) => ({
    _id: `a${n}`,
    name: `a${n}`,
    pending: true,
    outbox: [],
    owed: [{ id: `i.${n}`, at: past, signed: 'x.y.z' }],
  });
  const past = new Date(0).toISOString();
  await documents().insertMany(Array.from({ length: 600 }, (_, n) => forged(n)) as never);
  for (let n = 0; n < 3; n++) await l.owed.sweep();
  expect(await recordsOf(key)).toHaveLength(1);
  await documents().deleteMany({ _id: /^a/ } as never);
});

test('a promise whose time was changed is refused, also when that hides it', async () => {
  const key = await create();
  const { owed } = l.replica({ dueAfterMs: 60_000 });
  for (const at of ['2001-01-01T00:00:00.000Z', '2999-01-01T00:00:00.000Z', 'never']) {
    await suspend(key);
    const { id, signed } = (await owedBy(key)).at(-1) as { id: string; signed: string };
    await put(key, [{ id, at, signed }]);
    await owed.sweep();
    expect(toldOf(key).at(-1)).toContain(`owed record: it is ${id}`);
  }
  expect(toldOf(key)).toHaveLength(3);
  expect(await recordsOf(key)).toEqual([]);
});

test('a promise that is multiplied is recorded once; one that is put back after it was kept is not recorded again, and both are told', async () => {
  const key = await create();
  const { recorded } = await suspend(key);
  const [settled] = await owedBy(key);
  recorded();
  await nothingIsOwedBy(key);
  await suspend(key);
  const [open] = await owedBy(key);
  await put(key, [...Array.from({ length: 200 }, () => settled), ...Array.from({ length: 200 }, () => open)]);
  for (let n = 0; n < 3; n++) await l.owed.sweep();
  expect(await recordsOf(key)).toMatchObject([{ id: `${open?.id}.committed` }]);
  await put(key, [open]);
  for (let n = 0; n < 3; n++) await l.owed.sweep();
  expect(await recordsOf(key)).toHaveLength(1);
  expect(toldOf(key)).toEqual([
    expect.stringContaining('it is there again'),
    expect.stringContaining('it is there more than once'),
    expect.stringContaining('it is there again'),
  ]);
});

test('a record that was made, whose promise could not be taken out: it is taken out later, and recorded once', async () => {
  const key = await create();
  await suspend(key);
  const { store, owed } = l.replica();
  let away = true;
  const removeOwed = store.removeOwed.bind(store);
  store.removeOwed = (...about) => (away ? Promise.reject(new Error('no store')) : removeOwed(...about));
  await owed.sweep();
  away = false;
  await owed.sweep();
  expect(await owedBy(key)).toEqual([]);
  expect(await recordsOf(key)).toHaveLength(1);
});

test('what this process has in hand is not recorded as nobody’s, however its clock jumps', async () => {
  const { commands, owed } = l.replica({ dueAfterMs: 60_000 });
  const key = await create();
  const clock = Date.now;
  await commands.change(key.keyId, (k) => suspendKey(k, false, 's', now), asked);
  Date.now = () => clock() + 3_600_000;
  try {
    await owed.sweep();
  } finally {
    Date.now = clock;
  }
  expect(await recordsOf(key)).toEqual([]);
  expect(await owedBy(key)).toHaveLength(1);
});

test('a destruction as scheduled is owed like any other change', async () => {
  const key = await create();
  const changed = await l.commands.change(key.keyId, (k) => scheduleDeletion(k, 7, { by: 'ada', reason: 'obsolete' }, Date.now()), asked);
  changed.recorded();
  await nothingIsOwedBy(key);
  const dueAt = Date.now() + 8 * 86_400_000;
  const failing = Object.create(l.trail, { operation: { value: () => Promise.reject(new Error('the process ends here')) } });
  await l.sweeper(failing, dueAt).sweep();
  expect((await l.store.get(key.keyId))?.versions[0]?.state).toBe('destroyed');
  const told = l.logger.lines.filter((line) => line.includes(`key ${key.keyId}`)).slice(-2);
  expect(told).toEqual([expect.stringContaining('destroyed as scheduled'), expect.stringContaining('will be recorded later')]);
  await l.replica().owed.sweep();
  expect(await recordsOf(key)).toMatchObject([{ kind: 'committed', action: 'keys:Destroy', principal: 'key-lifecycle', revision: 3 }]);
});
