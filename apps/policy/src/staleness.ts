import type { Assignment } from '@claviger/authz';
import { type Activity, PrincipalId, type Staleness, Timestamp } from '@claviger/contracts';
import { z } from 'zod';
import type { SeenOf } from './activities';

/** `login`: whether it comes at all; else an assignment id. */
const Watched = z.strictObject({
  /** Last used, or else first seen. */
  since: Timestamp,
  /** Its holder was told. */
  noticedAt: Timestamp.optional(),
  /** That it stays, since too few would be left, was told. */
  keptAt: Timestamp.optional(),
});
export type Watched = z.infer<typeof Watched>;

/** What is known of how one principal uses what it has, as it is stored. */
export const Standing = z.strictObject({
  id: PrincipalId,
  revision: z.int().min(1),
  watched: z.record(z.string(), Watched),
  /** When the ledger was last asked. */
  checkedAt: Timestamp,
});
export type Standing = z.infer<typeof Standing>;

export const login = 'login';
const dayMs = 86_400_000;
const iso = (ms: number) => new Date(ms).toISOString();

export interface Notice {
  /** `login` or an assignment id. */
  readonly what: string;
  readonly since: string;
  /** When it is taken away. */
  readonly at: string;
}

export interface Judged {
  readonly standing: Standing;
  readonly notices: readonly Notice[];
  /** What is due to be taken away. With `login` the principal is disabled. */
  readonly removals: readonly Notice[];
}

/**
 * What becomes of what one principal has. Use moves `since`; what was first seen begins then, so that nothing is taken for unused before it was watched for
 * so long. What is unknown changes nothing. Nothing is taken away that was not told before, by as many days as the policies say.
 */
export function judge(
  known: Standing | undefined,
  principal: string,
  assignments: readonly Assignment[],
  seen: SeenOf | undefined,
  staleness: Staleness,
  nowMs: number,
): Judged {
  const now = iso(nowMs);
  const { noticeDays } = staleness;
  const notices: Notice[] = [];
  const removals: Notice[] = [];
  /** `judged`: else only use is taken note of. */
  const watch = (what: string, activity: Activity | undefined, judged: boolean): [string, Watched] => {
    const before = known?.watched[what];
    const used = activity?.known === 'used' && activity.at! > (before?.since ?? '') ? activity.at : undefined;
    // Used again, it begins anew.
    const watched: Watched = used === undefined && before ? before : { since: used ?? now };
    // What nobody can tell is no reason for anything.
    const told = activity !== undefined && activity.known !== 'unknown';
    if (!judged || !told || nowMs - Date.parse(watched.since) < noticeDays * dayMs) return [what, watched];
    const notice = { what, since: watched.since, at: iso(takenAtMs(watched, staleness, nowMs)) };
    if (watched.noticedAt === undefined) {
      notices.push(notice);
      return [what, { ...watched, noticedAt: now }];
    }
    if (Date.parse(notice.at) <= nowMs) removals.push(notice);
    return [what, watched];
  };
  const except = staleness.except?.includes(principal) ?? false;
  const coming = watch(login, seen?.session, !except);
  // Who does not come at all is disabled, with all that it has: one notice says it.
  const comes = nowMs - Date.parse(coming[1].since) < noticeDays * dayMs;
  const things = assignments.map(({ id }) => watch(id, seen?.uses.get(id), comes && !except));
  const standing = { id: principal, revision: known?.revision ?? 1, watched: Object.fromEntries([coming, ...things]), checkedAt: now };
  return { standing, notices, removals };
}

/** Never sooner after the notice than the policies say. */
const takenAtMs = ({ since, noticedAt }: Watched, { noticeDays, removeAfterDays }: Staleness, nowMs: number): number =>
  Math.max(
    Date.parse(since) + removeAfterDays * dayMs,
    (noticedAt === undefined ? nowMs : Date.parse(noticedAt)) + (removeAfterDays - noticeDays) * dayMs,
  );

export type Unused = Notice & { noticedAt?: string; kept: boolean };

/** What is unused for long enough to be told, with when it goes, for lists. */
export function unusedIn({ watched }: Standing, staleness: Staleness, nowMs: number): Unused[] {
  return Object.entries(watched).flatMap(([what, one]) => {
    if (nowMs - Date.parse(one.since) < staleness.noticeDays * dayMs) return [];
    const { since, noticedAt, keptAt } = one;
    const at = iso(takenAtMs(one, staleness, nowMs));
    return [{ what, since, at, ...(noticedAt ? { noticedAt } : {}), kept: keptAt !== undefined }];
  });
}

/** That it stays was told. */
export const kept = (standing: Standing, what: readonly string[], now: string): Standing => ({
  ...standing,
  watched: Object.fromEntries(
    Object.entries(standing.watched).map(([name, one]) => [name, what.includes(name) ? { ...one, keptAt: one.keptAt ?? now } : one]),
  ),
});
