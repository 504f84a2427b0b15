import { Alert } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { Detection } from '../src/detection';
import { foldRate, newRateSeries } from '../src/detectors/rate-spike';
import { alertsOf, keyId, load, settings, startMs, use } from './series-of-uses';

const hour = 3_600;

test('given a handful of uses, when thousands come within two seconds, then there is one alert within the first of them', () => {
  const detection = new Detection(settings);
  expect(
    alertsOf(
      load(0, 20, () => 0.3),
      detection,
    ),
  ).toEqual([]);
  const burst = [...load(20, 22, () => 1_500)];
  const raised = burst.flatMap((u, n) => detection.fold(u).map((alert) => ({ alert, n })));
  expect(raised).toHaveLength(1);
  expect(raised[0]?.n).toBe(500);
  expect(raised[0]?.alert).toMatchObject({ detector: 'rate-spike-principal', severity: 'high', principal: 'payments-api', status: 'open' });
});

test('a spike of one key is told by the key, whoever causes it', () => {
  const uses = Array.from({ length: 2_000 }, (_, n) => use(n / 2, { principal: `app-${n % 20}`, keyId: keyId(1) }));
  expect(alertsOf(uses)).toMatchObject([{ detector: 'rate-spike-key', keyId: keyId(1) }]);
});

test('an alert says what was expected, what was seen, and which records show it', () => {
  const [alert] = alertsOf([...load(0, 120, () => 2), ...load(120, 122, () => 1_000)]);
  expect(Alert.parse(alert)).toEqual(alert);
  expect(alert?.expected).toMatch(/^at most 200 a second: the recent mean is 2\.0 a second, seen for 2 minutes$/);
  expect(alert?.seen).toContain('201 in the second 2026-11-24T08:02:00.000Z');
  expect(alert?.explanation).toContain('payments-api');
  expect(alert?.evidence).toHaveLength(10);
  expect(alert?.firstSeen).toBe('2026-11-24T08:02:00.000Z');
});

test.each([
  ['steady load', load(0, 600, () => 150)],
  ['steady heavy load', load(0, 120, () => 480)],
  ['a start-up that goes on at once', load(0, 200, () => 300)],
  ['a start-up after a while of nothing', [...load(0, 200, () => 300), ...load(1_200, 1_300, () => 300)]],
  ['a slow ramp from nothing', load(0, 200, (t) => 2.5 * t)],
  [
    'a slow ramp of a series that was idle for hours',
    [...load(0, 5, () => 1), ...load(4 * hour, 4 * hour + 120, (t) => 5 * (t - 4 * hour))],
  ],
  ['a doubling every half minute', load(0, 240, (t) => 5 * 2 ** (t / 30))],
  ['a diurnal curve', load(0, 800, (t) => 150 + 145 * Math.sin(t / 64))],
  ['a level with every other second empty', load(0, 200, (t) => (t % 2 === 0 ? 400 : 0))],
  ['a stall of two seconds and what it held back', load(0, 200, (t) => ([40, 41].includes(t % 60) ? 0 : t % 60 === 42 ? 900 : 300))],
])('%s raises nothing', (_what, uses) => {
  expect(alertsOf(uses)).toEqual([]);
});

test('one spike is one alert, however long it lasts; after it was calm and the cooldown is over, the next one is another', () => {
  const quiet = (from: number, to: number) => load(from, to, () => 1);
  const spike = (from: number, seconds: number, perSecond: number) => load(from, from + seconds, () => perSecond);
  const long = [...quiet(0, 120), ...spike(120, 30, 1_000), ...quiet(150, 170), ...spike(170, 5, 1_500), ...quiet(175, hour)];
  const detection = new Detection(settings);
  expect(alertsOf(long, detection)).toHaveLength(1);
  expect(alertsOf(spike(2 * hour, 3, 5_000), detection)).toHaveLength(1);
});

test('a load that stays becomes the new normal, and from there the next spike is seen again', () => {
  const detection = new Detection({ ...settings, rateSpike: { ...settings.rateSpike, cooldownSeconds: 60 } });
  expect(alertsOf([...load(0, 120, () => 1), ...load(120, 240, () => 1_000)], detection)).toHaveLength(1);
  expect(
    alertsOf(
      load(240, 242, () => 8_000),
      detection,
    ),
  ).toHaveLength(1);
});

test('records of several workers arrive a little out of order: each is counted in its own second, one that is too late in none', () => {
  const series = newRateSeries(startMs + 10_000, settings.rateSpike);
  foldRate(series, use(10_000), settings.rateSpike);
  foldRate(series, use(12_000), settings.rateSpike);
  expect(foldRate(series, use(9_500), settings.rateSpike)).toBeUndefined();
  expect(foldRate(series, use(10_900), settings.rateSpike)).toBeUndefined();
  expect(series.open).toEqual([1, 0, 2, 1]);
  expect(foldRate(series, use(8_000), settings.rateSpike)).toBe('late');
});

test('seconds of nothing folded at once are the same as one by one', () => {
  for (const gap of [1, 3, 4, 5, 7, 40, 90, 5_000]) {
    const [jumped, walked] = [newRateSeries(startMs, settings.rateSpike), newRateSeries(startMs, settings.rateSpike)];
    const busy = [...load(0, 20, (t) => 20 + t)];
    for (const series of [jumped, walked]) for (const u of busy) foldRate(series, u, settings.rateSpike);
    // A use that is taken back right away only makes time go on.
    for (let t = 20; t < 20 + gap; t++) {
      foldRate(walked, use(t * 1_000), settings.rateSpike);
      walked.open[0] = 0;
    }
    foldRate(walked, use((20 + gap) * 1_000), settings.rateSpike);
    foldRate(jumped, use((20 + gap) * 1_000), settings.rateSpike);
    expect(jumped.closed).toBe(walked.closed);
    for (const mean of ['recent', 'mean', 'square'] as const) expect(jumped[mean]).toBeCloseTo(walked[mean], 6);
  }
});

test('refused attempts count too, but only a use that succeeded begins the series of a key', () => {
  const guess = Array.from({ length: 400 }, (_, n) => use(n, { keyId: keyId(n), outcome: 'failed' }));
  const detection = new Detection(settings);
  alertsOf(guess, detection);
  expect(detection.series()).toEqual({ principals: 1, keys: 0 });
  const denied = [...load(0, 1, () => 1, { keyId: keyId(1) }), ...load(1, 3, () => 900, { keyId: keyId(1), outcome: 'denied' })];
  expect(alertsOf(denied).map((a) => a.detector)).toEqual(['rate-spike-principal', 'rate-spike-key']);
});
