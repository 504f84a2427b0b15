import { metrics } from '@opentelemetry/api';
import type { Watched } from './health';
import type { PersonalValues } from './personal-values';
import type { Sessions } from './sessions';

/**
 * Prometheus: claviger_requests_seconds{operation,code}, claviger_callout_seconds{outcome} (callout.ts), claviger_audit_ack_seconds,
 * claviger_audit_failures, claviger_view_fresh{view}, claviger_store_ok, claviger_sessions, claviger_personal_values_waiting.
 */
export function observePolicy({
  server,
  trail,
  views,
  bundles,
  sessions,
  personal,
}: Watched & { sessions: Sessions; personal: PersonalValues }): void {
  const meter = metrics.getMeter('claviger');
  const advice = { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] };
  const requests = meter.createHistogram('claviger_requests_seconds', { description: 'Time from taking a request to its reply', advice });
  server.observe = (operation, code, seconds) => requests.record(seconds, { operation, code });
  const ack = meter.createHistogram('claviger_audit_ack_seconds', {
    description: 'Time until the broker has fsynced an audit message',
    advice,
  });
  const failures = meter.createCounter('claviger_audit_failures', { description: 'Publish attempts of audit messages that failed' });
  trail.commit.observe = (_records, seconds, error) => (error === undefined ? ack.record(seconds) : failures.add(1));
  const gauge = (name: string, description: string, read: () => number) =>
    meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(read()));
  gauge('claviger_store_ok', '1 while the stored bundle is the signed one', () => (bundles.trouble === undefined ? 1 : 0));
  gauge('claviger_sessions', 'Sessions that are neither revoked nor over', () => sessions.live().length);
  gauge('claviger_personal_values_waiting', 'Clear values that audit has not taken yet', () => personal.backlog);
  meter.createObservableGauge('claviger_view_fresh', { description: '1 while the view is proven current' }).addCallback((result) => {
    for (const [view, held] of Object.entries(views)) result.observe(held.fresh() ? 1 : 0, { view });
  });
}
