import { expect, test } from '@jest/globals';
import { Repeated } from '../src/index';

test('it is done once at a time, told when it fails and done again, and whoever stops it waits for what is under way', async () => {
  const failures: unknown[] = [];
  const ends: (() => void)[] = [];
  let fails = false;
  const work = () => (fails ? Promise.reject(new Error('away')) : new Promise<void>((resolve) => ends.push(resolve)));
  const repeated = new Repeated(work, (error) => failures.push(error));
  const first = repeated.now();
  expect(repeated.now()).toBe(first);
  ends[0]?.();
  await first;
  expect(ends).toHaveLength(1);

  fails = true;
  await repeated.now();
  expect(failures).toEqual([new Error('away')]);

  fails = false;
  void repeated.now();
  expect(ends).toHaveLength(2);
  let stopped = false;
  const stopping = repeated.stop().then(() => (stopped = true));
  await Promise.resolve();
  expect([repeated.stopped, stopped]).toEqual([true, false]);
  ends[1]?.();
  await stopping;
});
