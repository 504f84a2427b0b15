import type { KekMaterial, WrappedKey } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { context } from '@opentelemetry/api';
import type { EpochRecord } from '../src/backup-records';
import { moveEpochs } from '../src/epoch-moves';
import { JobStore } from '../src/job-store';
import type { Kek, Pair } from '../src/kek';
import { type Key, rotateKey, setConsumers } from '../src/key';
import { KeyBulk } from '../src/key-bulk';
import { keysInTokens } from '../src/keys-in-tokens';
import { RewrapChanges } from '../src/rewrap-changes';
import { kekJob, pauseJob, type RewrapJob, resumeJob, rootJob, settleMs } from '../src/rewrap-job';
import { RewrapRunner } from '../src/rewrap-runner';
import { type RewrapParts, RewrapSteps } from '../src/rewrap-steps';
import { destroyRoot, newRoot, type Root } from '../src/root';
import { migrationJob, rootJobUnderWay } from '../src/token-migration';
import { TokenSurvey } from '../src/token-survey';
import { WrappingGuard } from '../src/wrapping-guard';
import { about, intent, type Lifecycle, now, startLifecycle, unwrappedUnder } from './keys-under-test';

let l: Lifecycle;
let hsm: ReturnType<Lifecycle['serveHsm']>;
beforeAll(async () => {
  l = await startLifecycle();
  hsm = l.serveHsm();
  await l.store.createIndexes();
  l.store.indexed();
}, 120_000);
afterAll(() => l.stop());

const asked = { reason: 'yearly', startedBy: 'kim' };
const pairs: Pair[] = (['public', 'internal', 'confidential', 'restricted'] as const).flatMap((classification) =>
  (['development', 'staging', 'production'] as const).map((environment) => ({ environment, classification })),
);
/** Each test has an environment and classification of its own. */
const pairOf = () => pairs.shift() as Pair;

const create = async (pair: Pair, more: Partial<Key> = {}): Promise<Key> => {
  const { keyId: _, ...wanted } = about({ ...pair, ...more });
  const { key, recorded } = await l.commands.create(wanted, ({ keyId, revision }) => intent(revision, { keyId }), context.active());
  recorded();
  return key;
};
const createMany = (pair: Pair, n: number) => Promise.all(Array.from({ length: n }, () => create(pair)));
const stored = async ({ keyId }: Key) => (await l.store.get(keyId)) as Key;
const materialOf = (key: Key, version = 1) => key.versions[version - 1]?.material as WrappedKey;
const secretOf = (key: Key, version = 1) => unwrappedUnder(materialOf(key, version).kekId, materialOf(key, version).wrapped);
const nobody = () => undefined as never;
const jobs = (replica = l.replica()) => new JobStore(l.db, replica.documents, nobody);
const owed = (job: RewrapJob) => l.owed.owe(job.jobId, intent(job.revision));

const guardOf = (r = l.replica(), view: Pick<typeof l.view, 'values' | 'fresh'> = l.view) =>
  new WrappingGuard({ keks: r.keks, jobs: jobs(r), backups: r.backups, view });

/** A replica's part in jobs; `more` are parts that fail, or do something else besides. */
function replica(more: Partial<RewrapParts> & { records?: typeof l.trail } = {}) {
  const { records = l.trail, ...others } = more;
  const r = l.replica({ records });
  r.store.indexed();
  const changes = new RewrapChanges({
    ...{ bulk: new KeyBulk(l.db, r.store), delivery: r.delivery, owed: r.owed, trail: records, logger: l.logger },
  });
  const guard = guardOf(r);
  const survey = new TokenSurvey(l.connection, l.view);
  const parts = { connection: l.connection, survey, ...r, changes, trail: records, view: l.view, guard, epochs: r.backups, ...others };
  const steps = (afterMs = 0) => new RewrapSteps({ ...parts, nowMs: () => Date.now() + afterMs });
  const runner = (afterMs: number, holder = 'kl-1') =>
    new RewrapRunner({
      ...{ jobs: jobs(r), steps: steps(afterMs), holder, keysPerSecond: 10_000, logger: l.logger, nowMs: () => Date.now() + afterMs },
    });
  return { ...r, steps, runner, jobs: jobs(r) };
}
const begin = async (pair: Pair): Promise<RewrapJob> => (await jobs().insert(kekJob(pair, await l.keks.ofPair(pair), asked, now), [])).job;
/** To the wait, and past it. */
const finish = async (r = replica()) => {
  await r.runner(0).work();
  await r.runner(settleMs + 1_000).work();
};
const keksOf = async (pair: Pair): Promise<Kek[]> => l.keks.ofPair(pair);
const rewraps = async (job: RewrapJob) =>
  (await l.recorded()).filter(({ action, reason }) => action === 'keys:Rewrap' && reason === job.jobId);

test('every key is under the new KEK and the same key, each with one record; the old KEK opens until the end, and is then destroyed', async () => {
  const pair = pairOf();
  const keys = await createMany(pair, 25);
  const rotated = keys[0] as Key;
  await l.commands.change(
    rotated.keyId,
    async (key) => rotateKey(key, await l.commands.material(key, context.active()), 'r', now),
    ({ revision }) => intent(revision, { keyId: rotated.keyId }),
  );
  const before = await Promise.all(keys.map(stored));
  const job = await begin(pair);
  await replica().runner(0).work();
  expect(await jobs().get(job.jobId)).toMatchObject({ phase: 'verifying', state: 'running', total: 25, done: 25 });
  expect((await keksOf(pair)).map(({ state }) => state)).toEqual(['retiring', 'active']);
  expect(materialOf(await create(pair)).kekId).toBe(job.to);
  await replica()
    .runner(settleMs + 1_000, 'kl-2')
    .work();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done', done: 25, pass: { found: 0 } });
  for (const key of before) {
    const after = await stored(key);
    expect(after.revision).toBe(key.revision + 1);
    for (const { version } of key.versions) {
      expect(materialOf(after, version).kekId).toBe(job.to);
      expect(secretOf(after, version)).toBe(secretOf(key, version));
    }
    await until(() => l.view.get(key.keyId)?.revision === after.revision, { what: 'the workers to have it' });
  }
  expect((await rewraps(job)).map(({ keyId }) => keyId).sort()).toEqual(keys.map(({ keyId }) => keyId).sort());
  const [old] = await keksOf(pair);
  expect(old).toMatchObject({ state: 'destroyed' });
  expect(old).not.toHaveProperty('material');
  await until(() => (l.view.get(old!.kekId) as { state?: string } | undefined)?.state === 'destroyed', { what: 'the workers to know' });
  expect((await l.recorded()).filter(({ action }) => action === 'keys:DestroyKek')).toMatchObject([
    { keyId: old!.kekId, reason: job.jobId },
  ]);
  expect((await l.store.pending(1_000)).items.filter(({ aggregateId }) => keys.some(({ keyId }) => keyId === aggregateId))).toEqual([]);
}, 60_000);

test('of many that begin the same rotation at once there is one job, and one new KEK', async () => {
  const pair = pairOf();
  await create(pair);
  const begun = await Promise.all(Array.from({ length: 8 }, () => begin(pair)));
  expect(new Set(begun.map(({ jobId }) => jobId)).size).toBe(1);
  const before = hsm.kek;
  await Promise.all(['a', 'b', 'c'].map((holder) => replica().runner(0, holder).work()));
  expect(hsm.kek - before).toBe(1);
  expect((await keksOf(pair)).map(({ state }) => state)).toEqual(['retiring', 'active']);
  await finish();
});

test('killed after any step, before it is saved, and taken up by others again and again: nothing is lost, nothing is done twice', async () => {
  const pair = pairOf();
  const keys = await createMany(pair, 12);
  const before = await Promise.all(keys.map(stored));
  const job = await begin(pair);
  let afterMs = 0;
  for (let round = 0; round < 200; round++) {
    const r = replica();
    const at = (ms: number) => new Date(Date.now() + afterMs + ms).toISOString();
    // Who had it before is dead: its claim ends.
    afterMs += 100_000;
    const claimed = await r.jobs.claim(`kl-${round}`, at(0), at(90_000));
    if (!claimed) break;
    const to = await r.steps(afterMs).next(claimed.job, { size: 3, scan: 5 });
    if (round % 3 !== 0) await r.jobs.save(claimed, to, at(90_000));
  }
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done', done: 12 });
  for (const key of before) expect([(await stored(key)).revision, secretOf(await stored(key))]).toEqual([2, secretOf(key)]);
  expect(await rewraps(job)).toHaveLength(12);
  expect((await keksOf(pair)).map(({ state }) => state)).toEqual(['destroyed', 'active']);
}, 60_000);

test('a process that ends between a rewrap and its record: the record is written by another, once', async () => {
  const pair = pairOf();
  const keys = await createMany(pair, 5);
  const job = await begin(pair);
  const records = Object.create(l.trail, { operation: { value: () => Promise.reject(new Error('the process ends here')) } });
  await replica({ records }).runner(0).work();
  expect((await stored(keys[0] as Key)).revision).toBe(2);
  expect(await rewraps(job)).toEqual([]);
  await l.replica().owed.sweep();
  await finish();
  expect((await rewraps(job)).map(({ kind }) => kind)).toEqual(Array.from({ length: 5 }, () => 'committed'));
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done' });
});

test('a key that was made under the old KEK and stored only after its rotation is found by the last pass, before the old KEK ends', async () => {
  const pair = pairOf();
  await create(pair);
  const late = await l.commands.material(about(pair), context.active());
  const job = await begin(pair);
  await replica().runner(0).work();
  const key = { ...(await create(pairOf())), ...about(pair), versions: [] as Key['versions'] };
  const [version] = (await create(pair)).versions;
  const slow: Key = { ...key, revision: 1, versions: [{ ...(version as Key['versions'][number]), ...late }] };
  await l.store.insert(slow, [], []);
  // Hidden from the index as well.
  await l.db.collection<{ _id: string }>('keys').updateOne({ _id: slow.keyId }, { $set: { facets: [] } });
  await replica()
    .runner(settleMs + 1_000)
    .work();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done', done: 2 });
  expect(materialOf(await stored(slow)).kekId).toBe(job.to);
  expect(secretOf(await stored(slow))).toBe(unwrappedUnder((late.material as WrappedKey).kekId, (late.material as WrappedKey).wrapped));
});

test('a key that is changed while it is rewrapped keeps that change, and is rewrapped in the next pass', async () => {
  const pair = pairOf();
  const [key] = (await createMany(pair, 3)) as [Key];
  const job = await begin(pair);
  let first = true;
  const store = Object.create(l.store, {
    list: {
      value: async (...args: Parameters<typeof l.store.list>) => {
        const page = await l.store.list(...args);
        if (first && page.keys.some(({ keyId }) => keyId === key.keyId)) {
          first = false;
          await l.commands.change(
            key.keyId,
            (one) => setConsumers(one, ['somebody-new']),
            ({ revision }) => intent(revision),
          );
        }
        return page;
      },
    },
  });
  await finish(replica({ store }));
  expect(await stored(key)).toMatchObject({ revision: 3, consumers: ['somebody-new'] });
  expect(materialOf(await stored(key)).kekId).toBe(job.to);
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done', done: 3 });
}, 60_000);

test('what does not open, or cannot be read, keeps the old KEK; put right and resumed, the job ends', async () => {
  const pair = pairOf();
  const [broken, tampered] = (await createMany(pair, 4)) as [Key, Key];
  const intact = await stored(broken);
  const damaged = { ...intact, revision: 2, versions: [{ ...intact.versions[0]!, material: { ...materialOf(intact), wrapped: 'AAAA' } }] };
  await l.store.change(intact, damaged, [], []);
  const document = await l.db.collection<{ _id: string; signed: string }>('keys').findOne({ _id: tampered.keyId });
  const sign = (signed: string) =>
    l.db.collection<{ _id: string; signed: string }>('keys').updateOne({ _id: tampered.keyId }, { $set: { signed } });
  await sign('x.y.z');
  const job = await begin(pair);
  await finish();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'failed', trouble: { code: 'ERR_INTERNAL' }, done: 2, pass: { unread: 1 } });
  await sign(document!.signed);
  const resume = () => jobs().change(job.jobId, resumeJob, owed);
  await resume();
  await finish();
  expect(await jobs().get(job.jobId)).toMatchObject({
    ...{ state: 'failed', trouble: { code: 'ERR_KEY_UNREADABLE' }, done: 3 },
    pass: { failures: [{ id: broken.keyId, code: 'ERR_KEY_UNREADABLE' }] },
  });
  expect((await keksOf(pair)).map(({ state }) => state)).toEqual(['retiring', 'active']);
  await l.store.change(damaged, { ...intact, revision: 3 }, [], []);
  await resume();
  await finish();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done' });
  expect((await keksOf(pair)).map(({ state }) => state)).toEqual(['destroyed', 'active']);
}, 60_000);

test('paused, whoever has it in hand stops at its next step and what it did stands; without workers it stands still and says why', async () => {
  const pair = pairOf();
  await createMany(pair, 3);
  const job = await begin(pair);
  const r = replica();
  const claimed = await r.jobs.claim('kl-1', new Date().toISOString(), new Date(Date.now() + 90_000).toISOString());
  const to = await r.steps().next(claimed!.job, { size: 1, scan: 1 });
  await r.jobs.change(job.jobId, pauseJob, owed);
  expect(await r.jobs.save(claimed!, to, null)).toBeUndefined();
  await r.runner(0).work();
  expect(await r.jobs.get(job.jobId)).toMatchObject({ state: 'paused', phase: 'preparing' });
  await r.jobs.change(job.jobId, resumeJob, owed);
  hsm.away();
  await r.runner(0).work();
  expect(await r.jobs.get(job.jobId)).toMatchObject({ state: 'running', trouble: { code: 'ERR_WORKER_UNAVAILABLE' } });
  hsm = l.serveHsm();
  await r.runner(10_000).work();
  await r.runner(settleMs + 20_000).work();
  const done = await r.jobs.get(job.jobId);
  expect(done).toMatchObject({ state: 'done', done: 3 });
  expect(done).not.toHaveProperty('trouble');
}, 60_000);

test('a new root is made once; every KEK comes under it as the same KEK, new ones too, and the old root is retired', async () => {
  const pair = pairOf();
  await create(pair);
  const before = (await l.keks.all()).filter(({ state }) => state !== 'destroyed');
  const { job } = await jobs().insert(rootJob(await l.roots.all(), asked, now), []);
  expect(job.to).toBe('root-2');
  await Promise.all(['a', 'b'].map((holder) => replica().runner(0, holder).work()));
  expect(hsm.roots).toEqual(['root-2']);
  for (const kek of before)
    expect(await l.keks.get(kek.kekId)).toMatchObject({ revision: kek.revision + 1, material: { rootLabel: 'root-2' } });
  expect(await l.roots.current()).toEqual({ rootLabel: 'root-2' });
  await finish();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done', done: before.length });
  expect(await l.roots.all()).toMatchObject([
    { label: 'root', state: 'retiring' },
    { label: 'root-2', state: 'active' },
  ]);
  expect((await l.recorded()).filter(({ action }) => action === 'keys:RewrapKek')).toHaveLength(before.length);
});

test('a view of what the workers have that is not read through is no proof: nothing is verified by it, nothing destroyed', async () => {
  const pair = pairOf();
  await create(pair);
  const job = await begin(pair);
  await replica().runner(0).work();
  const loading = { fresh: () => false, trusted: () => false, every: async function* () {} };
  await replica({ view: loading })
    .runner(settleMs + 1_000)
    .work();
  expect(await jobs().get(job.jobId)).toMatchObject({ phase: 'verifying', state: 'running', trouble: { code: 'ERR_STATE_STALE' } });
  expect((await keksOf(pair)).map(({ state }) => state)).toEqual(['retiring', 'active']);
  await replica()
    .runner(settleMs + 20_000)
    .work();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done' });
});

test('a failed rotation of the root that is resumed after a later one moves no KEK back under its root, and fails while it finds one under an older', async () => {
  const { job: second } = await jobs().insert({ ...rootJob(await l.roots.all(), asked, now), jobId: 'job_a-second' }, []);
  await finish();
  const { job: third } = await jobs().insert(rootJob(await l.roots.all(), asked, now), []);
  await finish();
  expect(await jobs().get(third.jobId)).toMatchObject({ state: 'done' });
  const under = async () => new Set((await l.keks.all()).flatMap(({ material }) => (material ? [material.rootLabel] : [])));
  expect(await under()).toEqual(new Set([third.to]));
  const done = await jobs().get(second.jobId);
  const again = { ...done, jobId: 'job_resumed', state: 'running' as const, phase: 'rewrapping' as const };
  await jobs().insert(again, []);
  await finish();
  expect(await jobs().get(again.jobId)).toMatchObject({ state: 'done' });
  expect(await under()).toEqual(new Set([third.to]));
  const [one] = (await l.keks.all()).filter(({ state }) => state !== 'destroyed') as [Kek];
  await l.keks.change(one.kekId, (kek) => ({ ...kek, revision: kek.revision + 1, material: { ...kek.material!, rootLabel: 'root' } }));
  await jobs().insert({ ...again, jobId: 'job_resumed-again' }, []);
  await finish();
  expect(await jobs().get('job_resumed-again')).toMatchObject({ state: 'failed', trouble: { code: 'ERR_KEY_STATE' } });
  expect(await under()).toEqual(new Set([third.to, 'root']));
}, 60_000);

test('a KEK that was put under the new root by a process that ended before it told anybody is told of by the last pass, and recorded once', async () => {
  const pair = pairOf();
  await create(pair);
  const { job } = await jobs().insert(rootJob(await l.roots.all(), asked, now), []);
  const delivery = Object.create(l.delivery, { putKek: { value: () => Promise.reject(new Error('the process ends here')) } });
  const r = replica({ delivery });
  const claimed = (await r.jobs.claim('kl-1', new Date().toISOString(), new Date().toISOString()))!;
  const begun = (await r.jobs.save(claimed, await r.steps().next(claimed.job, { size: 1, scan: 1 }), new Date().toISOString()))!;
  await expect(r.steps().next(begun.job, { size: 1, scan: 1 })).rejects.toThrow('the process ends here');
  const silent = (await l.keks.all()).find(({ rewrappedBy }) => rewrappedBy === job.jobId) as Kek;
  expect((l.view.get(silent.kekId) as { material?: object } | undefined)?.material).not.toMatchObject({ rootLabel: job.to });
  await finish();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done' });
  await until(() => l.view.get(silent.kekId)?.revision === silent.revision, { what: 'the workers to have it' });
  const records = (await l.recorded()).filter(({ action, reason }) => action === 'keys:RewrapKek' && reason === job.jobId);
  expect(records.filter(({ keyId }) => keyId === silent.kekId)).toHaveLength(1);
}, 60_000);

test('while a backup is restored, or its restore failed, no KEK is destroyed and no rotation begins', async () => {
  const pair = { environment: 'production', classification: 'internal' } as const;
  await create(pair);
  const job = await begin(pair);
  const record = { backupId: 'b_1', headerDigest: 'd', startedAt: now, progress: { keys: 0, of: 1 }, by: 'kim', session: 's' };
  for (const [n, state] of (['running', 'failed'] as const).entries()) {
    await l.backups.putRestore({ ...record, state });
    await expect(guardOf().assertNoRestore()).rejects.toMatchObject({ code: 'ERR_CONFLICT' });
    await replica().runner(0).work();
    await replica()
      .runner(settleMs + n * 10_000 + 1_000)
      .work();
    expect(await jobs().get(job.jobId)).toMatchObject({ phase: 'verifying', trouble: { code: 'ERR_CONFLICT' } });
  }
  await l.backups.putRestore({ ...record, state: 'complete' });
  await guardOf().assertNoRestore();
  await replica()
    .runner(settleMs + 60_000)
    .work();
  expect(await jobs().get(job.jobId)).toMatchObject({ state: 'done' });
}, 60_000);

test('a root is free only when it is known that neither KEK nor epoch key is under it, with the workers either, and no job puts one there', async () => {
  const guard = guardOf();
  const [label] = (await l.keks.all()).flatMap(({ material }) => (material ? [material.rootLabel] : [])) as [string];
  await expect(guard.assertNothingUnder(label)).rejects.toMatchObject({ code: 'ERR_KEY_STATE' });
  await guard.assertNothingUnder('root-77');
  const values = () => [{ kind: 'kek', kekId: 'kek_x', revision: 1, material: { rootLabel: 'root-77' } }].values() as never;
  await expect(guardOf(l.replica(), { values, fresh: () => true }).assertNothingUnder('root-77')).rejects.toThrow('Workers have kek_x');
  const stale = { values: () => l.view.values(), fresh: () => false };
  await expect(guardOf(l.replica(), stale).assertNothingUnder('root-77')).rejects.toMatchObject({ code: 'ERR_STATE_STALE' });
  const { job } = await jobs().insert({ ...rootJob([], asked, now), jobId: 'job_root-77', to: 'root-77', state: 'failed' }, []);
  await expect(guard.assertNothingUnder('root-77')).rejects.toThrow(job.jobId);
  await jobs().change(job.jobId, (one) => ({ ...one, revision: 2, state: 'done' }), owed);
  const epoch = { epoch: 'e_1', group: 'g', escrowFile: 'f', createdAt: now, endsAt: now, destroyAt: now };
  await l.backups.putEpoch({ ...epoch, epochKey: { rootLabel: 'root-77', mechanism: 1, family: 'f', wrapped: 'w' } });
  await expect(guard.assertNothingUnder('root-77')).rejects.toThrow('e_1');
  await l.backups.putEpoch(epoch);
  await guard.assertNothingUnder('root-77');
  await l.db.collection<{ _id: string }>('backup_epochs').updateOne({ _id: 'e_1' }, { $set: { signed: 'x.y.z' } });
  await expect(guard.assertNothingUnder('root-77')).rejects.toMatchObject({ id: 'e_1' });
  await l.db.collection<{ _id: string }>('backup_epochs').deleteOne({ _id: 'e_1' });
});

test('that a root is destroyed is promised to the ledger in the same write', async () => {
  await l.roots.insert({ ...newRoot('root-88', now), state: 'retiring' });
  const promise = ({ label, revision }: Root) => l.owed.owe(label, intent(revision, { keyId: label }));
  await l.roots.change('root-88', (root) => destroyRoot(root, now), promise);
  const [item] = (await l.roots.owed(10)).items as [{ aggregateId: string; entries: { id: string }[] }];
  expect([item.aggregateId, item.entries.length]).toEqual(['root-88', 1]);
  // Done already, it is promised no second time.
  await l.roots.change('root-88', (root) => destroyRoot(root, now), promise);
  await l.roots.removeOwed('root-88', [item.entries[0]!.id]);
  expect((await l.roots.owed(10)).items).toEqual([]);
});

test('to another token: nothing is changed unless every worker reaches it and every key may be there; then all goes there, whoever is killed, and what is new is made there', async () => {
  await Promise.all([l.worker('w1'), l.worker('w2')]);
  const pair = { environment: 'staging', classification: 'public' } as const;
  await create({ environment: 'development', classification: 'public' });
  const { keyId: _, ...wanted } = about(pair);
  const { key, recorded } = await l.commands.create(
    { ...wanted, residency: ['eu'] },
    ({ keyId, revision }) => intent(revision, { keyId }),
    context.active(),
  );
  recorded();
  const before = [await l.roots.all(), await l.keks.all()];
  const wantedJob = migrationJob(await l.roots.all(), 'next', asked, now);
  const run = async (sightings: typeof hsm.sightings, afterMs = 0) => {
    hsm.sightings = sightings;
    await replica().runner(afterMs).work();
    return jobs().get(wantedJob.jobId);
  };
  const again = () => jobs().change(wantedJob.jobId, resumeJob, owed);
  await jobs().insert(wantedJob, []);
  const there = { token: 'further' } as const;
  expect(await run({ w1: { token: 'unknown' }, w2: { token: 'unknown' } })).toMatchObject({
    state: 'failed',
    trouble: { code: 'ERR_NOT_FOUND' },
  });
  await again();
  expect(await run({ w1: { ...there, region: 'us' }, w2: { ...there, region: 'us' } })).toMatchObject({
    ...{
      state: 'failed',
      phase: 'checking',
      trouble: { code: 'ERR_RESIDENCY' },
      pass: { failures: [{ id: key.keyId, code: 'ERR_RESIDENCY' }] },
    },
  });
  await again();
  const lacks = [{ algorithm: 'AES_256', usage: 'encrypt' }] as const;
  expect(await run({ w1: there, w2: { ...there, lacks: [...lacks] } })).toMatchObject({
    state: 'failed',
    trouble: { code: 'ERR_ALGORITHM_UNAVAILABLE' },
  });
  await again();
  expect(await run({ w1: there, w2: { token: 'away' } })).toMatchObject({
    state: 'running',
    phase: 'checking',
    trouble: { code: 'ERR_HSM_UNAVAILABLE' },
  });
  expect([await l.roots.all(), await l.keks.all()]).toEqual(before);

  hsm.sightings = { w1: there, w2: there };
  // From before there was a second token: it names none.
  const [under] = (await l.keks.all()).flatMap(({ material }) => (material ? [material] : [])) as [KekMaterial];
  const epoch = { epoch: 'e_2', group: 'g', escrowFile: 'f', createdAt: now, endsAt: now, destroyAt: now };
  await l.backups.putEpoch({ ...epoch, epochKey: under });
  let afterMs = 10_000;
  // As often as not, what a step did is not saved before its process is killed.
  for (let round = 0; round < 40; round++) {
    const r = replica();
    const at = (ms: number) => new Date(Date.now() + afterMs + ms).toISOString();
    afterMs += 100_000;
    const claimed = await r.jobs.claim(`kl-${round}`, at(0), at(90_000));
    if (!claimed) break;
    const to = await r.steps(afterMs).next(claimed.job, { size: 3, scan: 50 });
    if (round % 2 !== 0) await r.jobs.save(claimed, to, at(90_000));
  }
  const done = await jobs().get(wantedJob.jobId);
  expect(done).toMatchObject({ state: 'done', token: 'next', total: done.done, stays: 0 });
  expect(hsm.roots.filter((label) => label.endsWith(' in next'))).toEqual([`${done.to} in next`]);
  const living = (await l.keks.all()).filter(({ state }) => state !== 'destroyed');
  expect(new Set(living.map(({ material }) => `${material?.rootLabel} in ${material?.token}`))).toEqual(new Set([`${done.to} in next`]));
  expect(secretOf(await stored(key))).toBe(secretOf(key));
  expect(hsm.epochKeys).toEqual([`${under.rootLabel} in customer`]);
  expect((await l.backups.allEpochs())[0]?.epochKey).toMatchObject({ rootLabel: done.to, token: 'next' });
  const roots = (await l.roots.all()).filter(({ state }) => state !== 'destroyed');
  expect(roots.map(({ token }) => token)).toEqual([...roots.slice(1).map(() => 'customer'), 'next']);
  expect(await l.roots.current()).toEqual({ rootLabel: done.to, token: 'next' });
  await until(() => living.every(({ kekId, revision }) => l.view.get(kekId)?.revision === revision), { what: 'the workers to have it' });

  const { job: rotation } = await jobs().insert(rootJob(await l.roots.all(), asked, now), []);
  await finish();
  expect((await jobs().get(rotation.jobId)).state).toBe('done');
  expect(hsm.roots.at(-1)).toBe(`${rotation.to} in next`);

  // Days later a worker was started that lacks the token.
  let third = migrationJob(await l.roots.all(), 'third', asked, new Date().toISOString());
  const step = async () => replica().steps().next(third, { size: 3, scan: 50 });
  while (third.phase !== 'rewrapping') third = await step();
  const where = async () => new Set((await l.keks.all()).flatMap(({ material }) => (material?.token ? [material.token] : [])));
  hsm.sightings = { w1: there, w2: { token: 'unknown' } };
  await expect(step()).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
  expect(await where()).toEqual(new Set(['next']));

  // One KEK does not open, so that they are in two tokens: resumed the job ends the same way, and another one takes all back.
  hsm.sightings = { w1: there, w2: there };
  const [stuck] = (await l.keks.all()).flatMap(({ material }) => (material ? [material.wrapped] : [])) as [string];
  hsm.unreadable.add(stuck);
  await jobs().insert(third, []);
  await finish();
  expect(await jobs().get(third.jobId)).toMatchObject({ state: 'failed', trouble: { code: 'ERR_KEY_UNREADABLE' } });
  expect(await where()).toEqual(new Set(['next', 'third']));
  expect(rootJobUnderWay(await jobs().list(100), 'next')).toBeUndefined();
  hsm.unreadable.clear();
  const { job: back } = await jobs().insert(migrationJob(await l.roots.all(), 'next', asked, new Date().toISOString()), []);
  await finish();
  expect((await jobs().get(back.jobId)).state).toBe('done');
  expect(await where()).toEqual(new Set(['next']));

  // A key of an epoch that does not open is told, and its root stays.
  const [{ epochKey }] = (await l.backups.allEpochs()) as [EpochRecord];
  hsm.unreadable.add(epochKey!.wrapped);
  const { job: last } = await jobs().insert(rootJob(await l.roots.all(), asked, new Date().toISOString()), []);
  await finish();
  expect(await jobs().get(last.jobId)).toMatchObject({ state: 'failed', pass: { failures: [{ id: 'e_2', code: 'ERR_KEY_UNREADABLE' }] } });
  // Of one whose retention ends while it is moved nothing comes back.
  const move = async (key: KekMaterial) => {
    await l.backups.putEpoch({ ...epoch, destroyedAt: now });
    return { ...key, wrapped: 'AAAA' };
  };
  expect(await moveEpochs({ epochs: l.backups, roots: await l.roots.all(), move }, () => true)).toEqual([]);
  expect(await l.backups.allEpochs()).toEqual([{ ...epoch, destroyedAt: now }]);

  // What stays in a token is known of the store too.
  await create({ environment: 'development', classification: 'public' }, { algorithm: 'ED25519', usage: 'sign' });
  expect(await keysInTokens(l.store)).toEqual({ within: new Map([['customer', 1]]), unread: 0 });
}, 60_000);
