import { mismatchesOf, standingOf } from '@claviger/authz';
import type { KnownToken, TokenDescription } from '@claviger/contracts';
import type { Sighting } from './token-sightings';

/** All tokens that are on record or that workers have, those with the roots first, then by label. */
export function describeTokens(records: readonly KnownToken[], seen: readonly Sighting[], nowMs: number): TokenDescription[] {
  const labels = new Set([...records, ...seen].map(({ label }) => label));
  return [...labels]
    .map((label) =>
      describeToken(
        label,
        records.find((one) => one.label === label),
        seen.filter((one) => one.label === label),
        nowMs,
      ),
    )
    .sort((a, b) => Number(b.root) - Number(a.root) || (a.label < b.label ? -1 : 1));
}

function describeToken(label: string, record: KnownToken | undefined, seen: readonly Sighting[], nowMs: number): TokenDescription {
  const { state, why, level, daysLeft } = standingOf(record, nowMs);
  const reported = seen.findLast((one) => one.reported)?.reported;
  const all = seen.flatMap((one) => (record && one.reported ? mismatchesOf(record, one.reported) : []));
  return {
    label,
    ...(record ? { record } : {}),
    validation: { state, why: `it ${why}`, ...(level === undefined ? {} : { level }), ...(daysLeft === undefined ? {} : { daysLeft }) },
    root: seen.some(({ root }) => root),
    regions: [...new Set(seen.flatMap(({ region }) => (region ? [region] : [])))].sort(),
    ...(reported ? { reported } : {}),
    mismatches: [...new Map(all.map((one) => [JSON.stringify(one), one])).values()],
    workers: seen.map(({ worker }) => worker).sort(),
    away: seen.flatMap(({ worker, reached }) => (reached ? [] : [worker])).sort(),
  };
}
