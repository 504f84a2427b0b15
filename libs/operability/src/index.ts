export {
  ConfigurationError,
  type CoreConfiguration,
  commonConfiguration,
  owedRecordConfiguration,
  readConfiguration,
  readJsonFile,
  seedFile,
  storeConfiguration,
  tokenConfiguration,
} from './configuration';
export { givenUpAfter, StoreSilent, storeOptions } from './document-store';
export { type Check, type HealthServer, serveHealth } from './health';
export { createLogger, runService } from './lifecycle';
export { startTelemetry, type Telemetry } from './telemetry';
