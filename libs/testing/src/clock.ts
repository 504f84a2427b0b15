export interface FakeClock {
  /** Milliseconds since 1970, UTC. Bound: may be passed on as it is. */
  readonly now: () => number;
  advance(ms: number): void;
  set(ms: number): void;
}

/** A clock that stands still until it is moved. */
export function fakeClock(startMs: number = Date.UTC(2030, 0, 1)): FakeClock {
  let current = startMs;
  return {
    now: () => current,
    advance: (ms) => {
      current += ms;
    },
    set: (ms) => {
      current = ms;
    },
  };
}
