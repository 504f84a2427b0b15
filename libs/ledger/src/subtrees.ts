import { LedgerError } from './errors';

/** Entries `lo` (inclusive) to `hi` (exclusive). */
export type Range = { readonly lo: number; readonly hi: number };
/** The perfect subtree over entries `index * 2^level` to `(index + 1) * 2^level`. */
export type Subtree = { readonly level: number; readonly index: number };

// Sizes are numbers up to 2^53: arithmetic by division, since JavaScript's bit operators see 32 bits.

/** Perfect subtrees of a range that starts where a subtree of the RFC 6962 tree starts, left to right, largest first. */
export function subtreesOf({ lo, hi }: Range): Subtree[] {
  const found: Subtree[] = [];
  for (let at = lo; at < hi; ) {
    const level = floorLog2(hi - at);
    found.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return found;
}

/** Ranges whose roots make `PATH(index, D[0:size])`, leaf to root (RFC 6962 §2.1.1). */
export function inclusionRanges(index: number, size: number): Range[] {
  checkSize(size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= size)
    throw new LedgerError('ERR_TREE_RANGE', `Entry ${index} is not in a tree of ${size}`);
  const ranges: Range[] = [];
  for (let lo = 0, hi = size; hi - lo > 1; ) {
    const middle = lo + split(hi - lo);
    if (index < middle) {
      ranges.push({ lo: middle, hi });
      hi = middle;
    } else {
      ranges.push({ lo, hi: middle });
      lo = middle;
    }
  }
  return ranges.reverse();
}

/** Ranges whose roots make `PROOF(from, D[0:to])` (RFC 6962 §2.1.2). None when `from` is 0 or equals `to`: nothing needs proof there. */
export function consistencyRanges(from: number, to: number): Range[] {
  checkSize(from);
  checkSize(to);
  if (from > to) throw new LedgerError('ERR_TREE_RANGE', `A tree of ${to} has no prefix of ${from}`);
  if (from === 0 || from === to) return [];
  const ranges: Range[] = [];
  let lo = 0;
  let hi = to;
  while (hi !== from) {
    const middle = lo + split(hi - lo);
    if (from <= middle) {
      ranges.push({ lo: middle, hi });
      hi = middle;
    } else {
      ranges.push({ lo, hi: middle });
      lo = middle;
    }
  }
  // The verifier already holds the root of D[0:from] when that is itself a whole subtree.
  if (lo > 0) ranges.push({ lo, hi });
  return ranges.reverse();
}

export function checkSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new LedgerError('ERR_TREE_RANGE', `${size} is not a tree size`);
}

/** Largest power of two below `count` (RFC 6962's k). */
export const split = (count: number): number => 2 ** floorLog2(count - 1);

function floorLog2(count: number): number {
  let level = 0;
  while (2 ** (level + 1) <= count) level++;
  return level;
}
