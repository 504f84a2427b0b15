import type { BackupDescription } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { followBackup } from '../src/backup-progress';
import { exitCodeOf } from '../src/exit-codes';

const backupId = 'b_20260301120000000_AAAAAAAAAA';
const at = '2026-03-01T12:00:00.000Z';
const made = {
  backupId,
  state: 'complete',
  epoch: 'e_20260301120000000_AAAAAAAAAA',
  createdAt: at,
  by: 'olga',
  readableUntil: at,
} as const;
const counted = (keys: number): BackupDescription => ({ ...made, progress: { what: 'verifying', keys } });
const verified: BackupDescription = { ...made, verified: { at, ok: true, keys: 1, proven: 1, failed: [], failures: 0, tookMs: 1 } };

/** What is seen one after the other, the last again and again; how long that took, in seconds of a clock that only waits. */
async function follow(seen: BackupDescription[], isUnderWay: boolean) {
  let [look, clockMs] = [0, 0];
  const told: unknown[] = [];
  const outcome = await followBackup(async () => seen[Math.min(look++, seen.length - 1)] as BackupDescription, {
    ...{ backupId, isUnderWay, isDone: (backup) => backup.verified !== undefined },
    tell: (progress) => told.push(progress?.keys),
    nowMs: () => clockMs,
    pause: async (ms) => {
      clockMs += ms;
    },
  }).catch((error: Error) => error);
  return { outcome, told, seconds: clockMs / 1_000 };
}

test('a verification that ends has its result, and its progress was told', async () => {
  const { outcome, told } = await follow([counted(0), counted(500), verified], true);
  expect(outcome).toBe(verified);
  expect(told).toEqual([0, 500, undefined, undefined]);
});

test('a verification that nobody does any more, and that has no result, ends with exit 3 at once', async () => {
  const { outcome, seconds } = await follow([counted(0), made], true);
  expect([exitCodeOf(outcome), String(outcome), seconds < 2]).toEqual([3, expect.stringContaining('could not be verified'), true]);
});

test('after a backup is made there is time until its verification begins, and an end when it does not', async () => {
  expect((await follow([made, made, counted(0), verified], false)).outcome).toBe(verified);
  const { outcome, seconds } = await follow([made], false);
  expect([exitCodeOf(outcome), seconds > 30, seconds < 120]).toEqual([3, true, true]);
});

test('progress that does not move ends with exit 3, one that does may take as long as it takes', async () => {
  const { outcome, seconds } = await follow([counted(3)], true);
  expect([exitCodeOf(outcome), seconds > 300, seconds < 3_600]).toEqual([3, true, true]);
  const slow = Array.from({ length: 20_000 }, (_, n) => counted(Math.floor(n / 100)));
  expect((await follow([...slow, verified], true)).outcome).toBe(verified);
});
