import { expect, test } from '@jest/globals';
import type { Attendance } from './attend';
import { together } from './together';

const lastsMs = 300;
test('processes that become ready one after the other measure over the same interval', async () => {
  const attended = await together<Attendance>('attend', { processes: 3, args: [String(lastsMs)], lastsMs });
  const lastReadyMs = Math.max(...attended.map(({ readyMs }) => readyMs));
  const [first] = attended;
  expect(new Set(attended.map(({ readyMs }) => readyMs)).size).toBeGreaterThan(1);
  for (const { fromMs, endMs } of attended) {
    expect([fromMs, endMs]).toEqual([first?.fromMs, first?.endMs]);
    expect(fromMs).toBeGreaterThan(lastReadyMs);
  }
});

test('a process that fails, before the start or after it, ends the measurement with what it wrote', async () => {
  for (const moment of ['before', 'after'])
    await expect(together('attend', { processes: 2, args: [String(lastsMs), moment], lastsMs })).rejects.toThrow(`failed ${moment}`);
});
