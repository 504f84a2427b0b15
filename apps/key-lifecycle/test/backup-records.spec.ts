import { BackupDescription, BackupId, EpochId, limits } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { currentEpoch, idAt, isBackupDue, isOver, isVerificationDue, listedBackup, newEpoch } from '../src/backup-records';

const start = Date.parse('2026-03-01T12:00:00.000Z');
const hours = (n: number) => start + n * 3_600_000;
const at = (ms: number) => new Date(ms).toISOString();
const epoch = newEpoch(
  { epoch: 'e', group: 'g', epochKey: { rootLabel: 'root', mechanism: 1, family: 'softhsm', wrapped: 'AA' }, escrowFile: 'e.escrow' },
  { epochDays: 30, retentionDays: 90 },
  start,
);

test('an epoch is current for its days, for its recovery group, and is over when its last backup has been kept as long as it is to be', () => {
  expect(epoch).toMatchObject({ endsAt: at(hours(30 * 24)), destroyAt: at(hours(120 * 24)) });
  expect(currentEpoch([epoch], 'g', hours(30 * 24) - 1)).toBe(epoch);
  expect(currentEpoch([epoch], 'g', hours(30 * 24))).toBeUndefined();
  expect(currentEpoch([epoch], 'another', start)).toBeUndefined();
  const { epochKey: _, ...destroyed } = epoch;
  expect(currentEpoch([destroyed], 'g', start)).toBeUndefined();
  expect([isOver(epoch, hours(120 * 24) - 1), isOver(epoch, hours(120 * 24))]).toEqual([false, true]);
  expect(isOver({ ...destroyed, destroyedAt: at(start) }, hours(9_999))).toBe(false);
});

test('a backup is due so many hours after the last that stands, and a quarter of an hour after one that failed', () => {
  const made = (state: 'complete' | 'failed' | 'running', ms: number) => ({ state, createdAt: at(ms) });
  expect(isBackupDue([], 24, start)).toBe(true);
  expect([isBackupDue([made('complete', start)], 24, hours(24) - 1), isBackupDue([made('complete', start)], 24, hours(24))]).toEqual([
    false,
    true,
  ]);
  const failed = [made('failed', hours(24)), made('complete', start)];
  expect([isBackupDue(failed, 24, hours(24.2)), isBackupDue(failed, 24, hours(24.25))]).toEqual([false, true]);
  expect(isBackupDue([made('failed', start)], 24, hours(0.1))).toBe(false);
  // Whoever has it in hand claims it; one whose process died is buried first.
  expect(isBackupDue([made('running', hours(24)), made('complete', start)], 24, hours(24.1))).toBe(false);
});

test('the newest backup is looked at again when its last look is so old', () => {
  const verified = { at: at(start), ok: true, keys: 1, proven: 1, failed: [], failures: 0, tookMs: 1 };
  expect(isVerificationDue({}, 168, start)).toBe(true);
  expect([isVerificationDue({ verified }, 168, hours(168) - 1), isVerificationDue({ verified }, 168, hours(168))]).toEqual([false, true]);
});

test('ids sort by their time and are those of the contract', () => {
  const [first, second] = [idAt('b', start, () => 0), idAt('b', start + 1, () => 5)];
  expect(BackupId.parse(first) < BackupId.parse(second)).toBe(true);
  expect(EpochId.parse(idAt('e', start, () => 61))).toBe('e_20260301120000000_9999999999');
});

test('two hundred backups in one list fit a message, however many keys are not in them', () => {
  const keyIds = Array.from({ length: 1_000 }, (_, n) => `k_${String(n).padStart(22, 'A')}`);
  const failed = keyIds.slice(0, 100).map((keyId) => ({ keyId, version: 1, detail: 'it is another key than it was'.repeat(4) }));
  const counts = { keys: 9_999, versions: 9_999, keks: 99, proven: 9_999, destroyed: 99, inToken: 1_000 };
  const backup = BackupDescription.parse({
    ...{ backupId: idAt('b', start, () => 0), state: 'complete', epoch: idAt('e', start, () => 0), createdAt: at(start), by: 'olga' },
    ...{ readableUntil: at(start), counts, keysInToken: keyIds, tampered: keyIds.slice(0, 100) },
    verified: { at: at(start), ok: false, keys: 9_999, proven: 9_000, failed, failures: 100, tookMs: 1 },
  });
  const listed = BackupDescription.parse(listedBackup(backup));
  expect(listed).toMatchObject({ counts, verified: { ok: false, failures: 100 } });
  expect(Buffer.byteLength(JSON.stringify({ backups: Array.from({ length: 200 }, () => listed) }))).toBeLessThan(limits.messageBytes / 2);
});
