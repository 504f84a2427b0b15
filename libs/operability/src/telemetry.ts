import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace';

export interface Telemetry {
  /** Serves the metrics in Prometheus text format. */
  metrics: PrometheusExporter;
  shutdown(): Promise<void>;
}

/**
 * Metrics are always kept and served beside health. Traces leave the process only when OTEL_EXPORTER_OTLP_ENDPOINT (or its _TRACES_ form)
 * is set: without it no SDK is started and tracing costs nothing on the hot path.
 */
export function startTelemetry(service: string, environment: NodeJS.ProcessEnv = process.env): Telemetry {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  const traced = environment.OTEL_EXPORTER_OTLP_ENDPOINT ?? environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  const sdk = traced
    ? new NodeSDK({
        serviceName: service,
        instrumentations: [],
        spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter(), scheduledDelayMillis: 200 })],
      })
    : undefined;
  sdk?.start();
  return {
    metrics: exporter,
    shutdown: async () => {
      await sdk?.shutdown().catch(() => undefined);
      await provider.shutdown().catch(() => undefined);
    },
  };
}
