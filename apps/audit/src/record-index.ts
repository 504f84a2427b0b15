import { keyPattern, principalPattern } from '@claviger/contracts';

/** What queries can ask of one entry without opening it: every value that occurs in its records, once. */
export interface EntryIndex {
  keys: string[];
  principals: string[];
  actions: string[];
  outcomes: string[];
  kinds: string[];
  /** Trace ids, 32 hex digits. */
  traces: string[];
  /** Oldest and newest record time. */
  from?: string;
  to?: string;
}

/** Findings and facts that only reading the records gives. */
export interface RecordsRead {
  readonly index: EntryIndex;
  /** `traceparent` of each record whose caller asked for it to be traced. */
  readonly sampled: readonly string[];
  readonly unreadable: number;
  /** Newest time of the chain up to here. */
  readonly lastTime: string;
  /** The largest step back of the clock that exceeds the tolerance. */
  readonly backwards?: { readonly time: string; readonly after: string };
}

/** A clock that is being disciplined may step back a little; more is somebody moving it. */
export const clockToleranceMs = 1_000;

const timePattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const tracePattern = /^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$/;
const maxWordChars = 64;

/** Reads record lines in their order. `lastTime` is where the chain's clock stood before. */
export function readRecords(lines: readonly Buffer[], lastTime: string): RecordsRead {
  const sets = {
    keys: new Set<string>(),
    principals: new Set<string>(),
    actions: new Set<string>(),
    outcomes: new Set<string>(),
    kinds: new Set<string>(),
    traces: new Set<string>(),
  };
  const sampled: string[] = [];
  let unreadable = 0;
  let from: string | undefined;
  let to: string | undefined;
  let newest = lastTime;
  let backwards: { time: string; after: string } | undefined;
  for (const line of lines) {
    const record = parseRecord(line);
    if (!record) {
      unreadable++;
      continue;
    }
    const { kind, time, keyId, toKeyId, previousKeyId, principal, action, outcome, trace } = record;
    add(sets.kinds, kind);
    add(sets.actions, action);
    add(sets.outcomes, outcome);
    for (const id of [keyId, toKeyId, previousKeyId]) if (typeof id === 'string' && keyPattern.test(id)) sets.keys.add(id);
    if (typeof principal === 'string' && principalPattern.test(principal)) sets.principals.add(principal);
    const traced = typeof trace === 'string' ? tracePattern.exec(trace) : null;
    if (traced) {
      sets.traces.add(traced[1]!);
      if (Number.parseInt(traced[2]!, 16) & 1) sampled.push(trace as string);
    }
    // One fixed form, so that text order is time order.
    if (from === undefined || time < from) from = time;
    if (to === undefined || time > to) to = time;
    // An epoch record is made when its batch is sealed, which may be after the records that waited for it.
    if (kind === 'epoch') continue;
    if (time >= newest) newest = time;
    else if (Date.parse(newest) - Date.parse(time) > clockToleranceMs && (!backwards || time < backwards.time))
      backwards = { time, after: newest };
  }
  return {
    index: {
      keys: [...sets.keys],
      principals: [...sets.principals],
      actions: [...sets.actions],
      outcomes: [...sets.outcomes],
      kinds: [...sets.kinds],
      traces: [...sets.traces],
      ...(from !== undefined && to !== undefined ? { from, to } : {}),
    },
    sampled,
    unreadable,
    lastTime: newest,
    ...(backwards ? { backwards } : {}),
  };
}

/** A record is a JSON object with a kind and a time; undefined for anything else, which only a broken or hostile worker signs. */
export function parseRecord(line: Buffer | string): (Record<string, unknown> & { kind: string; time: string }) | undefined {
  try {
    const record = JSON.parse(line.toString()) as { kind?: unknown; time?: unknown } | null;
    if (typeof record !== 'object' || record === null || typeof record.kind !== 'string') return undefined;
    if (typeof record.time !== 'string' || !timePattern.test(record.time)) return undefined;
    return record as Record<string, unknown> & { kind: string; time: string };
  } catch {
    return undefined;
  }
}

function add(words: Set<string>, value: unknown): void {
  if (typeof value === 'string' && value.length <= maxWordChars) words.add(value);
}
