import { endSpan, SpanKind, startSpan, traceFromParent } from '@claviger/messaging';
import type { Step } from './fold';

/** Spans of one step: more than this many traced records in it are sampled enough. */
const maxSpans = 1_000;

/**
 * Shows the ledger in the trace of each request whose record is traced: a span `ledger append` under the span that wrote the record, open
 * until the record is committed. Costs nothing while no exporter is configured.
 */
export function spansOf({ sampled, entries, head }: Step): (error?: unknown) => void {
  const spans = sampled.slice(0, maxSpans).map(
    (traceparent) =>
      startSpan('ledger append', SpanKind.CONSUMER, traceFromParent(traceparent), {
        'messaging.destination.name': 'AUDIT',
        'messaging.batch.message_count': entries.length,
        'claviger.ledger.size': head.edge.size,
        'claviger.ledger.stream_seq': head.streamSeq,
      }).span,
  );
  return (error) => {
    for (const span of spans) endSpan(span, error);
  };
}
