import { metrics } from '@opentelemetry/api';
import type { WorkerParts } from './health';
import type { KeyHolder } from './key-holder';

/** Prometheus: claviger_requests_seconds{operation,code}, claviger_audit_batch_records, claviger_audit_ack_seconds, claviger_unwrapped_keys, claviger_view_fresh{view}. */
export function observeWorker({ server, trail, views, keys }: WorkerParts & { keys: KeyHolder }): void {
  const meter = metrics.getMeter('claviger');
  const buckets = { explicitBucketBoundaries: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] };
  const requests = meter.createHistogram('claviger_requests_seconds', {
    description: 'Time from taking a request to its reply',
    advice: buckets,
  });
  server.observe = (operation, code, seconds) => requests.record(seconds, { operation, code });
  const batch = meter.createHistogram('claviger_audit_batch_records', {
    description: 'Records per audit message',
    advice: { explicitBucketBoundaries: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
  });
  const ack = meter.createHistogram('claviger_audit_ack_seconds', {
    description: 'Time until the broker has fsynced an audit message',
    advice: buckets,
  });
  const failures = meter.createCounter('claviger_audit_failures', { description: 'Publish attempts of audit messages that failed' });
  trail.commit.observe = (records, seconds, error) => {
    if (error !== undefined) return failures.add(1);
    batch.record(records);
    ack.record(seconds);
  };
  meter
    .createObservableGauge('claviger_unwrapped_keys', { description: 'Keys held unwrapped in the token' })
    .addCallback((result) => result.observe(keys.unwrapped));
  meter.createObservableGauge('claviger_view_fresh', { description: '1 while the view is proven current' }).addCallback((result) => {
    for (const [view, { fresh }] of Object.entries(views)) result.observe(fresh.call(views[view]) ? 1 : 0, { view });
  });
}
