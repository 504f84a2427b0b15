/** Formatters are dear to make (60 µs) and cheap to use; there are as many as time zones in use. */
const formatters = new Map<string, Intl.DateTimeFormat>();

/** @throws RangeError when the time zone is not known */
function formatterOf(timeZone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(timeZone);
  if (!formatter) {
    const twoDigits = { month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
    formatter = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', year: 'numeric', ...twoDigits });
    formatters.set(timeZone, formatter);
  }
  return formatter;
}

/** What a clock on the wall there shows at this instant, as the ms since 1970 at which one in UTC shows the same. @throws RangeError when the time zone is not known */
export function wallClock(timeZone: string, atMs: number): number {
  const parts = Object.fromEntries(
    formatterOf(timeZone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts as Record<string, number>;
  return Date.UTC(year, month - 1, day, hour, minute, second) + (atMs - Math.floor(atMs / 1_000) * 1_000);
}

const dayMs = 86_400_000;

/**
 * The first instant at which the clock there shows this time (given as `wallClock` gives it), or one after it: a time that comes twice when the clock is
 * put back is the first of the two, and one that is left out when it is put forward is the moment of the change.
 */
export function instantOf(timeZone: string, wallMs: number): number {
  const offset = (atMs: number) => wallClock(timeZone, atMs) - atMs;
  const [one, other] = [wallMs - offset(wallMs - dayMs), wallMs - offset(wallMs + dayMs)];
  const [first, second] = [Math.min(one, other), Math.max(one, other)];
  for (const candidate of [first, second]) if (wallClock(timeZone, candidate) === wallMs) return candidate;
  // Left out: the clock is put forward between the two.
  let [before, after] = [first, second];
  const offsetBefore = offset(before);
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offset(middle) === offsetBefore) before = middle;
    else after = middle;
  }
  return after;
}
