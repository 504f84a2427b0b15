import { ClavigerError } from '@claviger/client';
import type { BackupDescription } from '@claviger/contracts';

const pollMs = 500;
/** Longer than it takes from the end of a backup to the begin of its verification. */
const betweenMs = 60_000;
/** Nothing was counted for so long: the process that did it ended, or its token is away. */
const unmovedMs = 10 * 60_000;

export interface Following {
  backupId: string;
  isDone: (backup: BackupDescription) => boolean;
  /** It was under way when this begins: once nobody does it any more, without a result, there will be none. */
  isUnderWay: boolean;
  tell: (progress: BackupDescription['progress']) => void;
  nowMs?: () => number;
  pause?: (ms: number) => Promise<void>;
}

/** Looks at a backup until `isDone`, never for ever. @throws ClavigerError ERR_TIMEOUT: what becomes of it is not known */
export async function followBackup(describe: () => Promise<BackupDescription>, following: Following): Promise<BackupDescription> {
  const { backupId, isDone, isUnderWay, tell, nowMs = Date.now, pause = sleep } = following;
  let [last, sinceMs] = ['', nowMs()];
  try {
    for (;;) {
      const backup = await describe();
      tell(backup.progress);
      if (isDone(backup)) return backup;
      const now = JSON.stringify([backup.state, backup.progress]);
      if (now !== last) [last, sinceMs] = [now, nowMs()];
      const waitedMs = nowMs() - sinceMs;
      if (isUnderWay && !backup.progress) throw unknown(`Backup ${backupId} could not be verified: that says nothing about it.`);
      if (waitedMs > (backup.progress ? unmovedMs : betweenMs))
        throw unknown(`Backup ${backupId} is ${backup.state}, and nothing has moved for ${Math.floor(waitedMs / 1_000)} s.`);
      await pause(pollMs);
    }
  } finally {
    tell(undefined);
  }
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const unknown = (detail: string) =>
  new ClavigerError('ERR_TIMEOUT', {
    detail: `${detail} See claviger status and the log of key-lifecycle, then claviger backup verify again.`,
  });
