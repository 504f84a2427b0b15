const format = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2}(?:\.\d{3})?)(?:Z|([+-])(\d{2})(\d{2})))?$/;

/**
 * The instant in ms of a `datetime("…")` literal in Cedar's JSON policy format, or undefined when the expression is anything else
 * (docs.cedarpolicy.com/policies/syntax-datatypes.html, datetime: a date, or a time in UTC or with an offset written without a colon).
 */
export function datetimeMs(expression: unknown): number | undefined {
  const args = (expression as { datetime?: unknown } | null | undefined)?.datetime;
  const text = Array.isArray(args) && args.length === 1 ? (args[0] as { Value?: unknown } | null)?.Value : undefined;
  const match = typeof text === 'string' ? format.exec(text) : null;
  if (!match) return undefined;
  const [, date, time = '00:00:00', sign, hours = '0', minutes = '0'] = match;
  const local = Date.parse(`${date}T${time}Z`);
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000;
  return Number.isNaN(local) ? undefined : sign === '+' ? local - offsetMs : local + offsetMs;
}
