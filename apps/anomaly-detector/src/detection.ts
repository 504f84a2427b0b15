import { type Alert } from '@claviger/contracts';
import { LRUCache } from 'lru-cache';
import { identified } from './alert-id';
import { type Alerted, foldedUntil } from './detectors/cooldown';
import { type DeletionProbeSettings, isDeletionProbe } from './detectors/deletion-probe';
import { type FirstUseSettings, foldFirstUse, isKeyUse, isNewUser, type KeyUsers, newKeyUsers } from './detectors/first-use';
import {
  foldQuotaRefusal,
  isRefusedByQuota,
  newQuotaRefusals,
  noteQuota,
  type QuotaFound,
  type QuotaRefusalSettings,
  type QuotaRefusals,
} from './detectors/quota-refusals';
import { foldRate, newRateSeries, type RateSeries, type RateSpikeSettings } from './detectors/rate-spike';
import { deletionProbeAlert, firstUseAlert, quotaBurstAlert, rateAlert } from './explain';
import type { ObservedUse } from './observed-use';

export interface DetectionSettings {
  rateSpike: RateSpikeSettings;
  firstUse: FirstUseSettings;
  deletionProbe: DeletionProbeSettings;
  quotaRefusals: QuotaRefusalSettings;
  /** Most principals, and most keys, that are remembered; beyond it the ones unused for longest are forgotten and learnt anew. */
  seriesMax: number;
}

type Entries<T> = [string, T][];
/** All baselines, as plain JSON: the least recently used first. */
export interface DetectionState {
  principalRates: Entries<RateSeries>;
  keyRates: Entries<RateSeries>;
  keyUsers: Entries<KeyUsers>;
  firstUsers: Entries<Alerted>;
  wantedKeys?: Entries<Alerted>;
  quotaRefusals?: Entries<QuotaRefusals>;
  /** Ids of `committed` records. */
  committed?: Entries<true>;
}

/** A `committed` record may be there again, under the same id: so many are known to have been counted. */
const committedMax = 10_000;
const never = Number.MIN_SAFE_INTEGER;

/** All detectors over one stream of uses. A pure fold: the same uses in the same order give the same alerts, however they were cut into batches. */
export class Detection {
  private readonly principalRates: LRUCache<string, RateSeries>;
  private readonly keyRates: LRUCache<string, RateSeries>;
  private readonly keyUsers: LRUCache<string, KeyUsers>;
  private readonly firstUsers: LRUCache<string, Alerted>;
  private readonly wantedKeys: LRUCache<string, Alerted>;
  private readonly quotaRefusals: LRUCache<string, QuotaRefusals>;
  private readonly committed: LRUCache<string, true>;
  /** Records whose time was over by the time they came. */
  late = 0;

  constructor(
    private readonly settings: DetectionSettings,
    state?: DetectionState,
  ) {
    this.principalRates = load(settings.seriesMax, state?.principalRates);
    this.keyRates = load(settings.seriesMax, state?.keyRates);
    this.keyUsers = load(settings.seriesMax, state?.keyUsers);
    this.firstUsers = load(settings.seriesMax, state?.firstUsers);
    this.wantedKeys = load(settings.seriesMax, state?.wantedKeys);
    this.quotaRefusals = load(settings.seriesMax, state?.quotaRefusals);
    this.committed = load(committedMax, state?.committed);
  }

  fold(use: ObservedUse): Alert[] {
    const alerts: Alert[] = [];
    if (use.committed) {
      if (this.committed.has(use.recordId)) return alerts;
      this.committed.set(use.recordId, true);
    }
    // Who asks is admitted by the broker, so every request counts.
    this.rate(alerts, 'rate-spike-principal', this.principalRates, use.principal, true, use);
    // A key id is what the caller says: only a use that succeeded shows that there is such a key, so guessing ids cannot push real keys out.
    if (use.keyId !== undefined) this.rate(alerts, 'rate-spike-key', this.keyRates, use.keyId, use.outcome === 'success', use);
    if (isKeyUse(use)) this.firstUse(alerts, use);
    if (isDeletionProbe(use)) this.deletionProbe(alerts, use);
    if (isRefusedByQuota(use)) this.quotaRefused(alerts, use);
    return alerts;
  }

  /** A quota tells that it is used up, and by whom: for what is said of the refusals that follow. */
  usedUp({ record }: QuotaFound): void {
    if (record.event === 'exceeded' && record.principal !== undefined) noteQuota(this.refusedByQuota(record.principal), record);
  }

  series(): Record<'principals' | 'keys', number> {
    return { principals: this.principalRates.size, keys: this.keyRates.size };
  }

  state(): DetectionState {
    return {
      principalRates: dump(this.principalRates),
      keyRates: dump(this.keyRates),
      keyUsers: dump(this.keyUsers),
      firstUsers: dump(this.firstUsers),
      wantedKeys: dump(this.wantedKeys),
      quotaRefusals: dump(this.quotaRefusals),
      committed: dump(this.committed),
    };
  }

  private rate(
    alerts: Alert[],
    detector: 'rate-spike-principal' | 'rate-spike-key',
    all: LRUCache<string, RateSeries>,
    id: string,
    begins: boolean,
    use: ObservedUse,
  ): void {
    const { rateSpike } = this.settings;
    let series = all.get(id);
    if (!series) {
      if (!begins) return;
      series = newRateSeries(use.timeMs, rateSpike);
      all.set(id, series);
    }
    const found = foldRate(series, use, rateSpike);
    if (found === 'late') this.late++;
    else if (found) alerts.push(identified(rateAlert(detector, found, use), use.recordId));
  }

  private firstUse(alerts: Alert[], use: ObservedUse & { keyId: string }): void {
    let key = this.keyUsers.get(use.keyId);
    if (!key) {
      key = newKeyUsers(use.timeMs);
      this.keyUsers.set(use.keyId, key);
    }
    if (!isNewUser(key, use)) return;
    const user = this.firstUsers.get(use.principal) ?? { alertedAt: never, folded: 0 };
    const found = foldFirstUse(key, user, use, this.settings.firstUse);
    if (user.alertedAt !== never) this.firstUsers.set(use.principal, user);
    if (found) alerts.push(identified(firstUseAlert(found, use), use.recordId));
  }

  private deletionProbe(alerts: Alert[], use: ObservedUse & { keyId: string }): void {
    const key = this.wantedKeys.get(use.keyId) ?? { alertedAt: never, folded: 0 };
    this.wantedKeys.set(use.keyId, key);
    const folded = foldedUntil(key, Math.floor(use.timeMs / 1_000), this.settings.deletionProbe.cooldownSeconds);
    if (folded !== undefined) alerts.push(identified(deletionProbeAlert(folded, use), use.recordId));
  }

  private quotaRefused(alerts: Alert[], use: ObservedUse): void {
    const burst = foldQuotaRefusal(this.refusedByQuota(use.principal), use, this.settings.quotaRefusals);
    if (burst) alerts.push(identified(quotaBurstAlert(burst, use), use.recordId));
  }

  private refusedByQuota(principal: string): QuotaRefusals {
    const series = this.quotaRefusals.get(principal) ?? newQuotaRefusals();
    this.quotaRefusals.set(principal, series);
    return series;
  }
}

function load<T extends object | true>(max: number, entries: Entries<T> = []): LRUCache<string, T> {
  const cache = new LRUCache<string, T>({ max });
  for (const [id, value] of entries) cache.set(id, value);
  return cache;
}

const dump = <T extends object | true>(cache: LRUCache<string, T>): Entries<T> => [...cache.rentries()] as Entries<T>;
