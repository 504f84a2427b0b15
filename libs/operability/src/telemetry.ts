import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';

export interface Telemetry {
  /** Serves the metrics in Prometheus text format. */
  metrics: PrometheusExporter;
  shutdown(): Promise<void>;
}

/**
 * Metrics are always kept and served beside health. Traces leave the process only when OTEL_EXPORTER_OTLP_ENDPOINT (or its _TRACES_ form)
 * is set: without it no SDK is loaded (13 MB), and tracing costs nothing on the hot path.
 */
export async function startTelemetry(service: string, environment: NodeJS.ProcessEnv = process.env): Promise<Telemetry> {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  const traced = environment.OTEL_EXPORTER_OTLP_ENDPOINT ?? environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  const sdk = traced ? await startTraces(service) : undefined;
  return {
    metrics: exporter,
    shutdown: async () => {
      await sdk?.shutdown().catch(() => undefined);
      await provider.shutdown().catch(() => undefined);
    },
  };
}

async function startTraces(service: string) {
  const [{ NodeSDK }, { OTLPTraceExporter }, { BatchSpanProcessor }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/sdk-trace'),
  ]);
  const spanProcessors = [new BatchSpanProcessor({ exporter: new OTLPTraceExporter(), scheduledDelayMillis: 200 })];
  const sdk = new NodeSDK({ serviceName: service, instrumentations: [], spanProcessors });
  sdk.start();
  return sdk;
}
