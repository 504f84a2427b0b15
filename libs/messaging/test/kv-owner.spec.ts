import { type KeyView, type SessionsView, sessionIn } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { KV } from '@nats-io/kv';
import { type Held, type KvOwner, openSessionsView, recordTypes, verifyRecord } from '../src/index';
import { type Buckets, startBuckets } from './kv-buckets';
import { testSigner } from './test-keys';

let b: Buckets;
let sessionsOwner: KvOwner<SessionsView>;
beforeAll(async () => {
  b = await startBuckets();
  sessionsOwner = await b.sessionsOwner();
});
afterAll(() => b.stop());
const inBucket = async (id: string) => verifyRecord(recordTypes.keys, (await b.read(id)) as string, b.signer.trusted) as KeyView;

test('two owners that race never lower a revision: no reader sees one go down, and the highest stays', async () => {
  const { view, refused } = await b.view();
  const [one, two] = await Promise.all([b.owner(), b.owner()]);
  const key = b.key();
  const revisions = Array.from({ length: 60 }, (_, n) => n + 1);
  const shuffled = (seed: number) => [...revisions].sort((x, y) => ((x * seed) % 61) - ((y * seed) % 61));
  await Promise.all([
    ...shuffled(17).map((revision) => one.put({ ...key, revision })),
    ...shuffled(29).map((revision) => two.put({ ...key, revision })),
  ]);
  expect((await inBucket(key.id)).revision).toBe(60);
  await until(() => view.get(key.id)?.revision === 60, { what: 'the highest revision' });
  expect(refused).toEqual([]);
});

test('an owner with a copy of its own writes on top of that, and finds out when the bucket has moved on', async () => {
  const { view } = await b.view();
  const [one, two] = await Promise.all([b.owner(view), b.owner()]);
  const key = b.key();
  await one.put(key);
  await until(() => view.held(key.id) !== undefined, { what: 'the copy' });
  const before = view.held(key.id) as Held;
  expect(before.revision).toBe(key.revision);
  const read = jest.spyOn((one as unknown as { kv: KV }).kv, 'get');
  expect(await one.put({ ...key, revision: 2 })).toBe('written');
  expect(read).not.toHaveBeenCalled();
  // Another owner writes, and what the first one's copy says is made old.
  await two.put({ ...key, revision: 5 });
  const behind = await b.owner({ held: () => before });
  expect(await behind.put({ ...key, revision: 4 })).toBe('already there');
  expect(await behind.put({ ...key, revision: 6 })).toBe('written');
  expect((await inBucket(key.id)).revision).toBe(6);
});

test('what the copy has is not believed to be in the bucket', async () => {
  const key = b.key({ revision: 3 });
  const owner = await b.owner({ held: () => ({ revision: 3, sequence: 1 }) });
  expect(await owner.put(key)).toBe('written');
});

test('what is there already is not written again', async () => {
  const owner = await b.owner();
  const key = b.key({ revision: 3 });
  expect(await owner.put(key)).toBe('written');
  expect(await owner.put(key)).toBe('already there');
  expect(await owner.put({ ...key, revision: 2, suspended: true })).toBe('already there');
  expect(await inBucket(key.id)).toEqual(key);
});

test('what does not verify may be replaced, whatever revision it claims', async () => {
  const owner = await b.owner();
  const key = b.key();
  await b.put(key.id, b.jws({ ...key, revision: 99 }, recordTypes.keys, testSigner(b.signer.kid)));
  expect(await owner.put(key)).toBe('written');
  expect(await inBucket(key.id)).toEqual(key);
});

test('an id is claimed by exactly one, also when all come at once', async () => {
  const session = b.session();
  const other = await b.sessionsOwner();
  const claims = await Promise.all(
    Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? sessionsOwner : other).claim({ ...session, principal: `p-${n}` }, 600)),
  );
  expect(claims.filter(Boolean)).toHaveLength(1);
  expect(await sessionsOwner.claim(session, 600)).toBe(false);
});

test('a revoked session is covered by the mark: one that is put back as active is found by whoever starts', async () => {
  const policy = await b.connection('policy');
  const options = { connection: policy, holder: 'policy.owner', trusted: b.signer.trusted, onRefused: () => undefined };
  const view = openSessionsView(options);
  await view.start();
  await until(() => view.state() !== 'loading', { what: 'the owner to have loaded' });
  sessionsOwner.keepMark(view);
  await sessionsOwner.sign(view);
  const session = b.session();
  await sessionsOwner.claim(session, 600);
  await sessionsOwner.put({ ...session, revision: 2, state: 'revoked' }, 600);
  await until(() => sessionIn(view.get(session.id))?.state === 'revoked', { what: 'the tombstone' });
  await sessionsOwner.sign(view);
  await b.put(session.id, b.jws(session, recordTypes.sessions), 'sessions', policy);
  const late = openSessionsView({ ...options, connection: await b.connection('crypto-worker'), holder: 'crypto-worker.late' });
  await late.start();
  await until(() => late.state() === 'does not add up to its mark', { what: 'the late holder to notice' });
  view.stop();
  late.stop();
});

test('whoever asks for a mark while one is signed shares the next, which covers what all of them changed', async () => {
  const policy = await b.connection('policy');
  const view = openSessionsView({ connection: policy, holder: 'policy.sharing', trusted: b.signer.trusted, onRefused: () => undefined });
  await view.start();
  await until(() => view.state() !== 'loading', { what: 'the owner to have loaded' });
  const first = sessionsOwner.sign(view);
  await Promise.resolve();
  const session = b.session();
  await sessionsOwner.claim(session, 600);
  await until(() => view.get(session.id) !== undefined, { what: 'the session' });
  const asked = Array.from({ length: 50 }, () => sessionsOwner.sign(view));
  await Promise.all([first, ...asked]);
  expect(new Set(asked).size).toBe(1);
  const late = openSessionsView({ connection: policy, holder: 'policy.late', trusted: b.signer.trusted, onRefused: () => undefined });
  await late.start();
  await late.whenFresh();
  expect(late.size).toBe(view.size);
  view.stop();
  late.stop();
});

test('a record with a time to live goes away by itself', async () => {
  const session = b.session();
  expect(await sessionsOwner.claim(session, 1)).toBe(true);
  await until(async () => (await b.jsm.streams.getMessage('KV_sessions', { last_by_subj: `$KV.sessions.${session.id}` })) === null, {
    what: 'the record to be gone',
    timeoutMs: 15_000,
  });
});
