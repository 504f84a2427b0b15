import { keyBatchOperations, type Request, requestType } from '@claviger/contracts';
import type { RequestContext } from '@claviger/messaging';
import { expect, test } from '@jest/globals';
import type { KeysController } from '../src/keys.controller';
import { KeysBatchController } from '../src/keys-batch.controller';
import { lanes } from '../src/lanes';

test('what goes through lanes is begun in order, never more than there are, and one that fails frees its lane', async () => {
  const [inLane, begun, ends] = [lanes(2), [] as number[], [] as ((failed?: Error) => void)[]];
  const all = [0, 1, 2, 3].map((n) =>
    inLane(() => {
      begun.push(n);
      return new Promise<number>((resolve, reject) => ends.push((failed) => (failed ? reject(failed) : resolve(n))));
    }),
  );
  const outcomes = Promise.allSettled(all);
  expect(begun).toEqual([0, 1]);
  ends[1]?.(new Error('no'));
  await all[1]?.catch(() => undefined);
  expect(begun).toEqual([0, 1, 2]);
  for (const n of [0, 2]) ends[n]?.();
  await all[2];
  ends[3]?.();
  expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  expect(begun).toEqual([0, 1, 2, 3]);
});

test('of one request the workers make four pairs at once; secret keys are asked for together, whatever pairs there are', async () => {
  const going = new Map<string, number>();
  const most = new Map<string, number>();
  const one = {
    create: async ({ algorithm }: { algorithm: string }) => {
      const now = (going.get(algorithm) ?? 0) + 1;
      going.set(algorithm, now);
      most.set(algorithm, Math.max(most.get(algorithm) ?? 0, now));
      await new Promise(setImmediate);
      going.set(algorithm, (going.get(algorithm) ?? 0) - 1);
      return { result: {} };
    },
  } as unknown as KeysController;
  const items = Array.from({ length: 40 }, (_, n) => ({ name: `batch/${n}`, algorithm: n % 2 ? 'AES_256' : 'RSA_4096' }));
  const request = keyBatchOperations.createBatch.request.parse({ type: requestType, items }) as Request<
    typeof keyBatchOperations.createBatch
  >;
  const { result } = await new KeysBatchController(one).create(request, {} as RequestContext);
  expect((result as { results: unknown[] }).results).toHaveLength(40);
  expect(most.get('RSA_4096')).toBe(4);
  expect(most.get('AES_256')).toBeGreaterThan(4);
});
