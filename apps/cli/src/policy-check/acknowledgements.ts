import { z } from 'zod';
import { yaml } from './yaml';

const text = z.string().min(1).max(2_000);
const File = z.array(z.strictObject({ reason: text, widenings: z.array(text).min(1).max(5_000) })).max(1_000);

export interface Acknowledged<T> {
  readonly open: T[];
  readonly acknowledged: (T & { reason: string })[];
  /** Named in the file, and not found: the change is in force by now, or another one than was meant. */
  readonly stale: string[];
}

/** Widenings that somebody decided on, by their ids, each with why. @throws Error with what is wrong with the file */
export function acknowledgementsIn(content: string): ReadonlyMap<string, string> {
  const parsed = File.safeParse(yaml().parse(content, { maxAliasCount: 0, uniqueKeys: true }) ?? []);
  if (!parsed.success) throw new Error(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  return new Map(parsed.data.flatMap(({ reason, widenings }) => widenings.map((id) => [id, reason] as const)));
}

export function acknowledge<T extends { id: string }>(all: readonly T[], reasons: ReadonlyMap<string, string>): Acknowledged<T> {
  const ids = new Set(all.map(({ id }) => id));
  return {
    open: all.filter(({ id }) => !reasons.has(id)),
    acknowledged: all.flatMap((one) => (reasons.has(one.id) ? [{ ...one, reason: reasons.get(one.id)! }] : [])),
    stale: [...reasons.keys()].filter((id) => !ids.has(id)),
  };
}
