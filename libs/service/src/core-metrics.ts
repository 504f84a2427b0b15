import type { RequestServer } from '@claviger/messaging';
import { metrics } from '@opentelemetry/api';
import type { NamedViews } from './checks';
import type { CoreService } from './core-service';

const seconds = { explicitBucketBoundaries: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] };

/** Prometheus: claviger_requests_seconds{operation,code}, claviger_audit_batch_records, claviger_audit_ack_seconds, claviger_audit_failures, claviger_view_fresh{view}, claviger_policy_decisions{by}, claviger_quota_operations{quota,outcome}, claviger_broker_clock_uncertainty_seconds. */
export function observeCore({ trail, evaluator, quotas, quotaTales, clock }: CoreService, server: RequestServer, views: NamedViews): void {
  const meter = metrics.getMeter('claviger');
  const requests = meter.createHistogram('claviger_requests_seconds', {
    description: 'Time from taking a request to its reply',
    advice: seconds,
  });
  server.observe = (operation, code, took) => requests.record(took, { operation, code });
  const batch = meter.createHistogram('claviger_audit_batch_records', {
    description: 'Records per audit message',
    advice: { explicitBucketBoundaries: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
  });
  const ack = meter.createHistogram('claviger_audit_ack_seconds', {
    description: 'Time until the broker has fsynced an audit message',
    advice: seconds,
  });
  const failures = meter.createCounter('claviger_audit_failures', { description: 'Publish attempts of audit messages that failed' });
  trail.commit.observe = (records, took, error) => {
    if (error !== undefined) return failures.add(1);
    batch.record(records);
    ack.record(took);
  };
  meter
    .createObservableCounter('claviger_policy_decisions', { description: 'Decisions, by memory or by evaluation of the policies' })
    .addCallback((result) => {
      result.observe(evaluator.counts.remembered, { by: 'memory' });
      result.observe(evaluator.counts.evaluated, { by: 'evaluation' });
    });
  // By quota, of which a bundle has few; who and which key is in the ledger.
  meter
    .createObservableCounter('claviger_quota_operations', {
      description: 'Operations that a quota let through, or that it refused as used up or unknown',
    })
    .addCallback((result) => {
      for (const [quota, count] of quotas.allowed) result.observe(count, { quota, outcome: 'allowed' });
      for (const [quota, { usedUp, unknown }] of quotaTales.refusals) {
        result.observe(usedUp, { quota, outcome: 'refused' });
        result.observe(unknown, { quota, outcome: 'unknown' });
      }
    });
  meter
    .createObservableGauge('claviger_broker_clock_uncertainty_seconds', {
      description: "How far this process may be off the broker's time, by which the windows of quotas begin",
    })
    .addCallback((result) => {
      const uncertaintyMs = clock.uncertaintyMs();
      if (Number.isFinite(uncertaintyMs)) result.observe(uncertaintyMs / 1_000);
    });
  meter.createObservableGauge('claviger_view_fresh', { description: '1 while the view is proven current' }).addCallback((result) => {
    for (const [view, held] of Object.entries(views)) result.observe(held.fresh() ? 1 : 0, { view });
  });
}
