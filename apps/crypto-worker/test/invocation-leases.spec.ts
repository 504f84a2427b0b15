import { ProblemError } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { InvocationLeases, largestBlock } from '../src/invocation-leases';

const keyId = `k_${'A'.repeat(22)}`;
/** What key-lifecycle does: never more in all than `max`. */
function ledgerOf(max: number) {
  const given = { total: 0, asked: [] as number[], down: false };
  const ask = async (_keyId: string, _version: number, count: number) => {
    given.asked.push(count);
    if (given.down) throw new ProblemError('ERR_WORKER_UNAVAILABLE');
    const granted = Math.min(count, max - given.total);
    if (granted <= 0) throw new ProblemError('ERR_KEY_EXHAUSTED', 'rotate');
    given.total += granted;
    return granted;
  };
  return { given, ask };
}
const leasesOf = (ask: ConstructorParameters<typeof InvocationLeases>[0], capacity = 10) => new InvocationLeases(ask, { capacity });
const take = async (leases: InvocationLeases, version = 1): Promise<string> => {
  await leases.ready(keyId, version);
  try {
    leases.take(keyId, version);
    return 'OK';
  } catch (error) {
    return (error as ProblemError).code;
  }
};

test('over any number of workers no more is used than was given, and no more is given than there is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30_000 }),
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 400 }),
      async (max, who) => {
        const { given, ask } = ledgerOf(max);
        const workers = Array.from({ length: 4 }, () => leasesOf(ask));
        let used = 0;
        for (const n of who) if ((await take(workers[n] as InvocationLeases)) === 'OK') used++;
        expect(used).toBeLessThanOrEqual(given.total);
        expect(given.total).toBeLessThanOrEqual(max);
      },
    ),
    { numRuns: 30 },
  );
});

test('the last of them is used, and then none', async () => {
  const leases = leasesOf(ledgerOf(5_000).ask);
  const outcomes: string[] = [];
  for (let n = 0; n < 5_002; n++) outcomes.push(await take(leases));
  expect(outcomes.filter((one) => one === 'OK')).toHaveLength(5_000);
  expect(outcomes.slice(-2)).toEqual(['ERR_KEY_EXHAUSTED', 'ERR_KEY_EXHAUSTED']);
  // Another version has its own.
  expect(await take(leasesOf(ledgerOf(1).ask), 2)).toBe('OK');
});

test('blocks grow as they are used up, and the next one is there before the last ends', async () => {
  const { given, ask } = ledgerOf(2 ** 32);
  const leases = leasesOf(ask);
  let waited = 0;
  for (let n = 0; n < 200_000; n++) {
    const ready = leases.ready(keyId, 1);
    if (ready) waited++;
    await ready;
    leases.take(keyId, 1);
    // Answers arrive between uses.
    if (n % 500 === 0) await new Promise(setImmediate);
  }
  expect(waited).toBe(1);
  expect(given.asked.slice(0, 4)).toEqual([4_096, 16_384, 65_536, 262_144]);
  expect(Math.max(...given.asked)).toBeLessThanOrEqual(largestBlock);
});

test('when no block can be had nothing is encrypted, and it goes on by itself afterwards', async () => {
  const { given, ask } = ledgerOf(100);
  given.down = true;
  let nowMs = 0;
  const leases = new InvocationLeases(ask, { capacity: 10, now: () => nowMs });
  expect([await take(leases), await take(leases)]).toEqual(['ERR_LEASE_UNAVAILABLE', 'ERR_LEASE_UNAVAILABLE']);
  given.down = false;
  nowMs = 499;
  expect([await take(leases), given.asked.length]).toEqual(['ERR_LEASE_UNAVAILABLE', 1]);
  nowMs = 500;
  expect(await take(leases)).toBe('OK');
});

test('many that wait for the same block ask once', async () => {
  const { given, ask } = ledgerOf(10_000);
  const leases = leasesOf(ask);
  await Promise.all(Array.from({ length: 100 }, () => leases.ready(keyId, 1)));
  expect(given.asked).toHaveLength(1);
});
