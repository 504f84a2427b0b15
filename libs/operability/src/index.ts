export {
  ConfigurationError,
  type CoreConfiguration,
  commonConfiguration,
  owedRecordConfiguration,
  readConfiguration,
  readJsonFile,
  seedFile,
  storeConfiguration,
  storeOptions,
  tokenConfiguration,
} from './configuration';
export { type Check, type HealthServer, serveHealth } from './health';
export { createLogger, runService } from './lifecycle';
export { startTelemetry, type Telemetry } from './telemetry';
