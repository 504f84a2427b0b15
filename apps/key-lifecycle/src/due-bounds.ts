import type { Key } from './key';
import { atEndOf, dueAfter, dueChange, iso, nextChange, originatorPeriodEnd } from './key-dates';

/** What is stored beside a key of when it is looked after next. None of it is signed. */
export interface DueFields {
  dueAt?: string | null;
  claimedUntil?: string | null;
}

/** Longer than a change takes, key generation included; what failed, or whose replica died, is tried again after it. */
export const claimMs = 60_000;
/** A rotation that fails again and again is tried at least so often. */
export const longestBackOffMs = 15 * 60_000;
/** As much as the clocks of replicas may differ. */
const skewMs = 60_000;

/**
 * The fields by which somebody who writes to the store has put off what is due to the key: a stored `dueAt` is never later than what comes next, nor is
 * a key in anybody's hands for longer than its change may take. Names of those that are; times are ms since 1970.
 */
export function putOff(key: Key, { dueAt, claimedUntil }: DueFields, nowMs: number): (keyof DueFields)[] {
  const latest = latestDueAt(key, nowMs);
  const late = latest !== undefined && (typeof dueAt !== 'string' || dueAt > latest);
  const rotates = nextChange(key)?.change === 'rotate';
  const longest = iso(nowMs + skewMs + (rotates ? Math.max(claimMs, longestBackOffMs) : claimMs));
  const held = claimedUntil !== undefined && claimedUntil !== null && !(claimedUntil <= longest);
  return [...(late ? ['dueAt' as const] : []), ...(held ? ['claimedUntil' as const] : [])];
}

/** Undefined where nothing comes any more. */
function latestDueAt(key: Key, nowMs: number): string | undefined {
  const next = nextChange(key);
  // Where its window has been missed, a rotation comes by its share of the jitter after the next opening: it is not known from which time that was counted.
  const jitterMs = next?.change === 'rotate' && next.atMs <= nowMs + skewMs ? (key.rotation?.schedule.jitterMinutes ?? 60) * 60_000 : 0;
  if (dueChange(key, nowMs - skewMs)) return iso(nowMs + jitterMs);
  const comes = dueAfter(key, nowMs + skewMs);
  return comes === undefined ? undefined : iso(Date.parse(comes) + jitterMs);
}

/** What comes next is, or may come to be, a change that asks no worker for new material: such keys are looked after first. */
export const isQuick = (key: Key): boolean => {
  const next = nextChange(key);
  return next !== undefined && (next.change !== 'rotate' || atEndOf(key) === 'deactivate');
};

/** When a rotation that could not be done, and so often in a row before, is tried again: after 1, 2, 4, 8 minutes, then every 15; never after the key is to be deactivated. */
export function triedAgainAt(key: Key, failures: number, nowMs: number): number {
  const pauseMs = Math.min(claimMs * 2 ** Math.min(failures, 10), longestBackOffMs);
  const endMs = atEndOf(key) === 'deactivate' ? originatorPeriodEnd(key) : undefined;
  return endMs !== undefined && endMs > nowMs ? Math.min(nowMs + pauseMs, endMs) : nowMs + pauseMs;
}
