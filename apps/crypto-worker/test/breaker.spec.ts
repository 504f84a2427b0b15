import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { afterFailure, afterPause, afterProbe, type Breaker, closed, type FailureKind, refuses } from '../src/breaker';

const limits = { failures: 3, windowMs: 1_000, probeEveryMs: 500 };
const failing = (breaker: Breaker, kinds: FailureKind[], atMs: number, apartMs = 1) =>
  kinds.reduce((state, kind, n) => afterFailure(state, kind, atMs + n * apartMs, limits), breaker);

test('given two failures, when the third of the token comes within the window, then it opens and a probe is due after the pause', () => {
  const open = failing(closed, ['token', 'token', 'token'], 100);
  expect(open).toEqual({ state: 'open', sinceMs: 102, probeAtMs: 602 });
  expect(refuses(open)).toBe(true);
  expect(afterPause(open, 601)).toBe(open);
  expect(afterPause(open, 602)).toEqual({ state: 'half-open', sinceMs: 102 });
});

test('given an open one, when its probe fails, then it stays open since the same moment; when it passes, requests go on with a clean sheet', () => {
  const asked = afterPause(failing(closed, ['token', 'token', 'token'], 100), 700);
  expect(refuses(asked)).toBe(true);
  expect(afterProbe(asked, false, 710, limits)).toEqual({ state: 'open', sinceMs: 102, probeAtMs: 1_210 });
  expect(afterProbe(asked, true, 710, limits)).toEqual({ state: 'closed', failures: [], trustedUntilMs: 1_210 });
});

test('given failures of which a caller may have caused one, then requests go on until a probe has failed', () => {
  const asked = failing(closed, ['token', 'call', 'token'], 100);
  expect(asked).toEqual({ state: 'half-open' });
  expect(refuses(asked)).toBe(false);
  expect(refuses(afterProbe(asked, false, 103, limits))).toBe(true);
  const trusted = afterProbe(asked, true, 103, limits);
  // Not probed again at the pace of whoever causes them, but soon.
  expect(failing(trusted, ['call', 'call', 'call', 'call'], 104).state).toBe('closed');
  expect(failing(failing(trusted, ['call', 'call', 'call'], 104), ['call'], 603)).toEqual({ state: 'half-open' });
});

const kind = fc.constantFrom<FailureKind>('token', 'call');
const limitsOf = fc.record({
  failures: fc.integer({ min: 1, max: 6 }),
  windowMs: fc.integer({ min: 1, max: 1_000 }),
  probeEveryMs: fc.integer({ min: 1, max: 1_000 }),
});
const steps = fc.array(
  fc.record({ afterMs: fc.integer({ min: 0, max: 400 }), what: fc.oneof(kind, fc.constantFrom('passed', 'failed', 'pause')) }),
  {
    maxLength: 60,
  },
);

test('whatever happens: it refuses only after too many failures within the window, or a failed probe; and only a passed probe ends that', () => {
  fc.assert(
    fc.property(limitsOf, steps, (given, happened) => {
      let breaker = closed;
      let nowMs = 0;
      const failures: number[] = [];
      for (const { afterMs, what } of happened) {
        nowMs += afterMs;
        const before = breaker;
        if (what === 'pause') breaker = afterPause(breaker, nowMs);
        else if (what === 'passed' || what === 'failed') breaker = afterProbe(breaker, what === 'passed', nowMs, given);
        else {
          failures.push(nowMs);
          breaker = afterFailure(breaker, what, nowMs, given);
        }
        const within = failures.filter((atMs) => nowMs - atMs < given.windowMs).length;
        if (!refuses(before) && refuses(breaker)) expect(what === 'failed' || within >= given.failures).toBe(true);
        if (refuses(before) && !refuses(breaker)) expect({ what, state: before.state }).toEqual({ what: 'passed', state: 'half-open' });
        if (breaker.state === 'closed') expect(breaker.failures.length).toBeLessThanOrEqual(given.failures);
        if (breaker.state === 'open') expect(breaker.probeAtMs - nowMs).toBeLessThanOrEqual(given.probeEveryMs);
      }
      // However it got there: once the token is well again, so is it, one probe later.
      const mended = afterProbe(afterPause(breaker, nowMs + given.probeEveryMs), true, nowMs + given.probeEveryMs, given);
      expect(refuses(mended)).toBe(false);
    }),
  );
});

test('failures that are further apart than the window never add up; as many of the token within it always do', () => {
  fc.assert(
    fc.property(limitsOf, fc.array(kind, { minLength: 1, maxLength: 20 }), (given, kinds) => {
      const spread = kinds.reduce(
        (state, k, n) => afterFailure(state, k, n * given.windowMs, { ...given, failures: given.failures + 1 }),
        closed,
      );
      expect(spread.state).toBe('closed');
      const dense = Array.from({ length: given.failures }, () => 7).reduce(
        (state, atMs) => afterFailure(state, 'token', atMs, given),
        closed,
      );
      expect(dense.state).toBe('open');
    }),
  );
});
