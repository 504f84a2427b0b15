/** Chance that can be had again: the same seed gives the same series. Mulberry32, 32 bits of state; not for secrets. */
export interface Chance {
  /** From 0 up to 1. */
  next(): number;
  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number;
  /** One of them; those that weigh more come more often. */
  pick<T>(from: readonly T[], weight?: (one: T) => number): T;
  /** A series of its own, so that callers that run beside each other do not take each other's numbers. */
  fork(): Chance;
}

export function chance(seed: number): Chance {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (least, most) => least + Math.floor(next() * (most - least + 1)),
    pick(from, weight = () => 1) {
      let left = next() * from.reduce((sum, one) => sum + weight(one), 0);
      for (const one of from) {
        left -= weight(one);
        if (left < 0) return one;
      }
      throw new Error('there is nothing to pick from');
    },
    fork: () => chance(Math.floor(next() * 2 ** 32)),
  };
}
