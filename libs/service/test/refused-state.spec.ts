import { RefusedStateRecord } from '@claviger/contracts';
import { createLogger } from '@claviger/operability';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { RefusedState } from '../src/index';

let written: Record<string, unknown>[];
let refused: RefusedState;
let available: boolean;
let logged: string[];

beforeEach(() => {
  jest.useFakeTimers();
  written = [];
  available = true;
  logged = [];
  const trail = {
    commit: {
      get available() {
        return available;
      },
    },
    append: async (record: Record<string, unknown>) => {
      written.push(record);
      return { worker: 'w', epoch: 'e', seq: 0, batchHash: '', index: 0 };
    },
  };
  const logger = createLogger('test');
  logger.warn = (line) => void logged.push(String(line));
  refused = new RefusedState(trail as never, logger, 'crypto-worker.w-1');
  refused.start();
});
afterEach(() => {
  jest.useRealTimers();
});

const keyId = `k_${'A'.repeat(22)}`;
const old = { bucket: 'keys', key: keyId, reason: 'older-revision', detail: 'revision 1 after 2' } as const;
const common = { id: 'i', time: '2026-01-01T00:00:00.000Z', service: 's' };

test('what was refused is in the ledger within a second, and found by its key', () => {
  refused.add(old);
  refused.add(old);
  jest.advanceTimersByTime(1_000);
  expect(written).toEqual([{ kind: 'refused-state', ...old, keyId, holder: 'crypto-worker.w-1', count: 2 }]);
  expect(RefusedStateRecord.safeParse({ ...common, ...written[0] }).success).toBe(true);
});

test('a flood under ever new names, for an hour, is counted in full and fills nothing', async () => {
  const perSecond = 60;
  for (let second = 0; second < 3_600; second++) {
    for (let n = 0; n < perSecond; n++) refused.add({ ...old, key: `x${second}.${n}`, detail: 'y'.repeat(10_000) });
    jest.advanceTimersByTime(1_000);
  }
  await refused.stop();
  expect(written.reduce((sum, { count }) => sum + (count as number), 0)).toBe(3_600 * perSecond);
  expect(written.length).toBeLessThan(1_500);
  expect(Math.max(...written.map((record) => JSON.stringify(record).length))).toBeLessThan(1_000);
});

test('after a flood the next single one is written as soon as before it', () => {
  for (let second = 0; second < 300; second++) {
    refused.add({ ...old, key: `x${second}` });
    jest.advanceTimersByTime(1_000);
  }
  jest.advanceTimersByTime(120_000);
  written = [];
  refused.add(old);
  jest.advanceTimersByTime(1_000);
  expect(written).toHaveLength(1);
});

test('a flood of invented names hides no refusal of another kind, and does not delay it', () => {
  for (let second = 0; second < 300; second++) {
    for (let n = 0; n < 30; n++) refused.add({ ...old, reason: 'other-name', key: `x${second}.${n}` });
    jest.advanceTimersByTime(1_000);
  }
  written = [];
  refused.add(old);
  jest.advanceTimersByTime(1_000);
  expect(written).toContainEqual({ kind: 'refused-state', ...old, keyId, holder: 'crypto-worker.w-1', count: 1 });
});

test('a flood fills no log', () => {
  for (let n = 0; n < 10_000; n++) refused.add({ ...old, key: `x${n}` });
  expect(logged).toHaveLength(21);
});

test('while records cannot be made durable they are counted on, and written when they can', () => {
  available = false;
  for (let second = 0; second < 120; second++) {
    refused.add(old);
    jest.advanceTimersByTime(1_000);
  }
  expect(written).toEqual([]);
  available = true;
  jest.advanceTimersByTime(1_000);
  expect(written).toMatchObject([{ keyId, count: 120 }]);
});
