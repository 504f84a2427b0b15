import { createHash } from 'node:crypto';
import { ProblemError, type RotationSchedule, type RotationWindow, Weekday } from '@claviger/contracts';
import { Cron } from 'croner';
import { instantOf, wallClock } from './wall-clock';

/** Times are ms since 1970. */
export const dayMs = 86_400_000;
const minuteMs = 60_000;
/** Two rotations of a cron expression are no nearer to each other: a day, less what a change to summer time takes from it. */
const leastBetweenMs = 20 * 60 * minuteMs;

/** Throws ERR_MALFORMED_REQUEST. */
export function assertSchedule(schedule: RotationSchedule, nowMs: number): void {
  refusing(`${schedule.timeZone} is no time zone`, () => wallClock(schedule.timeZone, nowMs));
  if (!('cron' in schedule)) return;
  const times = refusing(`${schedule.cron} is no cron expression`, () => cronOf(schedule).nextRuns(3, new Date(nowMs)));
  if (times.length === 0) throw malformed(`${schedule.cron} never comes`);
  // Each day that it comes on has the same times, so that the first three tell.
  if (times.some((time, n) => n > 0 && time.getTime() - (times[n - 1] as Date).getTime() < leastBetweenMs))
    throw malformed(`${schedule.cron} comes more than once a day`);
}

/** When a version that has been in use since `sinceMs` is rotated; never before `nowMs`, when that is decided. Throws ERR_MALFORMED_REQUEST. */
export function rotationOf(schedule: RotationSchedule, keyId: string, sinceMs: number, nowMs: number): number {
  const next = 'cron' in schedule ? cronOf(schedule).nextRun(new Date(nowMs))?.getTime() : sinceMs + schedule.everyDays * dayMs;
  if (next === undefined) throw malformed(`${(schedule as { cron: string }).cron} never comes`);
  return settled(schedule, keyId, Math.max(next, nowMs));
}

/** The longest time between two rotations, in whole days: of a cron expression those that begin in the 14 months from 2024 on, a leap year. */
export function longestBetween(schedule: RotationSchedule): number {
  if (!('cron' in schedule)) return schedule.everyDays;
  const name = `${schedule.timeZone} ${schedule.cron}`;
  const known = longest.get(name);
  if (known !== undefined) return known;
  const cron = cronOf(schedule);
  let [from, most] = [Date.UTC(2024, 0, 1), 0];
  for (let to: number | undefined; from < Date.UTC(2025, 2, 1); from = to) {
    to = cron.nextRun(new Date(from))?.getTime();
    if (to === undefined) return Number.MAX_SAFE_INTEGER;
    most = Math.max(most, to - from);
  }
  if (longest.size >= 1_000) longest.clear();
  // A day of 25 hours is one day.
  const days = Math.max(1, Math.round(most / dayMs));
  longest.set(name, days);
  return days;
}
const longest = new Map<string, number>();

/** Later by the key's share of the jitter; where that is outside the window, in the next opening, by the share of as much of it as the jitter. */
export function settled({ timeZone, window, jitterMinutes }: Settling, keyId: string, atMs: number): number {
  const [share, jitterMs] = [shareOf(keyId), jitterMinutes * minuteMs];
  const later = atMs + Math.floor(share * jitterMs);
  if (!window) return later;
  const { opensMs, closesMs } = opening(window, timeZone, later);
  return opensMs <= later ? later : opensMs + Math.floor(share * Math.min(jitterMs, closesMs - opensMs));
}
export type Settling = Pick<RotationSchedule, 'timeZone' | 'window' | 'jitterMinutes'>;

export const isOpen = ({ timeZone, window }: Pick<Settling, 'timeZone' | 'window'>, atMs: number): boolean =>
  !window || opening(window, timeZone, atMs).opensMs <= atMs;

/** The opening that `atMs` is in, or else the next one: from `opensMs` until just before `closesMs`. */
function opening({ days, from, to }: RotationWindow, timeZone: string, atMs: number): { opensMs: number; closesMs: number } {
  const open = days.map((day) => Weekday.options.indexOf(day));
  const [fromMs, toMs] = [timeOfDay(from), timeOfDay(to)];
  const midnight = Math.floor(wallClock(timeZone, atMs) / dayMs) * dayMs;
  // From yesterday, whose opening may last until today, to one week after the next: a week's only opening may be an hour that is left out.
  for (let date = midnight - dayMs; date <= midnight + 15 * dayMs; date += dayMs) {
    if (!open.includes(weekdayOf(date))) continue;
    const opensMs = instantOf(timeZone, date + fromMs);
    const closesMs = instantOf(timeZone, date + toMs + (toMs <= fromMs ? dayMs : 0));
    if (closesMs > atMs && closesMs > opensMs) return { opensMs, closesMs };
  }
  throw new Error(`a window of ${days.join()} ${from}-${to} does not open in ${timeZone}`);
}

/** Monday is 0; 1970 began on a Thursday. */
const weekdayOf = (dateMs: number): number => (Math.floor(dateMs / dayMs) + 3) % 7;
const timeOfDay = (clock: string): number => (Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3))) * minuteMs;

/** From 0 to just below 1, always the same for one key, and spread evenly over keys. */
const shareOf = (keyId: string): number => createHash('sha256').update(keyId).digest().readUIntBE(0, 6) / 2 ** 48;

/** It runs nothing: it is only asked. */
const cronOf = ({ cron, timeZone }: Extract<RotationSchedule, { cron: string }>) =>
  new Cron(cron, { timezone: timeZone, paused: true, mode: '5-part' });

function refusing<T>(what: string, ask: () => T): T {
  try {
    return ask();
  } catch (cause) {
    throw malformed(what, cause);
  }
}
const malformed = (what: string, cause?: unknown) => new ProblemError('ERR_MALFORMED_REQUEST', `${what}.`, { cause });
