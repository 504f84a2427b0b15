import { type AtEnd, type KeyDescription, ProblemError, warningDays } from '@claviger/contracts';
import type { Key, KeyVersion } from './key';
import { dayMs, isOpen, longestBetween, rotationOf, type Settling, settled } from './rotation-schedule';

/** What happens to a key by itself, and when. Times are ms since 1970 where nothing else is said. */
export type DueChange = 'destroy' | 'activate' | 'rotate' | 'deactivate' | 'expire-material';

export const iso = (atMs: number): string => new Date(atMs).toISOString();
export const primaryOf = (key: Key): KeyVersion => key.versions[key.primaryVersion - 1] as KeyVersion;

export const atEndOf = (key: Key): AtEnd => key.atEnd ?? (key.rotation ? 'rotate' : 'warn');

/** The primary version is to protect nothing more from then on (SP 800-57 Part 1 rev. 5 §5.3.4). Undefined before its activation. */
export const originatorPeriodEnd = (key: Key): number | undefined => after(primaryOf(key), key.cryptoperiod.originatorDays);
export const recipientPeriodEnd = (key: Key, version: KeyVersion): number | undefined => after(version, key.cryptoperiod.recipientDays);
const after = ({ activatedAt }: KeyVersion, days: number) =>
  activatedAt === undefined ? undefined : Date.parse(activatedAt) + days * dayMs;

/** For how many days a version protects at most before something ends that by itself; undefined where nothing does. Jitter and window are not counted. */
export function protectsAtMostDays(key: Pick<Key, 'rotation' | 'atEnd' | 'cryptoperiod'>): number | undefined {
  const scheduled = key.rotation ? [longestBetween(key.rotation.schedule)] : [];
  const ended = (key.atEnd ?? (key.rotation ? 'rotate' : 'warn')) === 'warn' ? [] : [key.cryptoperiod.originatorDays];
  const days = [...scheduled, ...ended];
  return days.length === 0 ? undefined : Math.min(...days);
}

/** Its primary version protects: only then does its time run out, or is it rotated. What somebody deactivated or called compromised no schedule brings back. */
export const protects = (key: Key): boolean => key.deletionAt === undefined && primaryOf(key).state === 'active';

const whenever: Settling = { timeZone: 'UTC', jitterMinutes: 60 };

/** When the primary version is rotated: by the schedule, or, with `atEnd: rotate`, at the end of its time, whichever is first. */
export function rotationAt(key: Key): number | undefined {
  const endMs = originatorPeriodEnd(key);
  if (!protects(key) || endMs === undefined) return undefined;
  const scheduled = key.rotation?.at === undefined ? undefined : Date.parse(key.rotation.at);
  if (atEndOf(key) !== 'rotate' || (scheduled !== undefined && scheduled <= endMs)) return scheduled;
  return Math.min(scheduled ?? Number.POSITIVE_INFINITY, settled(key.rotation?.schedule ?? whenever, key.keyId, endMs));
}

/** When imported material is destroyed first. */
export function materialExpiry({ versions }: Key): number | undefined {
  const times = versions.flatMap(({ material, imported }) =>
    material && imported?.expiresAt !== undefined ? [Date.parse(imported.expiresAt)] : [],
  );
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Something asked for a rotation. Before its activation the key has nothing to rotate yet. */
const rotatesOnEvent = (key: Key): key is Key & Required<Pick<Key, 'rotationDue'>> =>
  key.rotationDue !== undefined && primaryOf(key).state !== 'pre-activation';

/** What happens next, and when; the time may have come, or be over. Frozen keys wait for nothing but their destruction, and that of imported material. */
export function nextChange(key: Key): { change: DueChange; atMs: number } | undefined {
  const [expiry, other] = [materialExpiry(key), nextOther(key)];
  return expiry !== undefined && (other === undefined || expiry < other.atMs) ? { change: 'expire-material', atMs: expiry } : other;
}

function nextOther(key: Key): { change: DueChange; atMs: number } | undefined {
  if (primaryOf(key).state === 'destroyed') return undefined;
  if (key.deletionAt !== undefined) return { change: 'destroy', atMs: Date.parse(key.deletionAt) };
  if (key.suspended) return undefined;
  // Without material it waits for that first.
  if (key.activationAt !== undefined && primaryOf(key).missing) return undefined;
  if (key.activationAt !== undefined) return { change: 'activate', atMs: Date.parse(key.activationAt) };
  if (rotatesOnEvent(key)) return { change: 'rotate', atMs: Date.parse(key.rotationDue.at) };
  const [rotation, end] = [rotationAt(key), originatorPeriodEnd(key)];
  const deactivation = atEndOf(key) === 'deactivate' && protects(key) ? end : undefined;
  if (rotation !== undefined && (deactivation === undefined || rotation < deactivation)) return { change: 'rotate', atMs: rotation };
  return deactivation === undefined ? undefined : { change: 'deactivate', atMs: deactivation };
}

/** What is to be done now. A rotation that missed its window waits for the next opening; the end of the originator period waits for nothing. */
export function dueChange(key: Key, nowMs: number): DueChange | undefined {
  const next = nextChange(key);
  if (!next || next.atMs > nowMs) return undefined;
  // What happened waits for no window.
  if (next.change !== 'rotate' || rotatesOnEvent(key)) return next.change;
  const endMs = originatorPeriodEnd(key) as number;
  if (atEndOf(key) === 'deactivate' && endMs <= nowMs) return 'deactivate';
  return isOpen(key.rotation?.schedule ?? whenever, nowMs) ? 'rotate' : undefined;
}

/** A time of which events say that it comes. */
export interface Deadline {
  what: 'period-end' | 'deletion' | 'material-expiry';
  /** Whose it is; of the whole key the primary one. */
  version: number;
  /** RFC 3339. */
  at: string;
  /** How many days before it they do, the farthest first. */
  days: readonly number[];
}

export function deadlinesOf(key: Key): Deadline[] {
  if (primaryOf(key).state === 'destroyed') return [];
  if (key.deletionAt !== undefined) return [{ what: 'deletion', version: key.primaryVersion, at: key.deletionAt, days: warningDays }];
  return [...key.versions.map(expiryOf), periodEndOf(key)].filter((deadline) => deadline !== undefined);
}

function expiryOf({ version, material, imported }: KeyVersion): Deadline | undefined {
  if (!material || imported?.expiresAt === undefined) return undefined;
  const [expiryMs, importedMs] = [Date.parse(imported.expiresAt), Date.parse(imported.at)];
  // Whoever imported it for a week need not hear at once that it is less than 30 days.
  return { what: 'material-expiry', version, at: iso(expiryMs), days: warningDays.filter((d) => expiryMs - d * dayMs > importedMs) };
}

function periodEndOf(key: Key): Deadline | undefined {
  const endMs = originatorPeriodEnd(key);
  if (endMs === undefined || !protects(key)) return undefined;
  // Nothing is said 30 days before the end of a period of 20 days.
  const days = warningDays.filter((d) => d < key.cryptoperiod.originatorDays);
  return { what: 'period-end', version: key.primaryVersion, at: iso(endMs), days: atEndOf(key) === 'warn' ? [...days, 0] : days };
}

const warningTimes = (key: Key): number[] =>
  deadlinesOf(key).flatMap(({ at, days }) => days.map((before) => Date.parse(at) - before * dayMs));

/** When the sweep looks at the key first; it may be over. */
export function dueAt(key: Key): string | undefined {
  const next = nextChange(key);
  const times = [...(next ? [next.atMs] : []), ...warningTimes(key)];
  return times.length === 0 ? undefined : iso(Math.min(...times));
}

/** … and when again, after it has found that now there is nothing to do. */
export function dueAfter(key: Key, nowMs: number): string | undefined {
  const next = nextChange(key);
  const missed = next?.change === 'rotate' && next.atMs <= nowMs && !rotatesOnEvent(key);
  // Its window is closed.
  const again = missed ? [settled(key.rotation?.schedule ?? whenever, key.keyId, nowMs)] : next ? [next.atMs] : [];
  // The period may end before the window opens.
  const end = missed && atEndOf(key) === 'deactivate' ? [originatorPeriodEnd(key) as number] : [];
  const times = [...again, ...end, ...warningTimes(key)].filter((atMs) => atMs > nowMs);
  return times.length === 0 ? undefined : iso(Math.min(...times));
}

/** The primary version became active, or the schedule is new: it is decided when the schedule rotates it. */
export function planned(key: Key, now: string): Key {
  const since = primaryOf(key).activatedAt;
  if (!key.rotation || since === undefined) return key;
  const { schedule } = key.rotation;
  return { ...key, rotation: { schedule, at: iso(rotationOf(schedule, key.keyId, Date.parse(since), Date.parse(now))) } };
}

/** Throws ERR_MALFORMED_REQUEST for a schedule that comes only when the key has been deactivated. */
export function assertRotatedInTime(key: Key): void {
  const at = key.rotation?.at;
  const endMs = originatorPeriodEnd(key);
  if (atEndOf(key) === 'deactivate' && at !== undefined && endMs !== undefined && Date.parse(at) >= endMs)
    throw new ProblemError(
      'ERR_MALFORMED_REQUEST',
      `The schedule rotates the key at ${at}, and it is deactivated before, at the end of its originator usage period, ${iso(endMs)}.`,
    );
}

/** Its schedule asks for a rotation when so many encryptions were given out that the event asks for one. */
export const rotatesOnUsage = (key: Key): boolean => protects(key) && key.rotation?.schedule.onUsageThreshold === true;

/** The count of encryptions is to be looked at: it may have come to that before the schedule was set, or while the key was frozen. */
export const asksForUsageCheck = (from: Key, to: Key): boolean =>
  rotatesOnUsage(to) && (from.rotation?.schedule !== to.rotation?.schedule || from.suspended);

/** As its description says it: the next change, or the end of the period where that changes nothing. */
export function nextOf(key: Key): KeyDescription['next'] {
  const next = nextChange(key);
  if (next) return { event: next.change, at: iso(next.atMs) };
  const endMs = originatorPeriodEnd(key);
  return endMs === undefined || !protects(key) ? undefined : { event: 'end-period', at: iso(endMs) };
}
