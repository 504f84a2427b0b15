import { metrics } from '@opentelemetry/api';
import type { LifecycleParts } from './health';

/** Prometheus: claviger_requests_seconds{operation,code}, claviger_audit_ack_seconds, claviger_view_fresh{view}. */
export function observeLifecycle({ server, trail, views }: LifecycleParts): void {
  const meter = metrics.getMeter('claviger');
  const requests = meter.createHistogram('claviger_requests_seconds', { description: 'Time from taking a request to its reply' });
  server.observe = (operation, code, seconds) => requests.record(seconds, { operation, code });
  const ack = meter.createHistogram('claviger_audit_ack_seconds', { description: 'Time until the broker has fsynced an audit message' });
  const failures = meter.createCounter('claviger_audit_failures', { description: 'Publish attempts of audit messages that failed' });
  trail.commit.observe = (_records, seconds, error) => (error === undefined ? ack.record(seconds) : failures.add(1));
  meter.createObservableGauge('claviger_view_fresh', { description: '1 while the view is proven current' }).addCallback((result) => {
    for (const [view, { fresh }] of Object.entries(views)) result.observe(fresh.call(views[view]) ? 1 : 0, { view });
  });
}
