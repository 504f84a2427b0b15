import { metrics } from '@opentelemetry/api';
import type { Checkpointer } from './checkpointer';
import type { Step } from './fold';
import type { Sequencer } from './sequencer';

const seconds = { advice: { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] } };

/**
 * Prometheus: claviger_ledger_size, claviger_ledger_findings, claviger_ledger_lag_messages, claviger_ledger_checkpoint_size,
 * claviger_ledger_append_seconds, claviger_ledger_records, claviger_ledger_replays, claviger_ledger_lost_races.
 */
export function observeLedger(parts: { sequencer: Sequencer; checkpointer: Checkpointer; lag: () => number }): {
  step: (step: Step) => (error?: unknown) => void;
} {
  const meter = metrics.getMeter('claviger');
  const gauge = (name: string, description: string, value: () => number | undefined) =>
    meter.createObservableGauge(name, { description }).addCallback((result) => {
      const now = value();
      if (now !== undefined) result.observe(now);
    });
  const { sequencer, checkpointer, lag } = parts;
  gauge('claviger_ledger_size', 'Leaves of the committed tree', () => sequencer.head?.edge.size);
  gauge('claviger_ledger_findings', 'Findings in the ledger', () => sequencer.head?.findings);
  gauge('claviger_ledger_lag_messages', 'Messages in AUDIT that the ledger does not hold yet', lag);
  gauge('claviger_ledger_checkpoint_size', 'Leaves of the newest checkpoint signed here', () => checkpointer.latest?.size);
  const append = meter.createHistogram('claviger_ledger_append_seconds', {
    description: 'From folding a step to its committed head',
    ...seconds,
  });
  const leaves = meter.createCounter('claviger_ledger_records', { description: 'Leaves that this process appended' });
  const replays = meter.createCounter('claviger_ledger_replays', { description: 'Batches that came again and were passed over' });
  const races = meter.createCounter('claviger_ledger_lost_races', { description: 'Steps that another sequencer or an error took' });
  return {
    step: (step) => {
      const started = performance.now();
      return (error) => {
        if (error !== undefined) return races.add(1);
        append.record((performance.now() - started) / 1_000);
        leaves.add(step.entries.reduce((sum, { count }) => sum + count, 0));
        replays.add(step.replays);
      };
    },
  };
}
