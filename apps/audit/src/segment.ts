import type { Entry } from './fold';

/**
 * Queries find entries through segments of 256 messages. An index term costs the store a hundred times what its bytes cost (measured: 36 µs),
 * and the same keys and principals come in message after message: said once a segment, they cost next to nothing.
 */
export const segmentMessages = 256;

/** A segment with more values of a kind than this matches every value: reading 256 messages is cheaper than that index. */
export const maxSegmentValues = 512;
export const anyValue = '*';

const setNames = ['keys', 'principals', 'actions', 'outcomes', 'kinds'] as const;
export type SetName = (typeof setNames)[number];

/** What a segment's document holds; it may say more than its entries do (of a step that was never committed), never less. */
export type Segment = { readonly [name in SetName]: ReadonlySet<string> } & { readonly from?: string; readonly to?: string };
/** What it does not hold yet. */
export interface Addition {
  readonly segment: number;
  readonly sets: Partial<Record<SetName, string[]>>;
  readonly from?: string;
  readonly to?: string;
  /** The segment with the addition. */
  readonly after: Segment;
}

const nothing: Segment = { keys: new Set(), principals: new Set(), actions: new Set(), outcomes: new Set(), kinds: new Set() };

export const segmentOf = (position: number): number => Math.floor(position / segmentMessages);
export const positionsOf = (segment: number) => ({ first: segment * segmentMessages, last: (segment + 1) * segmentMessages - 1 });

/** What these entries add to their segments. `held`: what is known to be in the store, nothing where nothing is known. */
export function additions(entries: readonly Entry[], held: (segment: number) => Segment | undefined): Addition[] {
  return [...Map.groupBy(entries, ({ position }) => segmentOf(position))].flatMap(([segment, own]) => {
    const before = held(segment) ?? nothing;
    const sets: Partial<Record<SetName, string[]>> = {};
    const after = { ...before };
    for (const name of setNames) {
      if (before[name].has(anyValue)) continue;
      const added = [...new Set(own.flatMap((entry) => entry[name]))].filter((value) => !before[name].has(value));
      if (added.length === 0) continue;
      const values = before[name].size + added.length > maxSegmentValues ? [anyValue] : added;
      sets[name] = values;
      after[name] = new Set([...before[name], ...values]);
    }
    const from = own.flatMap((entry) => entry.from ?? []).sort()[0];
    const to = own
      .flatMap((entry) => entry.to ?? [])
      .sort()
      .at(-1);
    const earlier = from !== undefined && (before.from === undefined || from < before.from) ? { from } : {};
    const later = to !== undefined && (before.to === undefined || to > before.to) ? { to } : {};
    const isNew = Object.keys(sets).length > 0 || earlier.from !== undefined || later.to !== undefined;
    return isNew ? [{ segment, sets, ...earlier, ...later, after: { ...after, ...earlier, ...later } }] : [];
  });
}
