import { metrics } from '@opentelemetry/api';
import type { BundleKeeper } from './bundle-keeper';
import type { PersonalValues } from './personal-values';
import type { Sessions } from './sessions';

/** Prometheus, beside what every service has and claviger_callout_seconds{outcome}: claviger_store_ok, claviger_sessions, claviger_personal_values_waiting. */
export function observePolicy(bundles: BundleKeeper, sessions: Sessions, personal: PersonalValues): void {
  const meter = metrics.getMeter('claviger');
  const gauge = (name: string, description: string, read: () => number) =>
    meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(read()));
  gauge('claviger_store_ok', '1 while the stored bundle is the signed one', () => (bundles.trouble === undefined ? 1 : 0));
  gauge('claviger_sessions', 'Sessions that are neither revoked nor over', () => sessions.live().length);
  gauge('claviger_personal_values_waiting', 'Clear values that audit has not taken yet', () => personal.backlog);
}
