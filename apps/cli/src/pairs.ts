import { CommandError } from './exit-codes';

/** `name=value` arguments to an object; undefined when there are none. @throws CommandError */
export function pairs(what: string, given: readonly string[] | undefined): Record<string, string> | undefined {
  if (!given || given.length === 0) return undefined;
  const read = given.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw new CommandError('usage', `--${what} wants name=value`);
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  if (new Set(read.map(([name]) => name)).size < read.length) throw new CommandError('usage', `--${what} names the same thing twice`);
  return Object.fromEntries(read);
}

/** Up to 10 digits: 2^32, the most encryptions under one key, is one of them. @throws CommandError */
export function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw new CommandError('usage', `${flag} wants a whole number`);
  return Number(text);
}

/** RFC 3339, with or without fractions and offset, as the services take it. @throws CommandError */
export function timestamp(flag: string, text: string): string {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new CommandError('usage', `${flag} wants a time such as 2027-01-31T08:00:00Z`);
  return new Date(at).toISOString();
}
