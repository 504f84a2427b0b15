import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Detection, type DetectionSettings } from '../src/detection';
import type { ObservedUse } from '../src/observed-use';
import { decodeState, encodeState } from '../src/snapshot';
import { alertsOf, keyId, settings, startMs } from './series-of-uses';

/** Small numbers, so that random traffic reaches every branch. */
const touchy: DetectionSettings = {
  rateSpike: {
    ...settings.rateSpike,
    minPerSecond: 2,
    startUpPerSecond: 3,
    startUpSeconds: 5,
    timesExpected: 1.5,
    deviations: 1,
    calmSeconds: 2,
    cooldownSeconds: 3,
  },
  firstUse: { learningSeconds: 2, cooldownSeconds: 3 },
  deletionProbe: { cooldownSeconds: 3 },
  quotaRefusals: { refusals: 2, withinSeconds: 3, cooldownSeconds: 3 },
  seriesMax: 5,
};

const traffic = fc
  .array(
    fc.record({
      stepMs: fc.integer({ min: -3_000, max: 6_000 }),
      principal: fc.integer({ min: 0, max: 7 }),
      key: fc.option(fc.integer({ min: 0, max: 7 })),
      outcome: fc.constantFrom<ObservedUse['outcome'][]>('success', 'success', 'success', 'denied', 'failed'),
      code: fc.constantFrom(undefined, 'ERR_KEY_PENDING_DELETION', 'ERR_QUOTA_EXCEEDED'),
      repeat: fc.integer({ min: 1, max: 8 }),
    }),
    { maxLength: 120 },
  )
  .map((steps) => {
    let timeMs = startMs;
    const uses: ObservedUse[] = [];
    for (const { stepMs, principal, key, outcome, code, repeat } of steps) {
      timeMs += stepMs;
      for (let n = 0; n < repeat; n++)
        uses.push({
          streamSeq: uses.length + 1,
          line: n,
          recordId: `r${uses.length}`,
          timeMs,
          principal: `p-${principal}`,
          ...(key === null ? {} : { keyId: keyId(key) }),
          action: 'crypto:Decrypt',
          outcome,
          ...(outcome === 'success' ? {} : { code }),
        });
    }
    return uses;
  });

test('however the uses are cut, and whatever the process restarts between the cuts, the alerts and the baselines are the same', () => {
  let raised = 0;
  fc.assert(
    fc.property(traffic, fc.array(fc.nat(400), { maxLength: 6 }), (uses, cuts) => {
      const whole = new Detection(touchy);
      const expected = alertsOf(uses, whole);
      let detection = new Detection(touchy);
      const alerts = [];
      let from = 0;
      for (const to of [...cuts.filter((c) => c < uses.length).sort((a, b) => a - b), uses.length]) {
        alerts.push(...alertsOf(uses.slice(from, to), detection));
        const { parts, sha256 } = encodeState(detection.state(), 100);
        detection = new Detection(touchy, decodeState(parts, sha256));
        from = to;
      }
      raised += alerts.length;
      expect(alerts).toEqual(expected);
      expect(encodeState(detection.state()).sha256).toBe(encodeState(whole.state()).sha256);
    }),
    { numRuns: 300 },
  );
  expect(raised).toBeGreaterThan(0);
});

test('alert ids are never the same for two detections, and always the same for one', () => {
  fc.assert(
    fc.property(traffic, (uses) => {
      const ids = alertsOf(uses, new Detection(touchy)).map((a) => a.alertId);
      expect(new Set(ids).size).toBe(ids.length);
      expect(alertsOf(uses, new Detection(touchy)).map((a) => a.alertId)).toEqual(ids);
    }),
  );
});

test('memory does not grow with traffic: neither by series nor within one', () => {
  fc.assert(
    fc.property(traffic, (uses) => {
      const detection = new Detection(touchy);
      alertsOf(uses, detection);
      const state = detection.state();
      for (const all of Object.values(state)) expect(all.length).toBeLessThanOrEqual(touchy.seriesMax);
      for (const [, series] of [...state.principalRates, ...state.keyRates]) {
        expect(series.open).toHaveLength(4);
        expect(series.latest.length).toBeLessThanOrEqual(10);
      }
    }),
  );
});

test('a state that is not whole is refused', () => {
  const { parts, sha256 } = encodeState(new Detection(settings).state(), 20);
  expect(parts.length).toBeGreaterThan(1);
  expect(decodeState(parts.slice(1), sha256)).toBeUndefined();
  expect(decodeState(parts, sha256)).toEqual(new Detection(settings).state());
});

test('a change that was recorded afterwards, and put there again ten thousand times, is one use, also after a restart', () => {
  const use = (n: number): ObservedUse => ({
    streamSeq: n + 1,
    line: 0,
    recordId: 'i.1.committed',
    committed: true,
    timeMs: startMs + n * 10,
    principal: 'kim',
    action: 'keys:Suspend',
    outcome: 'success',
  });
  const once = new Detection(touchy);
  once.fold(use(0));
  let often = new Detection(touchy);
  for (let n = 0; n < 10_000; n++) {
    expect(often.fold(use(n))).toEqual([]);
    if (n % 5_000 !== 0) continue;
    const { parts, sha256 } = encodeState(often.state());
    often = new Detection(touchy, decodeState(parts, sha256));
  }
  expect(often.state()).toEqual(once.state());
});
