import { appliedSubject } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { suspendKey } from '../src/key';
import type { Reached } from '../src/propagation';
import { type Lifecycle, newKey, now, startLifecycle } from './keys-under-test';

let l: Lifecycle;
beforeAll(async () => {
  l = await startLifecycle();
}, 120_000);
afterAll(() => l.stop());

const applied = (holder: string, id: string, revision: number) =>
  l.workers.publish(appliedSubject('keys'), JSON.stringify({ worker: holder, id, revision }));
/** Puts a key and its next revision, and follows the second. */
async function changed() {
  const key = newKey();
  await l.delivery.putKey(key);
  const to = suspendKey(key, false, 's', now);
  const expected = l.propagation.expect(to.keyId, to.revision);
  await l.delivery.putKey(to);
  const followed: { outcome?: Reached } = {};
  const reached = expected.reached(60_000).then((outcome) => {
    followed.outcome = outcome;
    return outcome;
  });
  return { id: to.keyId, followed, reached };
}
/** Everything that was sent before has been dealt with. */
const settled = async () => {
  await l.workers.flush();
  await l.connection.flush();
  await new Promise((resolve) => setTimeout(resolve, 150));
};

test('without any worker a change is confirmed', async () => {
  const { reached } = await changed();
  expect(await reached).toEqual({ confirmed: true, workers: [], fenced: [] });
});

test('a change is confirmed when every worker has acknowledged it, and not before the last one', async () => {
  const [one, two] = [await l.worker('one'), await l.worker('two')];
  const { id, followed, reached } = await changed();
  applied(one.holder, id, 2);
  await settled();
  expect(followed).toEqual({});
  // Not this one's: an older revision, another key, not an acknowledgement at all.
  applied(two.holder, id, 1);
  applied(two.holder, 'k_other', 2);
  l.workers.publish(appliedSubject('keys'), 'x');
  l.workers.publish(appliedSubject('keys'), JSON.stringify({ worker: two.holder, id, revision: '2' }));
  await settled();
  expect(followed).toEqual({});
  applied(two.holder, id, 3);
  expect(await reached).toEqual({ confirmed: true, workers: [one.holder, two.holder], fenced: [] });
  for (const worker of [one, two]) worker.view.stop();
  await until(() => l.view.liveHolders().every((h) => !h.startsWith('crypto-worker.')), { what: 'the workers to be fenced' });
});

test('a worker that fell silent is waited for until it refuses by itself, and then named as fenced', async () => {
  const silent = await l.worker('silent');
  const { followed, reached } = await changed();
  silent.view.stop();
  await settled();
  expect(followed).toEqual({});
  expect(await reached).toEqual({ confirmed: true, workers: [], fenced: [silent.holder] });
});

test('a worker that begins to serve while a change is followed is waited for as well', async () => {
  const first = await l.worker('first');
  const { id, followed, reached } = await changed();
  const late = await l.worker('late');
  applied(first.holder, id, 2);
  await settled();
  expect(followed).toEqual({});
  applied(late.holder, id, 2);
  expect((await reached).workers).toEqual([first.holder, late.holder]);
  for (const worker of [first, late]) worker.view.stop();
  await until(() => l.view.liveHolders().every((h) => !h.startsWith('crypto-worker.')), { what: 'the workers to be fenced' });
});

test('what our own watch has not delivered is not confirmed: who serves is not known yet', async () => {
  const key = newKey();
  const outcome = await l.propagation.expect(key.keyId, 1).reached(300);
  expect(outcome).toEqual({ confirmed: false, workers: [], fenced: [] });
  await l.delivery.putKey(key);
  expect(await l.propagation.expect(key.keyId, 1).reached(60_000)).toMatchObject({ confirmed: true });
});

test('without a broker nothing is confirmed', async () => {
  const { view } = await l.worker('cut-off');
  const key = newKey();
  await l.delivery.putKey(key);
  await until(() => l.view.get(key.keyId), { what: 'the key' });
  l.broker.pause();
  try {
    await until(() => !l.view.fresh(), { what: 'our own view to be stale' });
    expect(await l.propagation.expect(key.keyId, 1).reached(200)).toMatchObject({ confirmed: false });
  } finally {
    l.broker.resume();
    view.stop();
  }
});
