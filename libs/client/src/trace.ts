import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { context, propagation, type Span, SpanKind, SpanStatusCode, type TextMapSetter, trace } from '@opentelemetry/api';

const setter: TextMapSetter<MsgHdrs> = { set: (carrier, key, value) => carrier.set(key, value) };
const untraced = { carrier: undefined, end: () => undefined } as const;

/** A client span and the headers that carry it (W3C Trace Context), when the caller is traced; else nothing, at no cost. */
export function traceCall(name: string): { carrier: MsgHdrs | undefined; end: (failed: boolean) => void } {
  const active = context.active();
  if (!trace.getSpanContext(active)) return untraced;
  const span: Span = trace
    .getTracer('claviger')
    .startSpan(name, { kind: SpanKind.CLIENT, attributes: { 'messaging.system': 'nats' } }, active);
  const carrier = headers();
  propagation.inject(trace.setSpan(active, span), carrier, setter);
  const end = (failed: boolean) => {
    if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  };
  return { carrier, end };
}
