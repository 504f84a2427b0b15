import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  service: string;
  startMs: number;
  endMs: number;
}

interface OtlpTraces {
  resourceSpans?: {
    resource?: { attributes?: { key: string; value?: { stringValue?: string } }[] };
    scopeSpans?: {
      spans?: {
        traceId: string;
        spanId: string;
        parentSpanId?: string;
        name: string;
        startTimeUnixNano: string;
        endTimeUnixNano: string;
      }[];
    }[];
  }[];
}

/** Receives OTLP over HTTP as JSON (OpenTelemetry Protocol §OTLP/HTTP): enough of a collector to show one request's way through the services. */
export async function receiveTraces(): Promise<{ endpoint: string; spansOf: (traceId: string) => ReceivedSpan[]; close: () => void }> {
  const spans: ReceivedSpan[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      try {
        spans.push(...flatten(JSON.parse(Buffer.concat(chunks).toString('utf8')) as OtlpTraces));
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      } catch {
        response.writeHead(400).end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    spansOf: (traceId) => spans.filter((s) => s.traceId === traceId),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const flatten = ({ resourceSpans = [] }: OtlpTraces): ReceivedSpan[] =>
  resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const service = resource?.attributes?.find((a) => a.key === 'service.name')?.value?.stringValue ?? '?';
    return scopeSpans.flatMap(({ spans = [] }) =>
      spans.map((s) => ({
        traceId: s.traceId,
        spanId: s.spanId,
        ...(s.parentSpanId ? { parentSpanId: s.parentSpanId } : {}),
        name: s.name,
        service,
        startMs: Number(s.startTimeUnixNano) / 1e6,
        endMs: Number(s.endTimeUnixNano) / 1e6,
      })),
    );
  });

/** The spans as an indented tree, times relative to the first. */
export function drawTrace(spans: ReceivedSpan[]): string[] {
  const ids = new Set(spans.map((s) => s.spanId));
  const start = Math.min(...spans.map((s) => s.startMs));
  const lines: string[] = [];
  const draw = (span: ReceivedSpan, depth: number) => {
    lines.push(
      `${'  '.repeat(depth)}${span.service.padEnd(18 - Math.min(depth, 5) * 2)} ${span.name.padEnd(26)} +${(span.startMs - start).toFixed(1)} ms, ${(span.endMs - span.startMs).toFixed(1)} ms`,
    );
    for (const child of spans.filter((s) => s.parentSpanId === span.spanId).sort((a, b) => a.startMs - b.startMs)) draw(child, depth + 1);
  };
  for (const root of spans.filter((s) => !s.parentSpanId || !ids.has(s.parentSpanId)).sort((a, b) => a.startMs - b.startMs)) draw(root, 0);
  return lines;
}
