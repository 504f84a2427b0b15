import type { Floor } from '@claviger/authz';
import { ProblemError, warningDays } from '@claviger/contracts';
import { isDestroyed, type Key } from './key';
import { dayMs } from './rotation-schedule';

/** Its owner says that what is written of the key is so: its classification, who uses it, that it is still needed. */
export function certifyKey(key: Key, by: string, now: string): Key {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  return { ...key, certified: { at: now, by }, revision: key.revision + 1 };
}

/** When the owner has to say so again, ms since 1970: as the profile asks, from the last time on, or from when the key was made. */
export function certificationDue(key: Key, { recertifyEveryDays }: Floor): number | undefined {
  if (!recertifyEveryDays || isDestroyed(key)) return undefined;
  const since = key.certified?.at ?? (key.versions[0] as Key['versions'][number]).createdAt;
  return Date.parse(since) + recertifyEveryDays.value * dayMs;
}

/** The fewest of 30, 7, 1 and 0 days before it that have come; undefined while none has. What is shorter than the time between two is not told before. */
export function certificationDays(dueMs: number, { recertifyEveryDays }: Floor, nowMs: number): number | undefined {
  const every = recertifyEveryDays?.value ?? 0;
  return [...warningDays.filter((days) => days < every), 0].findLast((days) => dueMs - days * dayMs <= nowMs);
}
