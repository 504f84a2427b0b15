import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Allowance, drawSize, drew, giveBack, isExhausted, learnReturned, left, newAllowance, take } from '../src/index';

/** Two counters, and processes that are asked, ask, hear late, give back, crash and start again, in any order. */
class World {
  drawn = 0;
  returned = 0;
  used = 0;
  limit: number;
  readonly processes: { allowance: Allowance; asking?: { count: number; value: number; returned: number } | undefined; back: number }[];

  constructor(limit: number, count: number) {
    this.limit = limit;
    this.processes = Array.from({ length: count }, () => ({ allowance: newAllowance(), back: 0 }));
  }
  use(i: number): boolean {
    const ok = take(this.processes[i]!.allowance, this.limit) !== undefined;
    if (ok) this.used++;
    return ok;
  }
  ask(i: number, wait = 1): void {
    const p = this.processes[i]!;
    if (p.asking || isExhausted(p.allowance, this.limit)) return;
    const count = drawSize(p.allowance, this.limit, { workers: this.processes.length, wait, nowMs: this.drawn });
    this.drawn += count;
    p.asking = { count, value: this.drawn, returned: p.allowance.returned };
  }
  hear(i: number): void {
    const p = this.processes[i]!;
    if (p.asking) expect(drew(p.allowance, { ...p.asking, nowMs: this.drawn }, this.limit)).toBe(true);
    p.asking = undefined;
  }
  release(i: number): void {
    this.processes[i]!.back += giveBack(this.processes[i]!.allowance);
  }
  tell(i: number): void {
    this.returned += this.processes[i]!.back;
    this.processes[i]!.back = 0;
  }
  learn(i: number): void {
    learnReturned(this.processes[i]!.allowance, this.returned);
  }
  crash(i: number): void {
    this.processes[i] = { allowance: newAllowance(), back: 0 };
  }
}
const acts = ['use', 'ask', 'hear', 'release', 'tell', 'learn', 'crash'] as const;

test('never more than the limit is let through, in whatever order processes draw, hear of it, give back, crash and learn', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.tuple(fc.constantFrom(...acts, 'use', 'ask', 'hear'), fc.nat(3)), { maxLength: 400 }),
      (limit, count, steps) => {
        const world = new World(limit, count);
        for (const [act, i] of steps) world[act as (typeof acts)[number]](i % count);
        for (let i = 0; i < count; i++) while (world.use(i));
        expect(world.used).toBeLessThanOrEqual(limit);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('nor when the limit is lowered meanwhile: what was drawn above it is of no use any more', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 100 }),
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.nat(2), { maxLength: 200 }),
      (before, after, steps) => {
        const world = new World(before, 3);
        for (const i of steps) {
          if (world.use(i)) continue;
          world.ask(i);
          world.hear(i);
        }
        const usedBefore = world.used;
        world.limit = Math.min(before, after);
        for (let round = 0; round < 300; round++) {
          world.ask(round % 3);
          world.hear(round % 3);
          world.use(round % 3);
        }
        expect(world.used).toBeLessThanOrEqual(Math.max(usedBefore, world.limit));
      },
    ),
  );
});

test('all of it is usable where every process goes on until it is refused, and nearly all where one of them falls silent halfway', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 800 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 0x7fffffff }),
      (limit, count, seed) => {
        let state = seed;
        const random = (n: number) => {
          state = (Math.imul(state, 48_271) >>> 0) % 0x7fffffff || 1;
          return state % n;
        };
        const world = new World(limit, count);
        const serve = (i: number): boolean => {
          if (world.use(i)) return true;
          world.learn(i);
          world.ask(i);
          world.hear(i);
          return world.use(i);
        };
        // Requests go to any process; the last one hears of none any more from halfway on.
        for (let n = 0; n < limit * 3 + 10; n++) serve(random(world.used > limit / 2 && count > 1 ? count - 1 : count));
        expect(world.used).toBeLessThanOrEqual(limit);
        expect(limit - world.used).toBeLessThanOrEqual(count > 1 ? Math.ceil(limit / (4 * count)) + 1 : 0);
        // What is held is given back in the end, and then not one is lost.
        for (let i = 0; i < count; i++) {
          world.release(i);
          world.tell(i);
        }
        for (let n = 0; n < limit * 2 + 10; n++) serve(random(count));
        expect(world.used).toBe(limit);
      },
    ),
    { numRuns: 100 },
  );
});

test('a counter that was put back is noticed, and nothing is drawn from it', () => {
  const allowance = newAllowance();
  expect(drew(allowance, { count: 5, value: 50, returned: 0, nowMs: 0 }, 100)).toBe(true);
  expect(drew(allowance, { count: 5, value: 45, returned: 0, nowMs: 1 }, 100)).toBe(false);
  expect(left(allowance, 100)).toBe(5);
});

test('blocks grow with what is used, and shrink towards the limit', () => {
  const fast = { ...newAllowance(100), drawnAtMs: 0 };
  expect(drawSize(fast, 1_000_000, { workers: 2, wait: 0, nowMs: 10 })).toBe(400);
  expect(drawSize(fast, 1_000_000, { workers: 2, wait: 900, nowMs: 1_000 })).toBe(900);
  expect(drawSize(fast, 1_000_000, { workers: 2, wait: 0, nowMs: 1_000 })).toBe(10);
  expect(drawSize({ ...fast, drawn: 960 }, 1_000, { workers: 2, wait: 900, nowMs: 1_000 })).toBe(5);
});
