import type { KeysView, KeyView } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { NatsConnection } from '@nats-io/transport-node';
import type { KvOwner, KvView } from '../src/index';
import { type Buckets, startBuckets } from './kv-buckets';

let b: Buckets;
let owner: KvOwner<KeyView>;
let ownView: KvView<KeysView>;
let keys: KeyView[];
const [first, second] = [() => keys[0] as KeyView, () => keys[1] as KeyView];

/** Twenty keys in the bucket, one of them restricted, and a mark of them. */
beforeEach(async () => {
  b = await startBuckets();
  owner = await b.owner();
  ({ view: ownView } = await b.view({ as: 'key-lifecycle' }));
  keys = Array.from({ length: 20 }, (_, n) => b.key(n === 19 ? { classification: 'restricted' } : {}));
  await Promise.all(keys.map((key) => owner.put(key)));
  await until(() => ownView.size === 20 && ownView.proven(), { what: 'the owner to have them' });
  await owner.sign(ownView as never);
  await ownView.whenFresh();
});
afterEach(() => b.stop());

const fresh = async (atMost = 5) => {
  const opened = await b.view({ atMost });
  await opened.view.whenFresh();
  return opened;
};
const wholeIn = (view: KvView<KeysView>) => keys.filter(({ id }) => view.get(id) !== undefined).map(({ id }) => id);

test('what there is is known at once and proven by the mark; a key is read, and verified, when it is used, and dropped when others were used since', async () => {
  const { view, refused } = await fresh();
  expect([view.size, view.complete(), view.coveredSum()]).toEqual([20, true, ownView.coveredSum()]);
  expect(wholeIn(view)).toEqual([keys[19]?.id]);
  for (const key of keys.slice(0, 12)) expect(await view.fetch(key.id)).toEqual(key);
  expect(wholeIn(view)).toEqual([...keys.slice(7, 12), keys[19]].map((key) => key?.id));
  expect(view.held(first().id)).toMatchObject({ revision: 1 });
  expect(await view.fetch(first().id)).toEqual(first());
  expect(await view.fetch(`k_${'Z'.repeat(22)}`)).toBeUndefined();
  expect(refused).toEqual([]);
});

test('a mark that was read before the watch delivered the next one is no mark that was put back', async () => {
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  let asked = 0;
  // The answer is held up after the broker gave it: which of the two comes first cannot be chosen otherwise.
  const request = async (connection: NatsConnection, asking: Parameters<NatsConnection['request']>) => {
    const answer = await connection.request(...asking);
    const [subject, payload = ''] = asking;
    if (!`${subject} ${Buffer.from(payload)}`.includes('$KV.keys.mark')) return answer;
    asked++;
    await gate;
    return answer;
  };
  const via = (connection: NatsConnection) =>
    new Proxy(connection, {
      get: (target, name) => {
        if (name === 'request') return (...args: Parameters<NatsConnection['request']>) => request(target, args);
        const value = Reflect.get(target, name) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const { view, refused } = await b.view({ atMost: 5, via });
  await until(() => asked === 1, { what: 'the mark to be read' });
  await owner.put({ ...first(), revision: 2 });
  await until(() => ownView.get(first().id)?.revision === 2, { what: 'the owner to see it' });
  await owner.sign(ownView as never);
  await until(() => view.complete(), { what: 'the watch to deliver the next mark' });
  letGo();
  await view.whenFresh();
  await owner.put({ ...first(), revision: 3 });
  await until(() => view.get(first().id)?.revision === 3, { what: 'what comes after it' });
  expect(refused).toEqual([]);
});

test('a change comes whole through the watch, and is told with what was held before it', async () => {
  const { view } = await fresh();
  const told: string[] = [];
  view.onChange((record, previous) => told.push(`${record.id} ${record.revision} after ${previous?.revision}`));
  await owner.put({ ...first(), revision: 2, suspended: true });
  await until(() => told.length === 1, { what: 'the change' });
  expect(told).toEqual([`${first().id} 2 after undefined`]);
  expect(view.get(first().id)).toMatchObject({ suspended: true });
  const added = b.key();
  await owner.put(added);
  await until(() => view.get(added.id), { what: 'the new key' });
  expect(view.fresh()).toBe(true);
});

test('what changed in the moments before the index was read is told: somebody may wait for its acknowledgement', async () => {
  await owner.put({ ...first(), revision: 2, suspended: true });
  await until(() => ownView.get(first().id)?.revision === 2, { what: 'the owner to see it' });
  await owner.sign(ownView as never);
  const { view } = await b.view({ atMost: 5, holder: 'crypto-worker.told' });
  const told = new Map<string, number>();
  view.onIndexed(({ id, revision }) => told.set(id, revision));
  view.onChange(({ id, revision }) => told.set(id, revision));
  await view.whenFresh();
  await until(() => told.get(first().id) === 2, { what: 'it to be told' });
});

test('an older record that was put back under the header of the newest is never used, and told when it is read', async () => {
  const suspended = { ...first(), revision: 2, suspended: true };
  await owner.put(suspended);
  await until(() => ownView.get(first().id)?.revision === 2, { what: 'the owner to see it' });
  await owner.sign(ownView as never);
  await b.putSaying(first().id, b.jws(first()), { 'Claviger-Revision': '2' });
  const { view, refused } = await fresh();
  await expect(view.fetch(first().id)).rejects.toThrow(/refused/);
  expect(view.get(first().id)).toBeUndefined();
  expect(refused).toEqual([expect.stringContaining('older-revision: revision 1 after 2')]);
  expect(await view.fetch(second().id)).toEqual(second());
  await b.put(first().id, b.jws(suspended));
  await until(() => view.get(first().id), { what: 'the newest to be back' });
});

test.each([
  ['an older record that was put back', async () => void (await b.put(second().id, b.jws(second())))],
  ['… under its own header', async () => void (await b.putSaying(second().id, b.jws(second()), { 'Claviger-Revision': '1' }))],
  ['a record that was deleted', async () => void (await b.putSaying(second().id, '', { 'KV-Operation': 'DEL' }))],
  ['a mark that was deleted', async () => void (await b.putSaying('mark', '', { 'KV-Operation': 'DEL' }))],
  [
    'a record under another name that makes up for it',
    async () => {
      await b.putSaying(second().id, '', { 'KV-Operation': 'DEL' });
      await b.putSaying('k_AAAAAAAAAAAAAAAAAAAAZZ', b.jws(second()), { 'Claviger-Revision': '2' });
    },
  ],
])(
  'a holder that starts on a bucket with %s is not fresh',
  async (_what, harm) => {
    await owner.put({ ...second(), revision: 2, suspended: true });
    await until(() => ownView.get(second().id)?.revision === 2, { what: 'the owner to see it' });
    await owner.sign(ownView as never);
    await harm();
    const { view } = await b.view({ atMost: 5 });
    await until(() => view.state() === 'does not add up to its mark' || view.state() === 'no mark yet', { what: 'the holder to notice' });
    await expect(until(() => view.fresh(), { what: 'freshness', timeoutMs: 4_000 })).rejects.toThrow();
    // Every record was read meanwhile.
    expect([view.trusted(), view.complete()]).toEqual([true, false]);
  },
  20_000,
);

test('a record that is to be whole from the start on, and cannot be read, holds up the copy', async () => {
  const restricted = keys[19] as KeyView;
  await owner.put({ ...restricted, revision: 2 });
  await until(() => ownView.get(restricted.id)?.revision === 2, { what: 'the owner to see it' });
  await owner.sign(ownView as never);
  await b.putSaying(restricted.id, b.jws(restricted), { 'Claviger-Revision': '2', 'Claviger-Preload': '1' });
  const { view, refused } = await b.view({ atMost: 5 });
  await b.refusal(refused, /1 records cannot be read yet/);
  await until(() => view.complete(), { what: 'it to add up' });
  expect([view.complete(), view.fresh(), view.state()]).toEqual([true, false, 'loading']);
  await owner.put({ ...restricted, revision: 3 });
  await view.whenFresh();
  const all: string[] = [];
  for await (const { id } of view.every()) all.push(id);
  expect(all.toSorted()).toEqual(keys.map(({ id }) => id).toSorted());
});

test('a record that is gone is unknown, not absent', async () => {
  const { view } = await fresh();
  await b.putSaying(first().id, '', { 'KV-Operation': 'DEL' });
  await expect(view.fetch(first().id)).rejects.toThrow(/any more/);
  expect(view.held(first().id)).toMatchObject({ revision: 1 });
});

test('a bucket from before there were headers, or a mark without a digest, is read whole', async () => {
  await b.put(first().id, b.jws({ ...first(), revision: 2 }));
  await until(() => ownView.get(first().id)?.revision === 2, { what: 'the owner to see it' });
  await owner.sign(ownView as never);
  const { view } = await fresh(100);
  expect(wholeIn(view)).toHaveLength(20);
  await owner.put({ ...first(), revision: 3 });
  await until(() => ownView.get(first().id)?.revision === 3, { what: 'the owner to see it' });
  const { count, sum } = ownView.coveredSum();
  await b.putSaying('mark', b.jws({ kind: 'mark', id: 'mark', revision: 1_000, count, sum, asOf: new Date().toISOString() }), {});
  const { view: other } = await fresh(100);
  expect(wholeIn(other)).toHaveLength(20);
});

test('an owner that knows its bucket by an index that is proven goes on to sign; by one that is not it signs nothing', async () => {
  const { view } = await b.view({ as: 'key-lifecycle', atMost: 1, holder: 'key-lifecycle.lazy' });
  await view.whenFresh();
  const before = await b.read('mark');
  await owner.put(b.key());
  await until(() => view.size === 21, { what: 'the new key' });
  await owner.sign(view as never);
  expect(await b.read('mark')).not.toBe(before);
  const { view: next } = await fresh();
  expect(next.size).toBe(21);
});
