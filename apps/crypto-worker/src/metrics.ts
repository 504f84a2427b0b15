import { metrics } from '@opentelemetry/api';
import type { KeyHolder } from './key-holder';

/** Prometheus: claviger_unwrapped_keys. */
export function observeKeys(keys: KeyHolder): void {
  metrics
    .getMeter('claviger')
    .createObservableGauge('claviger_unwrapped_keys', { description: 'Keys held unwrapped in the token' })
    .addCallback((result) => result.observe(keys.unwrapped));
}
