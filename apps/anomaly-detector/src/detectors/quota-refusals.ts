import { type Alert, QuotaRecord } from '@claviger/contracts';
import type { ObservedUse, Place } from '../observed-use';

export interface QuotaRefusalSettings {
  /** So many operations of one principal that quotas refused … */
  refusals: number;
  /** … in this time are a burst. */
  withinSeconds: number;
  /** At most one alert a principal in this time; the bursts between are counted and told with the next. */
  cooldownSeconds: number;
}

/** All that is remembered of a principal that quotas refused. */
export interface QuotaRefusals {
  /** Second (Unix time) of the first refusal that is counted. */
  since: number;
  count: number;
  /** Newest quotas that told that this principal used them up. */
  quotas: string[];
  latest: Place[];
  alertedAt?: number;
  /** Bursts since that alert. */
  folded: number;
}

export interface QuotaBurst {
  since: number;
  count: number;
  folded: number;
  quotas: readonly string[];
  evidence: Place[];
}

export interface QuotaFound extends Place {
  record: QuotaRecord;
}

const quotasRemembered = 5;
const evidenceRecords = 10;

/** A request that was refused since a quota was used up: whoever goes on does not wait as it was told to. */
export const isRefusedByQuota = ({ code }: ObservedUse): boolean => code === 'ERR_QUOTA_EXCEEDED';

export const newQuotaRefusals = (): QuotaRefusals => ({ since: 0, count: 0, quotas: [], latest: [], folded: 0 });

/** One refused request more. Time is the record's, so a replay gives the same. Changes `series` in place. */
export function foldQuotaRefusal(series: QuotaRefusals, use: ObservedUse, settings: QuotaRefusalSettings): QuotaBurst | undefined {
  const second = Math.floor(use.timeMs / 1_000);
  if (series.count === 0 || second - series.since >= settings.withinSeconds) {
    series.since = second;
    series.count = 0;
    series.latest = [];
  }
  series.count++;
  series.latest.push({ streamSeq: use.streamSeq, line: use.line });
  if (series.latest.length > evidenceRecords) series.latest.shift();
  if (series.count < settings.refusals) return undefined;
  const { since, count, latest, quotas, folded } = series;
  series.count = 0;
  if (series.alertedAt !== undefined && second - series.alertedAt < settings.cooldownSeconds) {
    series.folded++;
    return undefined;
  }
  series.alertedAt = second;
  series.folded = 0;
  return { since, count, folded, quotas: [...quotas], evidence: latest };
}

/** Which quota it was. Changes `series` in place. */
export function noteQuota(series: QuotaRefusals, { quota, limit, window }: QuotaRecord): void {
  const name = `${quota} (${limit}${window === undefined ? '' : ` a ${window}`})`;
  series.quotas = [name, ...series.quotas.filter((one) => one !== name)].slice(0, quotasRemembered);
}

/** What a service recorded of a quota, out of a line of AUDIT; undefined for one that no service writes. */
export function readQuotaRecord(line: Record<string, unknown>, place: Place): QuotaFound | undefined {
  const { success, data: record } = QuotaRecord.safeParse(line);
  return success ? { ...place, record } : undefined;
}

/** A counter that is lower than it was. Undefined for a quota that is used up: that is what it is for, and a burst of refusals is another matter. */
export function quotaPutBackAlert({ record, streamSeq, line }: QuotaFound): Omit<Alert, 'alertId' | 'status'> | undefined {
  const { event, time, principal, window } = record;
  if (event !== 'put-back') return undefined;
  const quota = record.quota.slice(0, 100);
  const holder = record.holder.slice(0, 100);
  return {
    ...{ detector: 'quota-put-back', severity: 'high', title: `The counter of ${quota} was put back` },
    explanation: `${holder} saw that less of ${quota} was counted than before, so more could have been let through than its limit of ${record.limit}. It lets nothing more of it through ${window === undefined ? 'until it starts again' : `until the ${window} ends`}. A broker was restored, or somebody had access to it.`,
    expected: 'A counter that only grows.',
    seen: `a lower one, by ${holder}`,
    ...(principal === undefined ? {} : { principal }),
    ...{ firstSeen: time, lastSeen: time, evidence: [{ streamSeq, line }] },
  };
}

/** Every process that counts records it: of one counter there is one alert a day. */
export const quotaPutBackCause = ({ record: { quota, principal, keyId, time } }: QuotaFound): string =>
  ['quota-put-back', quota, principal ?? '', keyId ?? '', time.slice(0, 10)].join('\n');
