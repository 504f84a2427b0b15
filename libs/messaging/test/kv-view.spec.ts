import { type KeysView, type KeyView } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { jetstream } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import { headers } from '@nats-io/transport-node';
import type { KvOwner, KvView } from '../src/index';
import { recordTypes } from '../src/index';
import { type Buckets, startBuckets } from './kv-buckets';
import { testSigner } from './test-keys';

let b: Buckets;
let owner: KvOwner<KeyView>;
let ownView: KvView<KeysView>;

beforeAll(async () => {
  b = await startBuckets();
  owner = await b.owner();
  ({ view: ownView } = await b.view({ as: 'key-lifecycle' }));
  await until(() => ownView.state() !== 'loading', { what: 'the owner to have loaded' });
  owner.keepMark(ownView as never);
  await owner.sign(ownView as never);
  await ownView.whenFresh();
});
afterAll(() => b.stop());

const arrives = (view: KvView<KeysView>, { id, revision }: { id: string; revision: number }) =>
  until(() => view.get(id)?.revision === revision, { what: `revision ${revision} of ${id}`, timeoutMs: 30_000 });

test('records that the owner wrote arrive, are told to listeners in order, and the copy is fresh', async () => {
  const { view, refused } = await b.view();
  await view.whenFresh();
  const told: string[] = [];
  view.onChange((record, previous) => told.push(`${record.revision} after ${previous?.revision}`));
  const key = b.key();
  await owner.put(key);
  await owner.put({ ...key, revision: 2, suspended: true });
  await arrives(view, { id: key.id, revision: 2 });
  expect(view.get(key.id)).toMatchObject({ suspended: true });
  expect(told).toEqual(['1 after undefined', '2 after 1']);
  expect([view.fresh(), view.state(), refused]).toEqual([true, 'fresh', []]);
});

test('what the owner did not sign for this name and use is refused, and what was held stays', async () => {
  const { view, refused } = await b.view();
  const [key, other] = [b.key(), b.key()];
  await owner.put(key);
  await owner.put(other);
  await arrives(view, other);
  const next = { ...key, revision: 2 };
  for (const [value, reason] of [
    ['not a record', /not-signed: .*not a compact JWS/],
    [b.jws(next, recordTypes.keys, testSigner('somebody')), /not-signed: .*unknown kid/],
    [b.jws(next, recordTypes.keys, testSigner(b.signer.kid)), /not-signed: .*bad signature/],
    [b.jws(next, recordTypes.sessions), /not-signed: .*unexpected alg, typ or crit/],
    [b.jws({ ...next, versions: 'none' }), /not-a-record: [\s\S]*versions/],
    [b.jws(other), new RegExp(`other-name: a record of ${other.id} under another name`)],
    [b.jws({ ...next, revision: 0 }), /not-a-record: [\s\S]*revision/],
  ] as const) {
    await b.put(key.id, value);
    await b.refusal(refused, reason);
  }
  expect(view.get(key.id)).toMatchObject({ revision: 1 });
  expect(view.fresh()).toBe(true);
  await owner.put(next);
  await arrives(view, next);
});

test('an older record that is put back is refused', async () => {
  const { view, refused } = await b.view();
  const key = b.key();
  await owner.put({ ...key, revision: 5, suspended: true });
  await arrives(view, { id: key.id, revision: 5 });
  await b.put(key.id, b.jws({ ...key, revision: 4 }));
  await b.refusal(refused, /older-revision: revision 4 after 5/);
  expect(view.get(key.id)).toMatchObject({ revision: 5, suspended: true });
  await b.put(key.id, b.jws({ ...key, revision: 6, suspended: true }));
  await arrives(view, { id: key.id, revision: 6 });
});

test('a delete of a record that matters is ignored', async () => {
  const { view, refused } = await b.view();
  const key = b.key();
  await owner.put(key);
  await arrives(view, key);
  const marker = headers();
  marker.set('KV-Operation', 'DEL');
  await jetstream(await b.connection('key-lifecycle')).publish(`$KV.keys.${key.id}`, '', { headers: marker });
  await b.refusal(refused, /deleted: a delete of a record that still matters/);
  expect(view.get(key.id)).toEqual(key);
  await owner.put({ ...key, revision: 2 });
  await arrives(view, { id: key.id, revision: 2 });
});

test('a mark or a probe that somebody else wrote is refused, and the copy stays fresh', async () => {
  const { view, refused } = await b.view();
  await view.whenFresh();
  const mark = (await b.read('mark')) as string;
  const [body] = mark.split('.').slice(1, 2) as [string];
  const held = JSON.parse(Buffer.from(body, 'base64url').toString());
  const forged = b.jws({ ...held, revision: held.revision + 1 }, recordTypes.keys, testSigner(b.signer.kid));
  await b.put('mark', forged);
  await b.refusal(refused, /keys\/mark: not-signed: .*bad signature/);
  await b.put('mark', b.jws({ ...held, revision: held.revision - 1 }));
  await b.refusal(refused, /keys\/mark: older-revision: a lower revision/);
  await b.put('mark', mark);
  for (const probe of ['null', '{}', 'x', '[1]']) await b.put('probe.key-lifecycle.somebody', probe);
  await until(() => refused.filter((r) => r.startsWith('keys/probe.key-lifecycle.somebody: not-a-record')).length === 4, {
    what: 'each to be refused',
  });
  await b.put('probe.key-lifecycle.somebody', JSON.stringify({ nonce: 'n', ready: false }));
  expect(view.state()).toBe('fresh');
});

test('a holder that starts on an older bucket never becomes fresh, until the newer record is back', async () => {
  const key = b.key();
  await owner.put(key);
  const suspended = { ...key, revision: 2, suspended: true };
  await owner.put(suspended);
  await arrives(ownView, suspended);
  await owner.sign(ownView as never);
  await b.put(key.id, b.jws(key));

  const { view, refused } = await b.view();
  await until(() => view.state() === 'does not add up to its mark', { what: 'the new holder to notice' });
  expect(refused).toEqual([]);
  // It goes on noticing: probes come back all the while. That is no moment between a change and its mark, and it is told, once.
  await until(() => refused.length > 0, { what: 'the refusal of the bucket', timeoutMs: 30_000 });
  await expect(until(() => view.fresh(), { what: 'freshness', timeoutMs: 1_500 })).rejects.toThrow();
  expect(refused).toEqual(['keys/mark: incomplete: the bucket does not add up to its mark']);
  await b.put(key.id, b.jws(suspended));
  await view.whenFresh();
  expect(view.get(key.id)).toMatchObject({ suspended: true });
});

test('a mark that is too old says nothing about now', async () => {
  await until(() => ownView.fresh(), { what: 'the owner' });
  const { count, sum } = ownView.coveredSum();
  const mark = (asOf: string, revision: number) => b.jws({ kind: 'mark', id: 'mark', revision, count, sum, asOf });
  await b.put('mark', mark(new Date(Date.now() - 2 * 86_400_000).toISOString(), 1_000_000));
  const { view } = await b.view();
  await until(() => view.state() === 'mark too old', { what: 'the holder to notice' });
  expect(view.fresh()).toBe(false);
  await b.put('mark', mark(new Date().toISOString(), 1_000_001));
  await view.whenFresh();
});

test('a watch that dies silently makes the copy stale; it opens a new one, catches up and leaves none behind', async () => {
  const { view } = await b.view();
  await view.whenFresh();
  const before = await b.watchers();
  const key = b.key();
  const later = new Date(Date.now() + 3_600_000);
  await Promise.all(before.map((name) => b.jsm.consumers.pause('KV_keys', name, later)));
  await until(() => view.state() === 'stale', { what: 'the holder to know that it is stale' });
  expect(view.fresh()).toBe(false);
  await owner.put(key);
  await view.whenFresh();
  await arrives(view, key);
  await ownView.whenFresh();
  await until(async () => (await b.watchers()).length <= before.length, { what: 'the old watches to be gone', timeoutMs: 20_000 });
});

test('a broker that was killed is followed again as soon as it is back', async () => {
  const { view } = await b.view();
  await view.whenFresh();
  await b.broker.kill9();
  await until(() => view.state() === 'stale', { what: 'the holder to know that it is stale', timeoutMs: 30_000 });
  await b.broker.restart();
  await until(() => view.fresh() && ownView.fresh(), { what: 'freshness', timeoutMs: 60_000 });
  const key = b.key();
  await owner.put(key);
  await arrives(view, key);
}, 180_000);

test('a holder is known in the bucket as serving before it serves, and fenced when its probes no longer say so', async () => {
  const { view, holder } = await b.view();
  await view.whenFresh();
  expect(JSON.parse((await b.read(`probe.${holder}`)) as string)).toMatchObject({ ready: true });
  await until(() => ownView.liveHolders().includes(holder), { what: 'the owner to know it' });
  view.stop();
  await until(() => !ownView.liveHolders().includes(holder), { what: 'the holder to be fenced' });
});

test('what another process wrote under the same name proves nothing', async () => {
  // The broker takes no probe of key-lifecycle from a crypto-worker, so none of its own can come back.
  const holder = 'key-lifecycle.same-name';
  const { view } = await b.view({ as: 'crypto-worker', holder });
  for (let n = 0; n < 5; n++) await b.put(`probe.${holder}`, JSON.stringify({ nonce: `earlier ${n}`, ready: true }));
  await until(() => ownView.liveHolders().includes(holder), { what: 'the probes to arrive' });
  await until(() => view.get([...ownView.values()].at(-1)?.id as string), { what: 'the records to arrive' });
  expect([view.state(), view.fresh()]).toEqual(['loading', false]);
});

test('a probe that was seen proves nothing when somebody puts it back', async () => {
  const { view, holder } = await b.view();
  await view.whenFresh();
  const seen = (await b.read(`probe.${holder}`)) as string;
  view.stop();
  const replaying = setInterval(() => void b.put(`probe.${holder}`, seen), 200);
  await until(() => !view.fresh(), { what: 'the copy to be stale in spite of it', timeoutMs: 10_000 });
  clearInterval(replaying);
});

test('a listener that throws ends neither the watch nor what others are told', async () => {
  const { view, refused } = await b.view();
  await view.whenFresh();
  view.onChange(() => {
    throw new Error('a bad listener');
  });
  const key = b.key();
  await owner.put(key);
  await arrives(view, key);
  await b.refusal(refused, /trouble: keys: .*a bad listener/);
  await owner.put({ ...key, revision: 2 });
  await arrives(view, { id: key.id, revision: 2 });
});

test('a record is read past the watch with the same checks: none, refused and found are three results', async () => {
  const { view } = await b.view();
  await view.whenFresh();
  const [key, forged] = [b.key(), b.key()];
  expect(await view.fetch(`k_${'Z'.repeat(22)}`)).toBeUndefined();
  await owner.put(key);
  expect(await view.fetch(key.id)).toEqual(key);
  await b.put(forged.id, b.jws(forged, recordTypes.keys, testSigner(b.signer.kid)));
  await expect(view.fetch(forged.id)).rejects.toThrow(/refused/);
});

test('a record that was read past the watch, and is old by the time the answer comes, accuses nobody', async () => {
  const { view, refused } = await b.view();
  await view.whenFresh();
  const key = b.key();
  await owner.put(key);
  const { kv } = view as unknown as { kv: KV };
  const get = jest.spyOn(kv, 'get').mockImplementation(async (id) => {
    get.mockRestore();
    const entry = await kv.get(id);
    await owner.put({ ...key, revision: 2 });
    await arrives(view, { id, revision: 2 });
    return entry;
  });
  expect(await view.fetch(key.id)).toMatchObject({ revision: 2 });
  expect(refused.filter((told) => told.includes(key.id))).toEqual([]);
});
