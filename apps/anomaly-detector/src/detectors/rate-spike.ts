import type { ObservedUse, Place } from '../observed-use';

export interface RateSpikeSettings {
  /** A second with fewer uses than this is never a spike. */
  minPerSecond: number;
  /** The same while a series is new: what starts has no past to be compared with. */
  startUpPerSecond: number;
  startUpSeconds: number;
  /** How many times what is usual a second may hold. */
  timesExpected: number;
  /** … or how many standard deviations above the mean: series that are bursty by nature are given room. */
  deviations: number;
  /** Half-life of the recent mean. It follows a ramp: one that doubles in less than about a third of this is a spike. */
  recentHalfLifeSeconds: number;
  /** Half-life of the long mean and variance. It remembers yesterday's level through a quiet night. */
  baselineHalfLifeSeconds: number;
  /** A spike is over after this many seconds below half of the limit … */
  calmSeconds: number;
  /** … and the next one of the same series is an alert when this much time has passed since the last alert. */
  cooldownSeconds: number;
}

/** All that is remembered of a series: its size does not grow with what it saw. */
export interface RateSeries {
  /** First and newest second seen (Unix time). */
  since: number;
  second: number;
  /** Uses in the newest second and the ones before it: several workers write, so records arrive a little out of order. */
  open: number[];
  /** Seconds folded into the means. */
  closed: number;
  recent: number;
  mean: number;
  /** Mean of the squares. */
  square: number;
  limit: number;
  spiking: boolean;
  calm: number;
  alertedAt?: number;
  /** The newest records: when the limit is passed, they show it. */
  latest: Place[];
}

export interface RateSpike {
  second: number;
  count: number;
  limit: number;
  /** Recent mean, uses a second. */
  usual: number;
  knownForSeconds: number;
  evidence: Place[];
}

const openSeconds = 4;
const evidenceRecords = 10;

/**
 * One use of a series. Time is the record's, so a replay gives the same. Changes `series` in place (this runs for every record of the system).
 * A record that is later than the open seconds is not counted: `late`.
 */
export function foldRate(series: RateSeries, use: ObservedUse, settings: RateSpikeSettings): RateSpike | 'late' | undefined {
  const second = Math.floor(use.timeMs / 1_000);
  if (second > series.second) advance(series, second, settings);
  const age = series.second - second;
  if (age >= openSeconds) return 'late';
  series.since = Math.min(series.since, second);
  const count = (series.open[age] as number) + 1;
  series.open[age] = count;
  series.latest.push({ streamSeq: use.streamSeq, line: use.line });
  if (series.latest.length > evidenceRecords) series.latest.shift();
  if (count <= series.limit || series.spiking) return undefined;
  if (series.alertedAt !== undefined && second - series.alertedAt < settings.cooldownSeconds) return undefined;
  series.spiking = true;
  series.calm = 0;
  series.alertedAt = second;
  const { limit, recent: usual, latest } = series;
  return { second, count, limit, usual, knownForSeconds: second - series.since, evidence: [...latest] };
}

export const newRateSeries = (timeMs: number, settings: RateSpikeSettings): RateSeries => {
  const second = Math.floor(timeMs / 1_000);
  const open = new Array<number>(openSeconds).fill(0);
  const means = { closed: 0, recent: 0, mean: 0, square: 0 };
  return { since: second, second, open, ...means, limit: settings.startUpPerSecond, spiking: false, calm: 0, latest: [] };
};

/** Closes the seconds that can no longer be counted in, oldest first, and opens `second`. */
function advance(series: RateSeries, second: number, settings: RateSpikeSettings): void {
  const steps = second - series.second;
  for (let step = 0; step < Math.min(steps, openSeconds); step++) {
    const closing = series.second - openSeconds + 1 + step;
    const count = series.open.pop() as number;
    series.open.unshift(0);
    if (closing >= series.since) close(series, count, settings);
  }
  if (steps > openSeconds) closeQuiet(series, steps - openSeconds, settings);
  series.second = second;
  series.limit = limitOf(series, settings);
}

function close(series: RateSeries, count: number, settings: RateSpikeSettings): void {
  calmDown(series, count < limitOf(series, settings) / 2 ? 1 : 0, settings);
  const weight = (halfLifeSeconds: number) => Math.max(1 - keep(halfLifeSeconds), 1 / (series.closed + 1));
  const [recent, baseline] = [weight(settings.recentHalfLifeSeconds), weight(settings.baselineHalfLifeSeconds)];
  series.recent += recent * (count - series.recent);
  series.mean += baseline * (count - series.mean);
  series.square += baseline * (count * count - series.square);
  series.closed++;
}

/** As `close` with 0, `seconds` times, whatever their number. */
function closeQuiet(series: RateSeries, seconds: number, settings: RateSpikeSettings): void {
  calmDown(series, seconds, settings);
  const recent = quietFactor(series.closed, seconds, settings.recentHalfLifeSeconds);
  const baseline = quietFactor(series.closed, seconds, settings.baselineHalfLifeSeconds);
  series.recent *= recent;
  series.mean *= baseline;
  series.square *= baseline;
  series.closed += seconds;
}

function calmDown(series: RateSeries, seconds: number, { calmSeconds }: RateSpikeSettings): void {
  if (!series.spiking) return;
  series.calm = seconds === 0 ? 0 : series.calm + seconds;
  if (series.calm >= calmSeconds) series.spiking = false;
}

/** Share of a mean that one more second leaves of it. */
const keep = (halfLifeSeconds: number) => 2 ** (-1 / halfLifeSeconds);

/**
 * Product of (1 − weight) over seconds of nothing. While a series is younger than its window, the n-th second weighs 1/n (a plain mean, so that the
 * first ones do not stand for the whole), and ∏ (1 − 1/n) telescopes.
 */
function quietFactor(closed: number, seconds: number, halfLifeSeconds: number): number {
  const window = Math.floor(1 / (1 - keep(halfLifeSeconds)));
  const plain = Math.min(seconds, Math.max(0, window - closed));
  return (closed + plain === 0 ? 1 : closed / (closed + plain)) * keep(halfLifeSeconds) ** (seconds - plain);
}

function limitOf({ closed, recent, mean, square }: RateSeries, settings: RateSpikeSettings): number {
  const deviation = Math.sqrt(Math.max(0, square - mean * mean));
  const floor = closed < settings.startUpSeconds ? settings.startUpPerSecond : settings.minPerSecond;
  return Math.max(floor, settings.timesExpected * Math.max(recent, mean), mean + settings.deviations * deviation);
}
