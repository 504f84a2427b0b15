import type { MaterialInBackups } from '@claviger/contracts';
import type { BackupRecord, EpochRecord, RestoreRecord } from './backup-records';
import type { BackupStore } from './backup-store';
import type { BackupsOf, Destruction } from './destruction';

/** What clocks of replicas may differ, and a change may take: a backup too many is named rather than one too few. */
const marginMs = 5 * 60_000;

/** A backup that can be read, or may be once it is made. */
export interface Readable {
  backup: Pick<BackupRecord, 'backupId' | 'createdAt' | 'finishedAt'>;
  epoch: Pick<EpochRecord, 'destroyAt'>;
}

/** Where the material of the destroyed key may still lie, by every backup that can be read and was begun before then. */
export function inBackups(
  { createdAt, destroyedAt, versions }: Pick<Destruction, 'createdAt' | 'destroyedAt' | 'versions'>,
  readable: readonly Readable[],
  restore: Pick<RestoreRecord, 'backupId' | 'startedAt'> | undefined,
): MaterialInBackups {
  // A version that lost its material before may have had it in a backup.
  if (versions.every(({ material }) => material?.custody === 'token')) return { last: 'none' };
  const mayHold = ({ backup }: Readable) =>
    Date.parse(backup.createdAt) <= Date.parse(destroyedAt) + marginMs &&
    (backup.finishedAt === undefined || Date.parse(backup.finishedAt) >= Date.parse(createdAt) - marginMs);
  const [last] = readable
    .filter(mayHold)
    .map(({ backup: { backupId, createdAt: begunAt }, epoch: { destroyAt: readableUntil } }) => ({ backupId, begunAt, readableUntil }))
    .sort((a, b) => order(b.readableUntil, a.readableUntil) || order(b.backupId, a.backupId));
  const came = restore !== undefined && Date.parse(createdAt) <= Date.parse(restore.startedAt);
  return { last: last ?? 'none', ...(came ? { restoredFrom: restore.backupId } : {}) };
}

/** By what the store knows now. Rejects when it does not answer, or somebody else wrote to it: the certificate waits then. */
export const backupsIn =
  (store: Pick<BackupStore, 'readable' | 'restore'>): BackupsOf =>
  async (destruction) =>
    inBackups(destruction, await store.readable(Date.parse(destruction.destroyedAt) + marginMs), await store.restore());

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
