import { Detection, type DetectionSettings } from '../src/detection';
import type { ObservedUse } from '../src/observed-use';

export const settings: DetectionSettings = {
  rateSpike: {
    minPerSecond: 200,
    startUpPerSecond: 500,
    startUpSeconds: 60,
    timesExpected: 4,
    deviations: 5,
    recentHalfLifeSeconds: 30,
    baselineHalfLifeSeconds: 86_400,
    calmSeconds: 10,
    cooldownSeconds: 300,
  },
  firstUse: { learningSeconds: 3_600, cooldownSeconds: 60 },
  deletionProbe: { cooldownSeconds: 3_600 },
  quotaRefusals: { refusals: 100, withinSeconds: 60, cooldownSeconds: 3_600 },
  seriesMax: 20_000,
};

export const startMs = Date.parse('2026-11-24T08:00:00.000Z');
export const keyId = (n: number) => `k_${String(n).padStart(22, 'A')}`;

let sequence = 0;
/** One use; `atMs` counts from `startMs`. */
export const use = (atMs: number, more: Partial<ObservedUse> = {}): ObservedUse => ({
  streamSeq: Math.floor(sequence / 10) + 1,
  line: sequence++ % 10,
  recordId: `r${sequence}`,
  timeMs: startMs + atMs,
  principal: 'payments-api',
  action: 'crypto:Encrypt',
  outcome: 'success',
  ...more,
});

/** `perSecond(t)` uses in each second t of a span, evenly spread; a fraction carries over to the next second. */
export function* load(
  fromSecond: number,
  toSecond: number,
  perSecond: (t: number) => number,
  more: Partial<ObservedUse> = {},
): Generator<ObservedUse> {
  let owed = 0;
  for (let t = fromSecond; t < toSecond; t++) {
    owed += perSecond(t);
    const now = Math.floor(owed);
    owed -= now;
    for (let n = 0; n < now; n++) yield use(t * 1_000 + Math.floor((n * 1_000) / now), more);
  }
}

export const alertsOf = (uses: Iterable<ObservedUse>, detection = new Detection(settings)) => [...uses].flatMap((u) => detection.fold(u));
