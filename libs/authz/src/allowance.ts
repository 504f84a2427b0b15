/**
 * What one process may still let through of one count, where `limit` of them are allowed over all processes. Two counters that only grow are shared by all: how many were `drawn`, and how
 * many of those were `returned` unused. A draw of n that makes the first one v gives the positions v-n+1 … v, each to nobody else. A position p may be used when p <= limit + r, where r is what
 * was known to be returned *before* the draw was sent.
 *
 * Why that is never more than the limit: let p be the highest position used, and r what its drawer knew. The r positions that were returned had been drawn before, so they are below p, and
 * nobody uses them: at most p - r <= limit are used. What is lost with a process was drawn and is not used. A count that is read too low (an old `returned`) refuses, and allows nothing.
 * Under a limit that was lowered nothing drawn under the higher one is used any more: it is returned.
 */
export interface Allowance {
  blocks: Block[];
  /** Positions that this process drew, will not use and has not returned. */
  unused: number;
  /** Highest value of each counter that was seen. */
  drawn: number;
  returned: number;
  /** Of the last draw, and when its block came. */
  size: number;
  drawnAtMs: number;
}
interface Block {
  /** Positions from `next` to `end`, both included, that nobody has used. */
  next: number;
  readonly end: number;
  /** Under which limit they were drawn. */
  readonly limit: number;
}

export const newAllowance = (size = 0): Allowance => ({
  blocks: [],
  unused: 0,
  drawn: 0,
  returned: 0,
  size,
  drawnAtMs: Number.NEGATIVE_INFINITY,
});

/** A block should last so long: a crash loses no more, and what is asked for early comes in time. */
const blockMs = 100;
/** No block grows faster than this from one to the next. */
const growth = 4;
/** The next block is asked for when this share of the last one is left. */
const refillAt = 0.25;

/** How many may be used without asking. */
export function left({ blocks }: Allowance, limit: number): number {
  let count = 0;
  for (const block of blocks) if (block.limit <= limit) count += countOf(block);
  return count;
}

/** One position, and the limit under which it was drawn. */
export interface Taken {
  readonly position: number;
  readonly limit: number;
}

/** Uses one; undefined when there is none. */
export function take(allowance: Allowance, limit: number): Taken | undefined {
  const { blocks } = allowance;
  for (let block = blocks[0]; block; block = blocks[0]) {
    if (block.limit <= limit && block.next <= block.end) {
      return { position: block.next++, limit: block.limit };
    }
    allowance.unused += countOf(block);
    blocks.shift();
  }
  return undefined;
}

/** What `take` gave was used for nothing: it is the next to be used. */
export function untake({ blocks }: Allowance, { position, limit }: Taken): void {
  blocks.unshift({ next: position, end: position, limit });
}

/** How many nobody has drawn yet, as far as this process knows. */
const undrawn = ({ drawn, returned }: Allowance, limit: number): number => Math.max(0, limit + returned - drawn);

export const isExhausted = (allowance: Allowance, limit: number): boolean => undrawn(allowance, limit) === 0;

/** Whether to ask for the next block before this one is used up. Small ones are not worth it: near the limit every one that is held is one that others lack. */
export const isLow = (allowance: Allowance, limit: number, workers: number): boolean =>
  left(allowance, limit) < allowance.size * refillAt && share(allowance, limit, workers) >= growth;

/**
 * How many to draw: as many as were used in `blockMs`, and as many as `wait`, but no more than a quarter of this process' share of what is left, so that the blocks become smaller towards the limit and
 * little is left unused where the processes are not equally busy (guided self-scheduling: Polychronopoulos and Kuck, IEEE Transactions on Computers C-36(12), 1987). At least one.
 */
export function drawSize(
  allowance: Allowance,
  limit: number,
  { workers, wait, nowMs }: { workers: number; wait: number; nowMs: number },
): number {
  const { size, drawnAtMs } = allowance;
  const lasted = nowMs - drawnAtMs;
  const used = size === 0 ? 1 : Math.ceil(size * Math.min(growth, blockMs / Math.max(1, lasted)));
  return Math.max(1, Math.min(Math.max(used, wait), share(allowance, limit, workers)));
}

const share = (allowance: Allowance, limit: number, workers: number): number =>
  Math.floor(undrawn(allowance, limit) / (4 * Math.max(1, workers)));

/**
 * What a draw of `count` gave: the counter is `value` now. False when the counter is lower than it must be: somebody put it back, and nobody knows any more what was let through. Then nothing is
 * taken.
 */
export function drew(
  allowance: Allowance,
  { count, value, returned, nowMs }: { count: number; value: number; returned: number; nowMs: number },
  limit: number,
): boolean {
  if (value - count < allowance.drawn) return false;
  allowance.drawn = value;
  allowance.size = count;
  allowance.drawnAtMs = nowMs;
  const next = value - count + 1;
  // Beyond the limit there is nothing to use, whatever is returned later.
  const end = Math.max(next - 1, Math.min(value, limit + returned));
  allowance.unused += value - end;
  if (next <= end) allowance.blocks.push({ next, end, limit });
  return true;
}

/** Learns what was returned by anybody. A lower value than before is an old one. */
export function learnReturned(allowance: Allowance, value: number): void {
  allowance.returned = Math.max(allowance.returned, value);
}

/** Gives up all that is held; the number goes onto `returned`, once. */
export function giveBack(allowance: Allowance): number {
  const count = allowance.blocks.reduce((sum, block) => sum + countOf(block), allowance.unused);
  Object.assign(allowance, { blocks: [], unused: 0, size: 0 });
  return count;
}

const countOf = ({ next, end }: Block): number => end - next + 1;
