import { commonConfiguration, storeConfiguration, tokenConfiguration } from '@claviger/operability';
import { z } from 'zod';
import type { DetectionSettings } from './detection';

const whole = (min: number, max: number, preset: number) =>
  z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`)
    .default(preset);
const year = 31_536_000;

export const Config = z.object({
  ...commonConfiguration,
  ...tokenConfiguration,
  ...storeConfiguration('claviger_anomaly'),
  RATE_SPIKE_MIN_PER_SECOND: whole(1, 1_000_000, 200),
  RATE_SPIKE_START_UP_PER_SECOND: whole(1, 1_000_000, 500),
  RATE_SPIKE_START_UP_SECONDS: whole(0, year, 60),
  RATE_SPIKE_TIMES_EXPECTED: z.coerce
    .number('must be a number')
    .min(1.5, 'must be at least 1.5')
    .max(1_000, 'must be at most 1000')
    .default(4),
  RATE_SPIKE_DEVIATIONS: z.coerce.number('must be a number').min(1, 'must be at least 1').max(1_000, 'must be at most 1000').default(5),
  RATE_SPIKE_RECENT_HALF_LIFE_SECONDS: whole(5, year, 30),
  RATE_SPIKE_BASELINE_HALF_LIFE_SECONDS: whole(60, year, 86_400),
  RATE_SPIKE_CALM_SECONDS: whole(1, 86_400, 10),
  RATE_SPIKE_COOLDOWN_SECONDS: whole(0, year, 300),
  FIRST_USE_LEARNING_SECONDS: whole(0, year, 3_600),
  FIRST_USE_COOLDOWN_SECONDS: whole(0, year, 60),
  DELETION_PROBE_COOLDOWN_SECONDS: whole(0, year, 3_600),
  QUOTA_REFUSALS_BURST: whole(1, 1_000_000, 100),
  QUOTA_REFUSALS_WITHIN_SECONDS: whole(1, 86_400, 60),
  QUOTA_REFUSALS_COOLDOWN_SECONDS: whole(0, year, 3_600),
  SERIES_MAX: whole(100, 1_000_000, 20_000),
  SNAPSHOT_SECONDS: whole(1, 3_600, 10),
});
export type Config = z.output<typeof Config>;

export const detectionSettings = (config: Config): DetectionSettings => ({
  rateSpike: {
    minPerSecond: config.RATE_SPIKE_MIN_PER_SECOND,
    startUpPerSecond: config.RATE_SPIKE_START_UP_PER_SECOND,
    startUpSeconds: config.RATE_SPIKE_START_UP_SECONDS,
    timesExpected: config.RATE_SPIKE_TIMES_EXPECTED,
    deviations: config.RATE_SPIKE_DEVIATIONS,
    recentHalfLifeSeconds: config.RATE_SPIKE_RECENT_HALF_LIFE_SECONDS,
    baselineHalfLifeSeconds: config.RATE_SPIKE_BASELINE_HALF_LIFE_SECONDS,
    calmSeconds: config.RATE_SPIKE_CALM_SECONDS,
    cooldownSeconds: config.RATE_SPIKE_COOLDOWN_SECONDS,
  },
  firstUse: { learningSeconds: config.FIRST_USE_LEARNING_SECONDS, cooldownSeconds: config.FIRST_USE_COOLDOWN_SECONDS },
  deletionProbe: { cooldownSeconds: config.DELETION_PROBE_COOLDOWN_SECONDS },
  quotaRefusals: {
    refusals: config.QUOTA_REFUSALS_BURST,
    withinSeconds: config.QUOTA_REFUSALS_WITHIN_SECONDS,
    cooldownSeconds: config.QUOTA_REFUSALS_COOLDOWN_SECONDS,
  },
  seriesMax: config.SERIES_MAX,
});
