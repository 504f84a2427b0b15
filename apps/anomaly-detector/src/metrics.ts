import { metrics } from '@opentelemetry/api';
import type { Detector } from './detector';
import type { RaisedAlerts } from './raised-alerts';

/**
 * Prometheus: claviger_detector_records, _ignored_lines, _late_records, _lag_messages{stream},
 * _series{kind}, _alerts{detector}, _snapshot_behind_seconds.
 */
export function observeDetector(detector: Detector, alerts: RaisedAlerts): void {
  const meter = metrics.getMeter('claviger');
  const raised = meter.createCounter('claviger_detector_alerts', { description: 'Alerts raised' });
  alerts.observe = ({ detector: by }) => raised.add(1, { detector: by });
  const count = (name: string, description: string, read: () => number) =>
    meter.createObservableCounter(`claviger_detector_${name}`, { description }).addCallback((result) => result.observe(read()));
  count('records', 'Records folded into the baselines', () => detector.folded.records);
  count('ignored_lines', 'Lines that no service of this system writes', () => detector.folded.ignored);
  count('late_records', 'Records too late to be counted in their second', () => detector.late);
  meter.createObservableGauge('claviger_detector_lag_messages', { description: 'Messages not folded yet' }).addCallback((result) => {
    for (const stream of ['audit', 'ledger'] as const) result.observe(detector[stream].pending, { stream });
  });
  meter.createObservableGauge('claviger_detector_series', { description: 'Series held' }).addCallback((result) => {
    for (const [kind, held] of Object.entries(detector.series())) result.observe(held, { kind });
  });
  meter
    .createObservableGauge('claviger_detector_snapshot_behind_seconds', { description: 'Age of what no snapshot holds' })
    .addCallback((result) => result.observe(detector.unsavedSeconds()));
}
