import { headers, type MsgHdrs } from '@nats-io/transport-node';
import {
  type Context,
  context,
  isSpanContextValid,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type TextMapSetter,
  trace,
} from '@opentelemetry/api';

const setter: TextMapSetter<MsgHdrs> = { set: (carrier, key, value) => carrier.set(key, value) };
const getter: TextMapGetter<MsgHdrs> = { keys: (carrier) => carrier.keys(), get: (carrier, key) => carrier.get(key) || undefined };
/** Stands for the real one from when an SDK is started; got once, since each call makes another. */
const tracer = trace.getTracer('claviger');
/** Where nothing is traced a context still holds a span, whose ids are all zero. */
const tracedSpan = (active: Context) => {
  const span = trace.getSpanContext(active);
  return span && isSpanContextValid(span) ? span : undefined;
};

/** Headers that carry the active trace context (W3C Trace Context), or none when nothing is traced. */
export function traceHeaders(active: Context = context.active()): MsgHdrs | undefined {
  if (!tracedSpan(active)) return undefined;
  const carrier = headers();
  propagation.inject(active, carrier, setter);
  return carrier;
}

export const extractTrace = (carrier: MsgHdrs | undefined): Context =>
  carrier ? propagation.extract(context.active(), carrier, getter) : context.active();

/** The parent context that a stored `traceparent` names: how a record leads from the ledger back to the request that caused it. */
export const traceFromParent = (traceparent: string): Context =>
  propagation.extract(
    context.active(),
    { traceparent },
    { keys: (c) => Object.keys(c), get: (c, k) => (k === 'traceparent' ? c.traceparent : undefined) },
  );

export function startSpan(
  name: string,
  kind: SpanKind,
  parent: Context,
  attributes: Record<string, string | number> = {},
): { span: Span; active: Context } {
  const span = tracer.startSpan(name, { kind, attributes: { 'messaging.system': 'nats', ...attributes } }, parent);
  // Where nothing is traced the parent says it all, and a context costs more than the encryption's own bookkeeping.
  return { span, active: span.isRecording() ? trace.setSpan(parent, span) : parent };
}

export function endSpan(span: Span, error?: unknown): void {
  if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'error' });
  span.end();
}

/** `00-<trace>-<span>-<flags>` of a context, when it is traced. */
export function traceparentOf(active: Context): string | undefined {
  const span = tracedSpan(active);
  return span ? `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}` : undefined;
}
export { SpanKind };
