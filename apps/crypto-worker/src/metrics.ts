import { metrics } from '@opentelemetry/api';
import type { KeyHolder } from './key-holder';
import type { TokenBreaker } from './token-breaker';

/** Prometheus: claviger_unwrapped_keys. */
export function observeKeys(keys: KeyHolder): void {
  metrics
    .getMeter('claviger')
    .createObservableGauge('claviger_unwrapped_keys', { description: 'Keys held unwrapped in the token' })
    .addCallback((result) => result.observe(keys.unwrapped));
}

/** Prometheus: claviger_hsm_breaker_open{token}, claviger_hsm_breaker_openings{token}. */
export function observeBreaker(breaker: TokenBreaker): void {
  const meter = metrics.getMeter('claviger');
  const { token } = breaker;
  meter
    .createObservableGauge('claviger_hsm_breaker_open', { description: '1 while requests are refused because the token fails' })
    .addCallback((result) => result.observe(breaker.refuses ? 1 : 0, { token }));
  meter
    .createObservableCounter('claviger_hsm_breaker_openings', {
      description: 'How often requests began to be refused because the token fails',
    })
    .addCallback((result) => result.observe(breaker.openings, { token }));
}
