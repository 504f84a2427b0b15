/**
 * Where `value` lies among ascending `thresholds`: an odd number on one of them, an even number between two. Two values in the same place
 * compare alike (<, <=, ==, >=, >) with every threshold, so whatever only compares cannot tell them apart.
 */
export function placeAmong(thresholds: readonly number[], value: number): number {
  let below = 0;
  while (below < thresholds.length && thresholds[below]! < value) below += 1;
  return 2 * below + (thresholds[below] === value ? 1 : 0);
}

export const ascending = (values: Iterable<number>): number[] => [...new Set(values)].sort((a, b) => a - b);
